"""vod2strmfs: a Dispatcharr film library as a file system of .strm and .nfo files."""

__version__ = "0.0.1"
