"""Which images Dispatcharr hands on itself: posters of its table of logos, which it keeps for a day (nginx's cache)."""

from contextlib import closing

from vod2strmfs.catalog.open import open_source

PATH = "/api/vod/vodlogos/{logo}/cache/"
"""Where it does, for everybody who may reach it."""


def logos(database: str) -> dict[str, int]:
    """The ids of its logos by their URLs.

    Args:
        database: Dispatcharr's, as `--database` takes it.

    Raises:
        CatalogError: it cannot be read.
    """
    with closing(open_source(database)) as source, source.snapshot() as snapshot:
        return snapshot.logos()
