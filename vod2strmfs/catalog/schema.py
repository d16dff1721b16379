"""Dispatcharr's tables, as far as they are read, and what its migrations added to them."""

from collections.abc import Mapping, Set

from vod2strmfs.errors import CatalogError


def _columns(names: str) -> frozenset[str]:
    return frozenset(names.split())


REQUIRED: Mapping[str, frozenset[str]] = {
    "vod_movie": _columns(
        "id uuid name description year rating genre duration_secs tmdb_id imdb_id custom_properties created_at"
    ),
    "vod_series": _columns("id uuid name description year rating genre tmdb_id imdb_id custom_properties created_at"),
    "vod_episode": _columns(
        "id uuid series_id name description air_date rating duration_secs season_number episode_number"
        " tmdb_id imdb_id custom_properties created_at"
    ),
    "vod_vodcategory": _columns("id name"),
    "vod_m3umovierelation": _columns(
        "id m3u_account_id movie_id category_id stream_id container_extension custom_properties"
    ),
    "vod_m3useriesrelation": _columns("id m3u_account_id series_id category_id external_series_id custom_properties"),
    "vod_m3uepisoderelation": _columns("id m3u_account_id episode_id stream_id container_extension custom_properties"),
    "vod_m3uvodcategoryrelation": _columns("m3u_account_id category_id enabled"),
    "m3u_m3uaccount": _columns("id name is_active priority"),
}
"""Tables and columns without which nothing can be read."""

OPTIONAL: Mapping[str, frozenset[str]] = {
    "vod_movie": _columns("is_adult logo_id"),
    "vod_series": _columns("logo_id"),
    "vod_vodlogo": _columns("id url"),
    "vod_m3uepisoderelation": _columns("series_relation_id"),
}
"""What later migrations added: logos in v0.12, an episode's series relation in v0.20, `is_adult` in v0.29."""

PROPOSED: Mapping[str, frozenset[str]] = {
    "vod_movie": _columns("language"),
    "vod_series": _columns("language"),
    "vod_m3uvodcategoryrelation": _columns("custom_properties"),
}
"""What Dispatcharr may have one day (its pull request 1703), and what is read where it is there. The last one is there,
and will say in which language and quality a category's titles are."""


def readable(table: str) -> frozenset[str]:
    """Every column of a table that may be read."""
    none: frozenset[str] = frozenset()
    return REQUIRED.get(table, none) | OPTIONAL.get(table, none) | PROPOSED.get(table, none)


def schema_version(columns: Mapping[str, Set[str]]) -> str:
    """Dispatcharr's version, by what its migrations have added."""
    if "is_adult" in columns.get("vod_movie", ()):
        return "v0.29 or later"
    return "v0.12 to v0.28" if "vod_vodlogo" in columns else "v0.9 to v0.11"


def check_schema(name: str, found: Mapping[str, Set[str]]) -> None:
    """Refuse a database that lacks a table or column that is read.

    Args:
        name: the database, as the user knows it.
        found: the columns that exist, by table.

    Raises:
        CatalogError: names what is missing.
    """
    for table, columns in REQUIRED.items():
        if table not in found:
            raise CatalogError(
                f"{name}: this is not a Dispatcharr database with VOD tables (v0.9 or later): no table {table}.\n"
                "Check the database's name, and that Dispatcharr has run its migrations."
            )
        if missing := sorted(columns - found[table]):
            raise CatalogError(
                f"{name}: table {table} has no column {', '.join(missing)}; this Dispatcharr is too old"
                " or too new for this version. Update both."
            )


def tables() -> list[str]:
    """Every table that may be read."""
    return sorted(REQUIRED.keys() | OPTIONAL.keys())
