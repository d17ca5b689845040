"""What is remembered of holds, and recorded."""
