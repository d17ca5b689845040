"""The enforcer's own indices: what they remember, and how far they go."""
