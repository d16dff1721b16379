"""Everyday events of a catalogue, as Dispatcharr's refreshes and people's clicks make them.

An event changes the rows that chance chooses, and says what it did. What a key of the database forbids does not happen,
as in Dispatcharr.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import psycopg

from vod2strmfs.demo.catalogue import Catalogue

Chance = random.Random

NAMES = (
    "Heat", "heat", "HEAT", "Heat (1995)", "EN - Heat (1995)", "Heat.", "Solaris", "Solaris (1972)", "Solaris: Part 2",
    "Été", "E\u0301te\u0301", "Lost", "lost", "Lost (2004)", "4K-EN - Lost", "The Wire", "", "...", "Pilot",
    "Episode 7", "S01E03 - Pilot", "What Happened in S02E03", "A" * 240,
)  # fmt: skip
"""Few, so that titles meet; some differ only by case, marks or Unicode form."""
_IDS = ("949", "550", "1399", None, "0")
_YEARS = (1995, 1972, 2004, None)
_TITLES = ("vod_movie", "vod_series")
_ITEMS = (*_TITLES, "vod_episode")
_RELATIONS = {
    "vod_movie": ("vod_m3umovierelation", "movie_id", "stream_id"),
    "vod_series": ("vod_m3useriesrelation", "series_id", "external_series_id"),
    "vod_episode": ("vod_m3uepisoderelation", "episode_id", "stream_id"),
}
_EXCHANGED = {
    "vod_movie": ("name", "year", "description", "uuid", "tmdb_id", "custom_properties", "logo_id", "rating"),
    "vod_series": ("name", "year", "description", "uuid", "tmdb_id", "custom_properties"),
    "vod_episode": ("name", "description", "uuid", "air_date", "season_number", "episode_number"),
    "vod_m3umovierelation": ("stream_id", "custom_properties", "movie_id", "m3u_account_id", "container_extension"),
    "vod_m3useriesrelation": ("external_series_id", "custom_properties", "series_id"),
    "vod_m3uepisoderelation": ("stream_id", "custom_properties", "episode_id"),
}


def small_library() -> Catalogue:
    """Two accounts, categories, some movies and series; two series without episodes, as Dispatcharr imports them."""
    catalogue = Catalogue()
    accounts = catalogue.account("Alpha", priority=5), catalogue.account("Beta [VIP]")
    categories = {
        kind: [catalogue.category(f"{name} {kind}", kind) for name in ("EN |", "Kids")] for kind in ("movie", "series")
    }
    for account in accounts:
        for both in categories.values():
            for category in both:
                catalogue.enable(account, category)
    logos = [catalogue.logo(f"http://panel.example/{number}.jpg") for number in range(3)]
    for number in range(26):  # more than the brake lets go whatever the limit
        some = accounts if number % 3 == 0 else accounts[number % 2 : number % 2 + 1]
        movie = catalogue.movie(
            f"Film {number}", year=1980 + number, tmdb_id=str(5000 + number), description=f"Plot {number}.",
            logo_id=logos[number % 3].id, relations=[],
        )  # fmt: skip
        for account in some:
            properties = {"basic_data": {"rating": str(number % 9), "plot": f"{account.name}'s plot {number}."}}
            catalogue.relate(movie, account, categories["movie"][number % 2], custom_properties=properties)
    for number in range(7):
        some = accounts if number % 3 == 0 else accounts[number % 2 : number % 2 + 1]
        series = catalogue.series(f"Show {number}", relations=some, category=categories["series"][number % 2])
        for episode in range(0 if number < 2 else number):
            catalogue.episode(series, 1 + episode // 3, 1 + episode % 3, f"Part {episode}", description="Something.")
    return catalogue


class Rows:
    """The catalogue's database, as Dispatcharr writes to it.

    Args:
        url: of its owner.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.connect()

    def connect(self) -> None:
        """Begin a session."""
        self._session = psycopg.connect(self._url, autocommit=True)

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def run(self, *statements: str) -> bool:
        """Run statements in one transaction; False if a key forbids them."""
        try:
            with self._session.transaction():
                for statement in statements:
                    self._session.execute(statement.encode())
        except (psycopg.errors.IntegrityError, psycopg.errors.DataError):
            return False
        return True

    def ids(self, table: str, where: str = "true") -> list[int]:
        """The ids of a table's rows, in order."""
        query = f"SELECT id FROM {table} WHERE {where} ORDER BY id"
        return [int(row[0]) for row in self._session.execute(query.encode())]

    def one(self, chance: Chance, table: str, where: str = "true") -> int:
        """A row's id; 0 if there is none."""
        ids = self.ids(table, where)
        return chance.choice(ids) if ids else 0


