"""What Dispatcharr's `core` has for plugins."""
