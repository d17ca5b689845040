"""What must go by its age, the fuse before it, and the proof after it."""
