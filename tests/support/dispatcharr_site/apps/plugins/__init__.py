"""Plugins: the loader, and what is kept of each."""
