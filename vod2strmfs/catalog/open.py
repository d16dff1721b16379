"""Which source a `--database` value names."""

from vod2strmfs.catalog.source import Source


def open_source(url: str) -> Source:
    """Open the database that a `--database` value names. Connects on first use.

    Raises:
        CatalogError: the value is neither a libpq connection string nor sqlite:///PATH.
    """
    if url.startswith("sqlite:"):
        from vod2strmfs.catalog.sqlite import SQLiteSource

        return SQLiteSource.from_url(url)
    from vod2strmfs.catalog.postgresql import PostgreSQLSource  # a mount over SQLite need not load libpq

    return PostgreSQLSource(url)
