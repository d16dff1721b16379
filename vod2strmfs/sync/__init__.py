"""Making the next generation of the index."""
