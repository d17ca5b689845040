"""What must not be deleted for now."""
