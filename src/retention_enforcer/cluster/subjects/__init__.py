"""Which documents name whom."""