Event = Callable[[Rows, Chance], str]


def _quoted(value: Any) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def episode_comes(rows: Rows, chance: Chance) -> str:
    """A series gets an episode; often one that had none."""
    empty = "NOT EXISTS (SELECT FROM vod_episode e WHERE e.series_id = vod_series.id)"
    series = (chance.random() < 0.6 and rows.one(chance, "vod_series", empty)) or rows.one(chance, "vod_series")
    relation = rows.one(chance, "vod_m3useriesrelation", f"series_id = {series}")
    season, number = chance.choice(("1", "2", "0", "NULL")), chance.choice(("1", "2", "3", "7", "0", "NULL"))
    name = _quoted(chance.choice(NAMES))
    if relation:
        rows.run(
            f"""WITH made AS (
                INSERT INTO vod_episode (uuid, name, season_number, episode_number, created_at, updated_at, series_id)
                VALUES (gen_random_uuid(), {name}, {season}, {number}, now(), now(), {series}) RETURNING id)
            INSERT INTO vod_m3uepisoderelation (m3u_account_id, episode_id, series_relation_id, stream_id,
                container_extension, created_at, updated_at, last_seen)
            SELECT r.m3u_account_id, made.id, r.id, 'e' || made.id, 'mkv', now(), now(), now()
            FROM made, vod_m3useriesrelation r WHERE r.id = {relation}"""
        )
    return f"episode {season}x{number} for series {series}"


def episodes_go(rows: Rows, chance: Chance) -> str:
    """An episode goes, or all of a series."""
    series = rows.one(chance, "vod_series", "EXISTS (SELECT FROM vod_episode e WHERE e.series_id = vod_series.id)")
    one = rows.one(chance, "vod_episode", f"series_id = {series}")
    some = f"id = {one}" if chance.random() < 0.6 else f"series_id = {series}"
    rows.run(
        f"DELETE FROM vod_m3uepisoderelation WHERE episode_id IN (SELECT id FROM vod_episode WHERE {some})",
        f"DELETE FROM vod_episode WHERE {some}",
    )
    return f"episodes with {some} are deleted"


def renamed(rows: Rows, chance: Chance) -> str:
    """A title or an episode gets another name."""
    table = chance.choice(_ITEMS)
    row, name = rows.one(chance, table), chance.choice(NAMES)
    done = rows.run(f"UPDATE {table} SET name = {_quoted(name)} WHERE id = {row}")
    return f"{table} {row} is called {name[:40]!r}: {done}"


def identified(rows: Rows, chance: Chance) -> str:
    """A title's year or id is set, unset, or taken over from another row."""
    table, column = chance.choice(_TITLES), chance.choice(("year", "tmdb_id", "imdb_id"))
    row, value = rows.one(chance, table), chance.choice(_YEARS if column == "year" else _IDS)
    freed = f"UPDATE {table} SET {column} = NULL WHERE {column} = {_quoted(value)}"
    statement = f"UPDATE {table} SET {column} = {_quoted(value)} WHERE id = {row}"
    done = rows.run(freed, statement) if column != "year" else rows.run(statement)
    return f"{table} {row}: {column} = {value}: {done}"


def described(rows: Rows, chance: Chance) -> str:
    """What an NFO says changes, in the row or in the relation."""
    table = chance.choice(_ITEMS)
    relations, _, _ = _RELATIONS[table]
    text = f"Text {chance.randrange(1000)}."
    if chance.random() < 0.5:
        row = rows.one(chance, table)
        rows.run(f"UPDATE {table} SET description = '{text}' WHERE id = {row}")
        return f"{table} {row} has another description"
    row = rows.one(chance, relations)
    key = "info" if table == "vod_episode" else "basic_data"
    properties = json.dumps({key: {"plot": text, "rating": "3"}})
    rows.run(f"UPDATE {relations} SET custom_properties = '{properties}' WHERE id = {row}")
    return f"{relations} {row} has another plot"


