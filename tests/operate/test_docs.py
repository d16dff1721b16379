"""The documents say what is true."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import click
from libraries import Library

from vod2strmfs import PROJECT_URL
from vod2strmfs.cli.main import cli
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit
from vod2strmfs.materialize.output_stats import METRICS
from vod2strmfs.reports.rows import COLUMNS, Action, Reason, Type
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.status.state import MountState

SCOPES = ("database", "index", "filesystem", "output")
ROOT = Path(__file__).parents[2]


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_drawn_pictures_are_up_to_date_small_and_readable_by_night() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "pictures.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for picture in (ROOT / "docs/_static").glob("*.svg"):
        assert picture.stat().st_size < 10_000
        assert "prefers-color-scheme: dark" in picture.read_text()
        assert ElementTree.parse(picture).getroot().find("{*}title") is not None


def test_every_picture_is_shown_on_a_page() -> None:
    pages = (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    shown = {Path(target).name for page in pages for target in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text())}
    assert {path.name for path in (ROOT / "docs/_static").iterdir() if path.suffix != ".css"} == shown


def test_every_setting_is_an_option_but_for_those_that_the_page_names() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    options = {
        each.name for command in cli.commands.values() for each in command.params if isinstance(each, click.Option)
    }
    no_options = {"output_root", "api_key", "api_password", "notify", "status_token", "shelf"}
    assert set(Settings.model_fields) - options == no_options
    assert "`output_root` is no option" in page
    assert "`api_key`, `api_password` and `status_token` are no options" in page
    assert "Nor are `notify` and `shelf`" in page
    for command, lists in re.findall(r"^\| (`--.*`) \| (.*) \|$", page, re.M):
        for name in lists.split(", "):
            shown = {spelling for each in cli.commands[name].params for spelling in each.opts}
            assert set(re.findall(r"--[a-z-]+", command)) <= shown


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_place_that_a_link_names_is_a_heading() -> None:
    pages = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    for page in pages:
        for target, place in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", page.read_text()):
            there = page.parent / target if target else page
            assert place in headings(there), f"{page.name}: {target}#{place}"


def headings(page: Path) -> set[str]:
    """The places in a page that links can name, as GitHub calls them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }


def test_every_test_that_a_document_names_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for page in (ROOT / "docs").rglob("*.md"):
        for name in re.findall(r"`(test_\w+)`", page.read_text()):
            assert f"def {name}(" in tests, f"{page.name}: {name}"
        for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_file_that_the_architecture_names_exists() -> None:
    files = {
        str(path) for folder in ("vod2strmfs", "tests", "docs", "scripts") for path in (ROOT / folder).rglob("*.*")
    }
    named = re.findall(r"`([\w/.-]+\.(?:py|sql|md|html))[` ]", (ROOT / "docs/architecture.md").read_text())
    assert len(named) > 50
    for name in named:
        assert any(file.endswith(f"/{name}") for file in files), name


def test_every_word_of_a_report_is_explained() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    for word in (*COLUMNS, *Type, *Action, *Reason):
        assert re.search(rf"[`,]{word}[`,]", text), word


def test_every_count_is_explained(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    catalogue.movie("Ran", year=1985)
    library = Library(tmp_path)
    library.show(
        catalogue, LibrarySettings.model_validate({"years": "1990-", "shelf": [{"name": "Old", "years": "-1999"}]})
    )
    rows = re.findall(r"^\| (\w+) \| (.+?) \| .*\|$", (ROOT / "docs/commands.md").read_text(), re.M)
    explained = {f"{scope}.{name}" for scope, names in rows for name in names.split(", ")}
    counted = {name for name in library.metrics() if not re.search("filtered_by|on_shelf", name)} | {
        f"output.{name}" for name in METRICS
    }
    assert counted == {name for name in explained if name.partition(".")[0] in SCOPES} - {
        "index.filtered_by_…", "index.episodes_filtered_by_…", "index.titles_on_shelf_…",
    }  # fmt: skip
    assert "index.titles_on_shelf_Old" in library.metrics()
    assert "index.filtered_by_years" in library.metrics()


def test_every_exit_code_is_explained() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.M)} == {*map(int, Exit), 130, 143}


def test_the_project_has_one_address() -> None:
    """A fork changes `PROJECT_URL`, and is told here where else it stands."""
    pages = [ROOT / "README.md", ROOT / "pyproject.toml", *(ROOT / "docs").rglob("*.md")]
    stands = {page: set(re.findall(r"https?://[\w.-]+/[\w.-]+/vod2strmfs\b", page.read_text())) for page in pages}
    assert {page.relative_to(ROOT): found for page, found in stands.items() if found - {PROJECT_URL}} == {}
    assert stands[pages[0]]


def test_every_command_has_a_line_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^\| `vod2strmfs ([a-z-]+)", text, re.M)) == set(cli.commands)


def test_each_of_the_fifteen_symptoms_has_a_cause_and_a_remedy() -> None:
    symptoms = (ROOT / "docs/troubleshooting.md").read_text().partition("## What doctor says")[0].split("\n### ")[1:]
    assert len(symptoms) == 15
    for symptom in symptoms:
        assert "* **Why:** " in symptom, symptom
        assert "* **Do:** " in symptom, symptom


def test_the_page_lists_every_field_of_a_mounts_status() -> None:
    page = (ROOT / "docs" / "operation.md").read_text()
    table = page.partition("these are fields of a mount;")[2].partition("\n\nBeside them")[0]
    fields = {*MountState.__struct_fields__, "held", "cache_hit_rate"}  # `encode` adds the last two.
    assert set(re.findall("`(\\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.M)))) == fields
