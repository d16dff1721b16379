"""`python -m vod2strmfs`."""

from vod2strmfs.cli import main

main()
