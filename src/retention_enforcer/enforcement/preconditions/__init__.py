"""What must be true before anything is deleted."""
