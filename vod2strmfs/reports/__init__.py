"""What a run of materialize did, as CSV files: written, listed, read."""
