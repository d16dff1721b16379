"""Films that play: files of an exact size whose bytes come from a provider, through Dispatcharr. Knows no FUSE."""
