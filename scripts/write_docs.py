"""Write the parts of docs/ that follow from the code: `settings.md`, `layouts.md`, the man page `vod2strmfs.1`;
and the units in systemd/.

`--check` says whether they are up to date instead, and exits with 1 if they are not.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

from man_page import man_page
from pydantic.fields import FieldInfo

from vod2strmfs.catalog.open import open_source
from vod2strmfs.cli.main import cli
from vod2strmfs.cli.options import SettingOption
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.settings import ENVIRONMENT_PREFIX, LibrarySettings, Settings, choices
from vod2strmfs.sync.run import sync
from vod2strmfs.systemd.units import ServiceKind, units

DOCS = Path(__file__).parent.parent / "docs"
_SERVERS = get_args(LibrarySettings.model_fields["media_server"].annotation)


_FILTERS = (
    "**Filters.** A title has to pass all of them. `accounts` and `categories` choose among what a title can be",
    "played from: if two accounts have a film, you see the best of those that you want. Of a series you see the",
    "episodes that the wanted accounts have. The other filters look at titles; episodes go with their series.",
    "",
    "In a pattern, `*` stands for any characters and `?` for one. Upper and lower case are the same. Write names as",
    "they are: `EN | Kids`, `[EN] New`, `!XXX [18+]`. (Brackets hold a set of characters, as in `S[0-9]*`, only if",
    "nothing has that name.) A name with a comma has to be in a TOML list. If all patterns exclude, everything else is",
    "shown. `sync` warns of a pattern that matches nothing. Titles without a known year are in no range of `years`.",
    "",
    "A settings file counts whole: what is not in it has its default.",
)


def settings_page() -> str:
    """The table of all settings."""
    lines = [
        "# Settings",
        "",
        "Write a setting `some_name` as `some_name = …` in the settings file (TOML), as `VOD2STRMFS_SOME_NAME` in",
        "the environment, or as `--some-name` on the command line of the [commands that use it](#options).",
        "",
        "* **Command line beats environment beats file.**",
        "* `--config` (`-c`) or `VOD2STRMFS_CONFIG` names the file. If neither does, it is",
        "  `~/.config/vod2strmfs/config.toml` (`$XDG_CONFIG_HOME`) of the user who runs the command, else",
        "  `/etc/vod2strmfs.toml`. `--config ''`, or an empty `VOD2STRMFS_CONFIG`, reads none. `-v` and `doctor` say",
        "  which was read.",
        "* A list has commas in the environment and on the command line; in TOML it is a list.",
        "* `--no-some-name` is the opposite of a setting that is true or false.",
        "* Two names differ: `write_nfo` is `--nfo` and `--no-nfo`. `output_root` is no option: write the folder",
        "  after the command (`vod2strmfs mount /data/STRM`).",
        "* `api_key`, `api_password` and `status_token` are no options: other users see what is on a command line.",
        "  Nor are `notify` and `shelf`: they are lists of tables, `[[notify]]` and `[[shelf]]`, with settings of",
        "  their own ([notify](notify.md), [shelves](shelves.md)).",
        "",
        "The settings of the first table decide names and contents. Use one state directory for each set of them.",
    ]
    own = {name: field for name, field in Settings.model_fields.items() if name not in LibrarySettings.model_fields}
    for title, fields in (("The library", LibrarySettings.model_fields), ("The commands", own)):
        lines += ["", f"## {title}", "", "| setting | default | meaning |", "|---|---|---|"]
        lines += [_setting(name, field) for name, field in fields.items()]
        if fields is LibrarySettings.model_fields:
            lines += ["", *_FILTERS]
    lines += ["", "## Options", "", "| options | commands |", "|---|---|", *_options()]
    lines += [
        "",
        "Without `database`, Dispatcharr's own variables are read: `POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_DB`,",
        "`POSTGRES_USER`, `POSTGRES_PASSWORD`, and `POSTGRES_SSL=true` with `POSTGRES_SSL_MODE`,",
        "`POSTGRES_SSL_CA_CERT`, `POSTGRES_SSL_CERT`, `POSTGRES_SSL_KEY`.",
        "",
        "```toml",
        "# /etc/vod2strmfs.toml",
        'database = "postgresql://vod2strmfs@192.168.1.10/dispatcharr"',
        'base_url = "http://192.168.1.10:9191"',
        'categories = ["*", "!Adults*"]',
        'languages = ["EN", "-"]',
        "allow_other = true",
        "```",
        "",
    ]
    assert ENVIRONMENT_PREFIX == "VOD2STRMFS_"
    return "\n".join(lines)


def _options() -> Iterator[str]:
    """Which commands have which settings as options: those of the same commands in one row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in Settings.model_fields:
        found = {
            command: option.opts[0]
            for command in sorted(cli.commands)
            for option in cli.commands[command].params
            if isinstance(option, SettingOption) and option.name == name
        }
        if found:
            rows.setdefault(tuple(found), []).append(next(iter(found.values())))
    for commands, options in rows.items():
        yield f"| {', '.join(f'`{option}`' for option in options)} | {', '.join(commands)} |"


