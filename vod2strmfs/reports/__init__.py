"""Reports of what a run of materialize did, as CSV files: written, listed, read."""
