"""The library through FUSE."""
