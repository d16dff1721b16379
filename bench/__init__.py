"""`make bench`: what vod2strmfs costs, as ratios against something that everybody has."""