def exchanged(rows: Rows, chance: Chance) -> str:
    """Two rows exchange a value."""
    table = chance.choice([*_EXCHANGED])
    column = chance.choice(_EXCHANGED[table])
    one, other = rows.one(chance, table), rows.one(chance, table)
    free = {"uuid": "gen_random_uuid()", "tmdb_id": "NULL"}.get(column)
    if column in {"stream_id", "external_series_id"}:
        free = "'free'"
    if column == "episode_number":
        free = "-1"
    taken = f"(SELECT {column} FROM taken WHERE id = {{}})"
    statements = [
        f"CREATE TEMPORARY TABLE taken ON COMMIT DROP AS SELECT id, {column} FROM {table} WHERE id IN ({one}, {other})",
        f"UPDATE {table} SET {column} = {free or column} WHERE id = {one}",
        f"UPDATE {table} SET {column} = {taken.format(one)} WHERE id = {other}",
        f"UPDATE {table} SET {column} = {taken.format(other)} WHERE id = {one}",
    ]
    done = one != other and rows.run(*statements)
    return f"{table} {one} and {other} exchange {column}: {done}"


def rekeyed(rows: Rows, chance: Chance) -> str:
    """An item is made anew under another id and UUID, with the same or new stream ids."""
    table = chance.choice(_ITEMS)
    relations, column, stream = _RELATIONS[table]
    row = rows.one(chance, table)
    fresh_relations = chance.random() < 0.5
    copied = "json_populate_record(NULL::{0}, (to_jsonb(t) || {1})::json)"
    changed = f"jsonb_build_object('id', nextval(pg_get_serial_sequence('{table}', 'id')), 'uuid', gen_random_uuid())"
    new = f"(SELECT max(id) FROM {table})"
    statements = [
        "SET CONSTRAINTS ALL DEFERRED",
        f"CREATE TEMPORARY TABLE old ON COMMIT DROP AS SELECT * FROM {table} WHERE id = {row}",
    ]
    if table != "vod_episode":
        statements.append(f"UPDATE {table} SET tmdb_id = NULL, imdb_id = NULL, name = 'old' || id WHERE id = {row}")
    else:
        statements.append(f"UPDATE {table} SET episode_number = -99 WHERE id = {row}")
    statements += [
        f"INSERT INTO {table} SELECT ({copied.format(table, changed)}).* FROM old t",
        f"UPDATE {relations} SET {column} = {new} WHERE {column} = {row}",
    ]
    if table == "vod_series":
        statements.append(f"UPDATE vod_episode SET series_id = {new} WHERE series_id = {row}")
    if fresh_relations and table == "vod_movie":
        statements.append(
            f"UPDATE {relations} SET id = id + (SELECT max(id) FROM {relations}), {stream} = 'n' || {stream}"
            f" WHERE {column} = {new}"
        )
    statements.append(f"DELETE FROM {table} WHERE id = {row}")
    done = rows.run(*statements)
    return f"{table} {row} is made anew{' with new streams' if fresh_relations else ''}: {done}"


def moved(rows: Rows, chance: Chance) -> str:
    """A relation goes to another category, account or title."""
    table = chance.choice(_ITEMS)
    relations, column, _ = _RELATIONS[table]
    row = rows.one(chance, relations)
    what = chance.choice(("category_id", "m3u_account_id", column))
    if what == "category_id" and table == "vod_episode":
        return "nothing"
    of = {"category_id": "vod_vodcategory", "m3u_account_id": "m3u_m3uaccount"}.get(what, table)
    kind = "category_type = 'movie'" if table == "vod_movie" else "category_type = 'series'"
    to = rows.one(chance, of, kind if what == "category_id" else "true")
    done = rows.run(f"UPDATE {relations} SET {what} = {to} WHERE id = {row}")
    return f"{relations} {row}: {what} = {to}: {done}"


def switched(rows: Rows, chance: Chance) -> str:
    """An account or a category goes off or on, or priorities are flipped."""
    what = chance.choice(("account", "category", "category", "priority"))
    if what == "account":
        row = rows.one(chance, "m3u_m3uaccount")
        rows.run(f"UPDATE m3u_m3uaccount SET is_active = NOT is_active WHERE id = {row}")
    elif what == "category":
        row = rows.one(chance, "vod_m3uvodcategoryrelation")
        rows.run(f"UPDATE vod_m3uvodcategoryrelation SET enabled = NOT enabled WHERE id = {row}")
    else:
        row = 0
        rows.run("UPDATE m3u_m3uaccount SET priority = 5 - priority")
    return f"{what} {row} is switched"


def labelled(rows: Rows, chance: Chance) -> str:
    """An account or a category gets another name."""
    table = chance.choice(("m3u_m3uaccount", "vod_vodcategory"))
    row, name = rows.one(chance, table), f"Name {chance.randrange(9)}"
    rows.run(f"UPDATE {table} SET name = '{name}' WHERE id = {row}")
    return f"{table} {row} is called {name}"


