"""The enforcer's own indices, as they are stored."""