def _setting(name: str, field: FieldInfo) -> str:
    assert field.description is not None
    default = field.get_default()
    if field.default_factory is not None or default in (None, "", ()):
        shown = ""
    elif name == "umask":
        shown = f"`{default:03o}`"
    else:
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
    values = choices(field.annotation)
    meaning = field.description + (f" ({', '.join(f'`{value}`' for value in values)})" if values else "")
    return f"| `{name}` | {shown} | {meaning.replace('|', chr(92) + '|')} |"


def layouts_page() -> str:
    """What a movie, a series and a special look like for each media server."""
    lines = [
        "# Layouts",
        "",
        "One movie, one series and one special, as each `media_server` gets them. This page is made by",
        "`scripts/write_docs.py` from a small catalogue. [Why it is so](media-servers.md) is another page.",
    ]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/dispatcharr.db"
        _catalogue().write(url)
        shown: dict[str, str] = {}
        for server in _SERVERS:
            with closing(open_source(url)) as source:
                sync(source, LibrarySettings(media_server=server), Path(folder, server))
            with closing(Store(Path(folder, server))) as store:
                tree = Tree(store)
                entries = dict(tree.walk())
                files = {path: tree.read(entry.inode).decode() for path, entry in entries.items() if not entry.is_dir}
            lines += ["", f"## `media_server = {server}`", ""]
            if server == "plex":
                lines += ["Plex lists these files and cannot play them. [`vod2strmfs films`](films.md) shows it the"]
                lines += ["same names, with a film in place of each `.strm`.", ""]
            lines += ["```"]
            lines += [path + ("/" if entry.is_dir else "") for path, entry in sorted(entries.items())]
            lines += ["```"]
            wanted = (("The movie", ("movie.nfo", "(1995).nfo")), ("The special", ("Home.nfo", "E01.nfo")))
            for title, ending in wanted:
                path = next(path for path in sorted(files) if path.endswith(ending) and "Season 01" not in path)
                lines += ["", *_content(f"{title}: `{path}`", files[path], shown, server)]
            if server == _SERVERS[0]:
                path = "Movies/Heat (1995)/Heat (1995).strm"
                lines += ["", f"The URL: `{path}`", "", "```", files[path].rstrip(), "```"]
                path = "TV/Lost (2004)/tvshow.nfo"
                lines += ["", f"The series: `{path}`", "", "```xml", files[path].rstrip(), "```"]
    return "\n".join([*lines, ""])


def _content(title: str, content: str, shown: dict[str, str], server: str) -> list[str]:
    if content in shown:
        return [f"{title}: the same bytes as for `{shown[content]}`."]
    shown[content] = server
    return [title, "", "```xml", content.rstrip(), "```"]


def _catalogue() -> Catalogue:
    catalogue = Catalogue()
    account = catalogue.account("Provider")
    logo = catalogue.logo("https://image.tmdb.org/t/p/w500/heat.jpg")
    movie = catalogue.movie(
        "EN - Heat (1995)", relations=[], year=1995, rating="8.3", genre="Crime, Drama", duration_secs=10200,
        tmdb_id="949", imdb_id="tt0113277", logo_id=logo.id,
        description="A group of professional bank robbers feel the heat.",
        custom_properties={"youtube_trailer": "2GfZl4kuVNI"},
    )  # fmt: skip
    detail = {
        "director": "Michael Mann", "cast": "Al Pacino, Robert De Niro", "releasedate": "1995-12-15",
        "country": "USA", "mpaa_rating": "R",
        "video": {"codec_name": "hevc", "width": 3840, "height": 1600},
        "audio": {"codec_name": "eac3", "channels": 6},
    }  # fmt: skip
    properties = {"basic_data": {"name": "EN - Heat (1995)", "added": "1700000000"}, "detailed_info": detail}
    catalogue.relate(movie, account, stream_id="4711", custom_properties=properties)
    series = catalogue.series(
        "Lost", year=2004, rating="8.3", genre="Adventure", tmdb_id="4607", description="Crashed."
    )
    catalogue.episode(series, 1, 1, "Lost - S01E01 - Pilot", air_date="2004-09-22", duration_secs=2520)
    catalogue.episode(series, 0, 1, "The Journey Home", air_date="2005-04-27")
    return catalogue


def service_units() -> dict[Path, str]:
    """The units as they are for a program in /usr/local/bin, by the file."""
    program = Path("/usr/local/bin/vod2strmfs")
    made: dict[str, str] = {}
    for work in get_args(ServiceKind):
        for templated in (False, True):
            made |= units(work, program, templated=templated)
    return {DOCS.parent / "systemd" / name: text for name, text in made.items()}


def main() -> int:
    """Write the pages, or check them."""
    stale = []
    pages = {"settings.md": settings_page(), "layouts.md": layouts_page(), "vod2strmfs.1": man_page()}
    written = {DOCS / name: page for name, page in pages.items()} | service_units()
    for path, page in written.items():
        if "--check" not in sys.argv:
            path.write_text(page)
        elif not path.exists() or path.read_text() != page:
            stale.append(path.name)
    if stale:
        print(f"docs: {', '.join(stale)} out of date: run scripts/write_docs.py", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
