"""Getting deleted documents out of the files."""
