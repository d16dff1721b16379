"""`python -m vod2strmfs`."""

from vod2strmfs.cli.start import main

main()
