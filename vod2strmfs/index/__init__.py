"""The stored library: one generation at a time, and how the next one is made."""