def title_comes(rows: Rows, chance: Chance) -> str:
    """A movie or a series comes, with one relation."""
    table = chance.choice(_TITLES)
    relations, column, stream = _RELATIONS[table]
    name, year, account = chance.choice(NAMES), chance.choice(_YEARS), rows.one(chance, "m3u_m3uaccount")
    adult, value = (", is_adult", ", false") if table == "vod_movie" else ("", "")
    done = rows.run(
        f"""WITH made AS (INSERT INTO {table} (uuid, name, year, created_at, updated_at{adult})
            VALUES (gen_random_uuid(), {_quoted(name)}, {_quoted(year)}::int, now(), now(){value}) RETURNING id)
        INSERT INTO {relations} (m3u_account_id, {column}, {stream}, created_at, updated_at, last_seen)
        SELECT {account}, id, 't' || id, now(), now(), now() FROM made"""
    )
    return f"{table} {name[:40]!r} ({year}) comes: {done}"


def title_goes(rows: Rows, chance: Chance) -> str:
    """A movie or a series goes with all that belongs to it, or only its relations do."""
    table = chance.choice(_TITLES)
    relations, column, _ = _RELATIONS[table]
    row = rows.one(chance, table)
    statements = ["SET CONSTRAINTS ALL DEFERRED"]
    if table == "vod_series":
        episodes = f"SELECT id FROM vod_episode WHERE series_id = {row}"
        statements += [
            f"DELETE FROM vod_m3uepisoderelation WHERE episode_id IN ({episodes})",
            f"DELETE FROM vod_episode WHERE series_id = {row}",
        ]
    statements.append(f"DELETE FROM {relations} WHERE {column} = {row}")
    whole = chance.random() < 0.6
    if whole:
        statements.append(f"DELETE FROM {table} WHERE id = {row}")
    rows.run(*statements)
    return f"{table} {row} goes{'' if whole else ', its row stays'}"


def all_replaced(rows: Rows) -> None:
    """Every movie becomes another one, with other ids and another name; the relations and their streams stay."""
    rows.run(
        "SET CONSTRAINTS ALL DEFERRED",
        "UPDATE vod_m3umovierelation SET movie_id = movie_id + 10000",
        "UPDATE vod_movie SET id = id + 10000, uuid = gen_random_uuid(), name = 'Bad Gateway ' || id, year = 1900,"
        " tmdb_id = '9' || id, imdb_id = NULL",
    )


def touched(rows: Rows, chance: Chance) -> str:
    """A scan rewrites every relation and changes nothing."""
    for relations, _, _ in _RELATIONS.values():
        rows.run(f"UPDATE {relations} SET last_seen = now()")
    return "everything is touched"


def relation_comes(rows: Rows, chance: Chance) -> str:
    """A title or an episode is had once more, by another account or by the same one."""
    table = chance.choice(_ITEMS)
    relations, column, stream = _RELATIONS[table]
    row, account = rows.one(chance, table), rows.one(chance, "m3u_m3uaccount")
    columns, values = f"m3u_account_id, {column}, {stream}", f"{account}, {row}, 'r{chance.randrange(10**6)}'"
    if table == "vod_episode":
        series = f"m3u_account_id = {account} AND series_id = (SELECT series_id FROM vod_episode WHERE id = {row})"
        columns += ", series_relation_id"
        values += f", {rows.one(chance, 'vod_m3useriesrelation', series) or 'NULL'}"
    else:
        kind = "movie" if table == "vod_movie" else "series"
        category = rows.one(chance, "vod_vodcategory", f"category_type = '{kind}'")
        columns += ", category_id"
        values += f", {chance.choice((category, 'NULL'))}"
    if table != "vod_series":
        columns += ", container_extension"
        values += ", 'mkv'"
    done = rows.run(
        f"INSERT INTO {relations} ({columns}, created_at, updated_at, last_seen) VALUES ({values}, now(), now(), now())"
    )
    return f"{table} {row} has another relation, of account {account}: {done}"


def relation_goes(rows: Rows, chance: Chance) -> str:
    """A relation goes; what it was for stays."""
    relations, _, _ = _RELATIONS[chance.choice(_ITEMS)]
    row = rows.one(chance, relations)
    freed = "UPDATE vod_m3uepisoderelation SET series_relation_id = NULL WHERE series_relation_id ="
    rows.run(*([f"{freed} {row}"] if "series" in relations else []), f"DELETE FROM {relations} WHERE id = {row}")
    return f"{relations} {row} goes"


