"""What a running mount says of itself, and how to ask it."""
