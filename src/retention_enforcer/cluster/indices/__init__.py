"""What indices are and say of themselves."""
