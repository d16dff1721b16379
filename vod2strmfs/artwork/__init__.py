"""Posters and backgrounds as files: fetching images, and keeping them."""
