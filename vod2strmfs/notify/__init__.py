"""Telling media servers what changed: planning it, keeping it until it is told, and telling it."""
