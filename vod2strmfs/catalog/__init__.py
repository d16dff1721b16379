"""Dispatcharr's tables: which rows are eligible, read from PostgreSQL or SQLite."""
