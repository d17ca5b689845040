"""Whose documents they are: accounts, applications, users."""
