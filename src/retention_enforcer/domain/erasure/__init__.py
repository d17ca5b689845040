"""After documents were deleted, until none of them is left in the files."""
