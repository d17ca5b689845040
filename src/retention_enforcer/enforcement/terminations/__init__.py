"""The work on terminations and requests, and what is asked and told of them."""
