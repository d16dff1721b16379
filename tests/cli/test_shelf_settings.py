"""Tables `[[shelf]]`: what they may say, and what is said of those that may not."""

from contextlib import closing
from pathlib import Path

import pytest

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor.finding import Level
from vod2strmfs.doctor.settings import shelves
from vod2strmfs.errors import SettingsError
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.service.refresh import refresh
from vod2strmfs.settings import Settings, load
from vod2strmfs.systemd.install import install


def given(folder: Path, text: str) -> Settings:
    path = folder / "settings.toml"
    path.write_text(text)
    return load(path, {})


def test_a_shelf_has_the_filters_of_the_library(tmp_path: Path) -> None:
    settings = given(
        tmp_path,
        '[[shelf]]\nname = "Kids"\ncategories = ["EN | Kids", "!*18+*"]\ngenres = "Family, Animation"\n'
        'years = "1990-"\nlanguages = ["EN"]\nids = ["tmdb-949"]\nadult = "exclude"\npicks = "kids.txt"\n'
        '[[shelf]]\nname = "Crime"\ngenres = ["Crime"]\n',
    )
    kids, crime = settings.library().shelf
    assert kids.categories == ("EN | Kids", "!*18+*")
    assert kids.genres == ("Family", "Animation")
    assert (kids.years, kids.adult) == ("1990-", "exclude")
    assert kids.picks == Path.cwd() / "kids.txt"
    assert (crime.name, crime.picks, crime.only) == ("Crime", None, False)


def test_shelves_in_the_environment_are_json(tmp_path: Path) -> None:
    settings = load(None, {}, {"VOD2STRMFS_SHELF": '{"name": "Crime", "genres": "Crime"}'})
    assert [shelf.name for shelf in settings.shelf] == ["Crime"]
    assert settings.is_library_given


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('name = "Kids"', "has to have a filter, such as genres, or picks"),
        ('genres = "Crime"', "table 1, name: is not there, and has to be"),
        ('name = "Kids"\ngenre = "Crime"', "table 1, genre: there is no such setting"),
        ('name = "Movies"\ngenres = "Crime"', "must not be that of a folder of the library"),
        ('name = "ｔｖ"\ngenres = "Crime"', "must not be that of a folder of the library"),
        ('name = "a/b"\ngenres = "Crime"', "must be the name of a folder"),
        ('name = ".."\ngenres = "Crime"', "must be the name of a folder"),
        ('name = ""\ngenres = "Crime"', "must be the name of a folder"),
        (f'name = "{"K" * 129}"\ngenres = "Crime"', "must not be longer than 128 bytes"),
        ('name = "A"\nyears = "soon"', "must be a year or a range"),
        ('name = "A"\nyears = "1990"\n[[shelf]]\nname = "a"\nyears = "1991"', "differ in case alone"),
        ('name = "A"\nyears = "1990"\nonly = true\n[[shelf]]\nname = "B"\nyears = "1991"', "has to be the only one"),
    ],
)
def test_what_no_shelf_can_be(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        given(tmp_path, f"[[shelf]]\n{table}\n")
    assert message in str(refused.value)
    assert str(refused.value).startswith("shelf in ")


@pytest.mark.complains("shelf Old is not in the settings any more")
def test_a_sync_without_settings_leaves_the_shelves_as_they_are(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    url = f"sqlite:///{tmp_path}/dispatcharr.db"
    catalogue.write(url)
    places = f'database = "{url}"\nstate_dir = "{tmp_path}/state"\nbase_url = "http://dispatcharr:9191"\n'
    refresh(given(tmp_path, f'{places}[[shelf]]\nname = "Old"\nyears = "-2000"\n'))
    refresh(load(None, {"database": url, "state_dir": str(tmp_path / "state")}), keep_library=True)
    with closing(Store(tmp_path / "state")) as store:
        assert [shelf.name for shelf in store.settings.shelf] == ["Old"]
        assert "Old/Movies/Heat (1995)" in dict(Tree(store).walk())
    # What a settings file says is what counts.
    refresh(given(tmp_path, places), keep_library=True)
    with closing(Store(tmp_path / "state")) as store:
        assert "Old" not in dict(Tree(store).walk())


def test_doctor_says_which_picks_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "kids.txt").write_text("Heat\nRan\n# none\n")
    (tmp_path / "latin.txt").write_bytes(b"Am\xe9lie\n")
    tables = "".join(
        f'[[shelf]]\nname = "{name}"\npicks = "{tmp_path}/{name}.txt"\n' for name in ("kids", "latin", "none")
    )
    found = [(each.level, each.text) for each in shelves(given(tmp_path, tables))]
    assert found == [
        (Level.OK, f"kids: {tmp_path}/kids.txt has 2 lines"),
        (Level.PROBLEM, f"latin: {tmp_path}/latin.txt cannot be read (it is not UTF-8)"),
        (Level.PROBLEM, f"none: {tmp_path}/none.txt cannot be read (No such file or directory)"),
    ]


def test_a_service_that_is_installed_has_the_shelves(tmp_path: Path) -> None:
    tables = (
        '[[shelf]]\nname = "Kids"\ngenres = ["Family"]\npicks = "kids.txt"\n[[shelf]]\nname = "Old"\nyears = "-1960"\n'
    )
    settings = given(tmp_path, f'database = "sqlite:///{tmp_path}/dispatcharr.db"\n{tables}')
    install(settings, "mount", "", Path("/usr/local/bin/vod2strmfs"), root=tmp_path)
    assert load(tmp_path / "etc/vod2strmfs.toml", {}).shelf == settings.shelf