def renumbered(rows: Rows, chance: Chance) -> str:
    """An episode gets other numbers, or all seasons of a series are counted otherwise."""
    episode, series = rows.one(chance, "vod_episode"), rows.one(chance, "vod_series")
    if chance.random() < 0.3:
        shifts = ("+ 100", "- 99")
        done = rows.run(
            *(f"UPDATE vod_episode SET season_number = season_number {by} WHERE series_id = {series}" for by in shifts)
        )
        return f"the seasons of series {series} begin with another one: {done}"
    season = chance.choice(("0", "1", "2", "5", "NULL", "1000"))
    number = chance.choice(("1", "2", "12", "NULL", "0", "-1", "1000"))
    done = rows.run(f"UPDATE vod_episode SET season_number = {season}, episode_number = {number} WHERE id = {episode}")
    return f"episode {episode} is {season}x{number}: {done}"


def equally_called(rows: Rows, chance: Chance) -> str:
    """All episodes of a series get one name, perhaps without a number."""
    series, name = rows.one(chance, "vod_series"), chance.choice(NAMES)
    number = chance.choice(("", ", episode_number = NULL"))
    rows.run(f"UPDATE vod_episode SET name = {_quoted(name)}{number} WHERE series_id = {series}")
    return f"the episodes of series {series} are all called {name[:40]!r}{number}"


def spelled(rows: Rows, chance: Chance) -> str:
    """One name, or all of a kind, are spelled with other capitals."""
    table, how = chance.choice(_ITEMS), chance.choice(("lower", "upper", "initcap"))
    which = chance.choice(("true", f"id = {rows.one(chance, table)}"))
    rows.run(f"UPDATE {table} SET name = {how}(name) WHERE {which}")
    return f"{table}: {how}(name) where {which}"


def many_renamed(rows: Rows, chance: Chance) -> str:
    """Two of three names of a kind are junk."""
    table, kept = chance.choice(_ITEMS), chance.randrange(3)
    rows.run(f"UPDATE {table} SET name = 'Junk ' || id WHERE id % 3 != {kept}")
    return f"{table}: two of three are renamed"


def many_gone(rows: Rows, chance: Chance) -> str:
    """Half of the relations to movies or episodes go."""
    relations, column, _ = _RELATIONS[chance.choice(("vod_movie", "vod_episode"))]
    half = chance.randrange(2)
    rows.run(f"DELETE FROM {relations} WHERE {column} % 2 = {half}")
    return f"{relations}: half of them go"


def names_exchanged(rows: Rows, chance: Chance) -> str:
    """Two folders exchange names: of categories or accounts, or of titles with all that tells them apart."""
    table = chance.choice((*_TITLES, "vod_vodcategory", "m3u_m3uaccount"))
    one, other = rows.one(chance, table), rows.one(chance, table)
    columns, free = ("name, year, tmdb_id", ", tmdb_id = NULL") if table in _TITLES else ("name", "")
    statements = [
        f"CREATE TEMPORARY TABLE taken ON COMMIT DROP AS SELECT * FROM {table} WHERE id IN ({one}, {other})",
        f"UPDATE {table} SET name = 'taken' || id{free} WHERE id IN ({one}, {other})",
        *(
            f"UPDATE {table} SET ({columns}) = (SELECT {columns} FROM taken WHERE id = {giver}) WHERE id = {taker}"
            for taker, giver in ((one, other), (other, one))
        ),
    ]
    done = one != other and rows.run(*statements)
    return f"{table} {one} and {other} exchange {columns}: {done}"


def all_rekeyed(rows: Rows, chance: Chance) -> str:
    """All titles of a kind are made anew under other ids and UUIDs."""
    table = chance.choice(_TITLES)
    relations, column, _ = _RELATIONS[table]
    by = 5000
    rows.run(
        "SET CONSTRAINTS ALL DEFERRED",
        f"UPDATE {relations} SET {column} = {column} + {by}",
        *([f"UPDATE vod_episode SET series_id = series_id + {by}"] if table == "vod_series" else []),
        f"UPDATE {table} SET id = id + {by}, uuid = gen_random_uuid()",
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))",
    )
    return f"{table}: all are made anew"


EVENTS: tuple[Event, ...] = (
    episode_comes, episode_comes, episodes_go, renamed, renamed, identified, described, exchanged, exchanged, rekeyed,
    moved, switched, labelled, title_comes, title_goes, touched, relation_comes, relation_comes, relation_goes,
    relation_goes, renumbered, renumbered, equally_called, spelled, spelled, many_renamed, many_gone, names_exchanged,
    names_exchanged, all_rekeyed,
)  # fmt: skip
