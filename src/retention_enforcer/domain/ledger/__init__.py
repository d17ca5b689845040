"""The records of all that was done, and their chain."""
