"""The end of each command's help, and of its section in the man page: examples, exit codes, and where to read on."""

from collections.abc import Iterator
from typing import NamedTuple

import click

from vod2strmfs import PROJECT_URL
from vod2strmfs.errors import Exit

MEANINGS = {
    Exit.OK: "Done.",
    Exit.FAILED: "An unexpected error.",
    Exit.USAGE: "A setting, option or argument is unknown or cannot be used.",
    Exit.DATABASE: "The database cannot be read.",
    Exit.INDEX: "The index cannot be read or written.",
    Exit.MOUNT: "The file system cannot be mounted here, or no mount is running.",
    Exit.OUTPUT: "Some or all of the output could not be written.",
    Exit.SHRINK: "The shrink brake holds removals back.",
    Exit.WARNINGS: "doctor found something that one should look at.",
    Exit.PROBLEMS: "doctor found something that does not work.",
}
"""The meanings of exit codes."""


class Epilog(NamedTuple):
    """The examples and the exit codes of a command."""

    examples: tuple[tuple[str, str], ...]
    """Command lines without the program's name, and what each does."""
    codes: str
    """The digits of the exit codes with which it may end."""
    page: str = "commands.md"
    """The page of the documents to read on."""


EPILOGS = {
    "mount": Epilog(
        (
            ("mount", "Show the library at output_root until Ctrl-C, as the settings file says."),
            ("mount /data/STRM --daemon --allow-other", "Show it to all users, and return once it can be seen."),
            ("mount ~/films -c films.toml --status-listen 127.0.0.1:9192", "Another library, with a status page."),
        ),
        "01245",
        "operation.md",
    ),
    "films": Epilog(
        (
            ("films", "Show films that play at films_root until Ctrl-C, as the settings file says."),
            ("films /data/Films --daemon --allow-other", "Show them to all users, and return once they can be seen."),
            ("films ~/films --learn-rate 20 --max-streams 3", "Learn faster, from accounts with three streams."),
        ),
        "01245",
        "films.md",
    ),
    "learn": Epilog(
        (
            ("learn --limit 20", "Learn 20 films now, the newest first."),
            ('learn "Heat*" "Lost: *"', "Learn these before all others: a film, and the episodes of a series."),
            ("learn -q --json", "Learn all that there is, for programs."),
        ),
        "0124",
        "films.md",
    ),
    "umount": Epilog(
        (
            ("umount", "Unmount the library at output_root."),
            ("umount /data/STRM", "Unmount the library that is mounted there."),
            ("umount /data/STRM --lazy", "Take it away also while somebody uses it, or if it is dead."),
        ),
        "025",
    ),
    "materialize": Epilog(
        (
            ("materialize /data/STRM -n", "Write nothing; the report says what would be done."),
            ("materialize /data/STRM --cleanup preview", "Write, and list the files that have left the library."),
            ("materialize /data/STRM --cleanup apply --mode movies", "Write movies alone, and delete what left."),
        ),
        "0123467",
    ),
    "run": Epilog(
        (
            ('run /data/STRM --schedule "daily 03:30"', "Write the library every night."),
            ("run --auto --cleanup apply", "Write it whenever the catalogue has changed, and delete what left."),
            ("run --auto --status-listen 127.0.0.1:9192", "The same, with a status page."),
        ),
        "023",
    ),
    "hydrate": Epilog(
        (
            ("hydrate -n", "Say for which series would be asked."),
            ("hydrate --limit 50", "Ask for 50 series at most."),
            ('hydrate --series "Lost*"', "Ask for this series, whether it has episodes or not."),
        ),
        "0123",
        "hydrate.md",
    ),
    "artwork": Epilog(
        (
            ("artwork", "Fetch the posters and backgrounds that are missing, and show how far it is."),
            ("artwork --retry-failed", "Ask again for those that could not be had."),
            ("artwork -q --json", "The first, for programs."),
        ),
        "0124",
        "artwork.md",
    ),
    "report": Epilog(
        (
            ("report", "Show the newest report."),
            ("report --all", "Also what was skipped, or only noted."),
            ("report --follow", "Show what the run in progress does, until it ends."),
        ),
        "026",
    ),
    "stats": Epilog(
        (
            ("stats", "Count database and index, side by side."),
            ("stats /data/STRM", "The files there too."),
            ("stats --json", "The same for programs."),
        ),
        "0246",
    ),
    "titles": Epilog(
        (
            ("titles", "List all titles of several rows."),
            ('titles "Heat (19*"', "List what is called so, also titles of one row."),
            ("titles heat --json", "List what has this in its name, for programs."),
        ),
        "024",
        "names.md",
    ),
    "status": Epilog(
        (
            ("status", "Say how the mount is, or the service that materializes."),
            ("status --watch", "Say it every two seconds."),
            ("status --json", "Say it to programs."),
        ),
        "0234567",
        "operation.md",
    ),
    "notify": Epilog(
        (
            ("notify test", "Find out about the media servers that are told, and tell them nothing."),
            ("notify send", "Tell them what waits."),
            ("notify test /data/STRM --json", "The first, for programs."),
        ),
        "0129",
        "notify.md",
    ),
    "doctor": Epilog(
        (
            ("doctor", "Examine everything, and play a second of one film."),
            ("doctor --no-play", "Leave the film out."),
            ("doctor -c films.toml --json", "Examine another library, for programs."),
        ),
        "0289",
        "operation.md",
    ),
    "install-service": Epilog(
        (
            ("install-service", "A service that mounts the library of the settings file at every start."),
            ('install-service --run --schedule "daily 03:30"', "One that writes it every night."),
            ("install-service --remove", "Take the units away again; settings and library stay."),
        ),
        "0256",
        "operation.md",
    ),
    "init": Epilog(
        (
            ("init", "Ask what is needed, try each answer, and write the settings file."),
            ("init -c films.toml", "Write this file."),
            (
                "init /data/STRM --database sqlite:///dispatcharr.db --base-url http://192.168.1.10:9191",
                "Ask nothing.",
            ),
        ),
        "01236",
        "quickstart.md",
    ),
    "sync": Epilog(
        (
            ("sync", "Read the catalogue, and say what changed."),
            ("sync --accept-shrink", "Remove also what the shrink brake holds back."),
            ("sync -q --json", "The first, for programs."),
        ),
        "012347",
    ),
    "completion": Epilog(
        (
            ("completion bash", "The script for bash."),
            ("completion zsh", "The script for zsh."),
            ("completion fish", "The script for fish."),
        ),
        "02",
    ),
    "demo": Epilog(
        (
            ("demo demo.db", "Write a catalogue of 200 movies and 20 series into a new SQLite file."),
            ("demo demo.db --movies 100000 --series 0 --episodes 0", "A large one."),
            ("demo postgresql://dispatch@127.0.0.1/demo", "Into an empty database of PostgreSQL."),
        ),
        "012",
    ),
    "help": Epilog(
        (
            ("help", "List the commands."),
            ("help mount", "Show the options of `mount`."),
            ("help install-service", "Those of `install-service`."),
        ),
        "02",
    ),
    "vod2strmfs": Epilog(
        (
            ("init", "Ask what is needed, and write a settings file."),
            ("doctor", "Say what is wrong, and what to do about it."),
            ("mount --daemon", "Show the library."),
        ),
        "0123456789",
        "quickstart.md",
    ),
}
"""What stands at the end of each command's help, by its name; that of all commands has the program's."""


def write_epilog(name: str, formatter: click.HelpFormatter) -> None:
    """Write the end of a command's help."""
    epilog = EPILOGS[name]
    formatter.write("\nExamples:\n")
    for line, does in epilog.examples:
        formatter.write(f"  vod2strmfs {line}\n      {does}\n")
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), meaning) for code, meaning in codes_of(name)])
    formatter.write(f"\nMore: {page_url(name)}\n")


def codes_of(name: str) -> Iterator[tuple[Exit, str]]:
    """The exit codes of a command, and their meanings."""
    for digit in EPILOGS[name].codes:
        code = Exit(int(digit))
        yield code, MEANINGS[code]


def page_url(name: str) -> str:
    """The address of the page that says more about a command."""
    return f"{PROJECT_URL}/blob/main/docs/{EPILOGS[name].page}"
