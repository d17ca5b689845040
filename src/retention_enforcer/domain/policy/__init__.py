"""What was promised, for which indices, and whose each index is."""
