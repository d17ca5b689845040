"""The life of the process: schedule, lease, start and stop."""
