"""vod2strmfs: a Dispatcharr film library as a file system of .strm and .nfo files."""

__version__ = "0.0.1"
PROJECT_URL = "https://github.com/vod2strmfs/vod2strmfs"
"""The address of the project. It stands in pyproject.toml and in the documents as well; a test names all places."""
