"""The cycle of a category: plan, purge, roll over, prove."""
