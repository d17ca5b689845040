"""The look past the policy."""
