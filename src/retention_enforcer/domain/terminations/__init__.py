"""Terminations and deletion requests, from the request to the certificate."""
