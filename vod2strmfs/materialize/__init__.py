"""Writing the library's tree to real files."""
