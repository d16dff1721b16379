"""Settings: where a value comes from, which values are refused, and that secrets stay secret."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import Settings, dispatcharr_database, load


def from_toml(folder: Path, text: str) -> Settings:
    """The settings of a file with this text."""
    path = folder / "vod2strmfs.toml"
    path.write_text(text, "utf-8")
    return load(path, {}, {})


def refusal(folder: Path, text: str) -> str:
    """The message that a file with this text gets."""
    with pytest.raises(SettingsError) as refused:
        from_toml(folder, text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "default", "in_file", "in_environment", "on_command_line"),
    [
        ("base_url", "http://192.168.199.10:9191", ('"http://a"', "http://a"), ("http://b", "http://b"), "http://c"),
        ("write_nfo", True, ("false", False), ("yes", True), False),
        ("max_shrink", 20, ("30", 30), ("40", 40), "50"),
        ("poll_interval", 30.0, ("5", 5.0), ("2.5", 2.5), "0.5"),
        ("media_server", "any", ('"kodi"', "kodi"), ("plex", "plex"), "emby"),
        ("output_root", Path("/data/STRM"), ('"/a"', Path("/a")), ("/b", Path("/b")), "/c"),
        ("log_dir", None, ('"/a"', Path("/a")), ("/b", Path("/b")), "/c"),
        ("umask", 0o022, ('"027"', 0o027), ("077", 0o077), "007"),
        ("accounts", (), ('["A", "B"]', ("A", "B")), ("C, D", ("C", "D")), "E"),
    ],
)
def test_the_command_line_beats_the_environment_which_beats_the_file(
    tmp_path: Path, key: str, default: object, in_file: Any, in_environment: Any, on_command_line: Any
) -> None:
    file = tmp_path / "vod2strmfs.toml"
    file.write_text(f"{key} = {in_file[0]}\n")
    environment = {f"VOD2STRMFS_{key.upper()}": in_environment[0]}
    last = load(None, {key: on_command_line}, {})
    assert getattr(load(None, {}, {}), key) == default
    assert getattr(load(file, {}, {}), key) == in_file[1]
    assert getattr(load(file, {}, environment), key) == in_environment[1]
    assert getattr(load(file, {key: on_command_line}, environment), key) == getattr(last, key)
    values = [default, in_file[1], in_environment[1], getattr(last, key)]
    assert all(one != following for one, following in pairwise(values))


@pytest.mark.parametrize("umask", ['"022"', '"0o022"', "0o022", "18"])
def test_a_umask_is_octal_text_or_a_number(tmp_path: Path, umask: str) -> None:
    assert from_toml(tmp_path, f"umask = {umask}").umask == 0o022


def test_a_home_directory_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/kim")
    assert from_toml(tmp_path, 'state_dir = "~/state"').state_dir == Path("/home/kim/state")


def test_empty_variables_count_as_not_set(tmp_path: Path) -> None:
    file = tmp_path / "vod2strmfs.toml"
    file.write_text('log_dir = "/logs"\nmax_shrink = 5\n')
    settings = load(file, {}, {"VOD2STRMFS_LOG_DIR": "", "VOD2STRMFS_MAX_SHRINK": "", "VOD2STRMFS_DATABASE": ""})
    assert (settings.log_dir, settings.max_shrink, settings.database) == (Path("/logs"), 5, None)


def test_logs_and_reports_are_in_the_state_directory_unless_said_otherwise() -> None:
    settings = load(None, {"state_dir": "/s"}, {})
    assert (settings.logs, settings.reports) == (Path("/s/logs"), Path("/s/reports"))
    settings = load(None, {"state_dir": "/s", "log_dir": "/l", "report_dir": "/r"}, {})
    assert (settings.logs, settings.reports) == (Path("/l"), Path("/r"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('base_url = "ftp://host"', "http://"),
        ('base_url = "http://"', "http://"),
        ('base_url = "http://[::1"', "IPv6"),
        ('base_url = "http://host:99999"', "port from 1 to 65535"),
        ('base_url = "http://host:films"', "port from 1 to 65535"),
        ('base_url = "http://host:0"', "port from 1 to 65535"),
        ('base_url = "http://host?"', "query"),
        ('base_url = "http://host/#"', "fragment"),
        ('base_url = "http://host/#films"', "fragment"),
        ('base_url = "http://host/a b"', "spaces"),
        ('base_url = "http://host/?a=b"', "query"),
        ('base_url = ""', "http://"),
        ("base_url = 9191", '"quotes"'),
        ('movie_path = "/movie"', "{uuid}"),
        ('movie_path = "/{id}/{uuid}"', "not {id}"),
        ('episode_path = "/{uuid}/{season_number}"', "not {season_number}"),
        ('movie_path = "/{uuid}/{"', "not {"),
        ('movie_path = "/{uuid}#play"', "fragment"),
        ('name_regex = "("', "regular expression"),
        ('pin_stream = "perhaps"', "true or false"),
        ("pin_stream = 7", "true or false"),
        ('media_server = "jelly"', "jellyfin"),
        ("adult = false", "must be 'include', 'exclude' or 'only'"),
        ('max_shrink = "many"', "whole number"),
        ("max_shrink = 101", "100"),
        ("max_shrink = 2.5", "whole number"),
        ("max_shrink = true", "true or false"),
        ("uid = true", "true or false"),
        ('uid = "plex"', "`id -u NAME`"),
        ('gid = "plex"', "`id -g NAME`"),
        ("uid = -1", "0"),
        ("uid = 4294967295", "4294967294"),
        ('poll_interval = "soon"', "must be a number"),
        ('films_cache = "20 GB"', "must be a number without a unit"),
        ('max_shrink = "20%"', "must be a whole number without a unit"),
        ("poll_interval = nan", "86400"),
        ("poll_interval = inf", "86400"),
        ("poll_interval = 0", "0.2"),
        ('umask = "999"', "octal"),
        ('umask = "-22"', "777"),
        ('umask = "1777"', "777"),
        ("umask = 1023", "777"),
        ('state_dir = ""', "empty"),
        ("state_dir = 5", "path"),
        ('state_dir = "/a\\u0000b"', "NUL"),
        ('name_regex = "a\\u0000b"', "NUL"),
        ("concurrency = 0", "1"),
        ("categories = 5", '["A", "B"]'),
        ('schedule = "25:00"', "25:00 is no time of day"),
        ('schedule = "daily 7:65"', "7:65 is no time of day"),
        ('schedule = "03:30"', "write `daily 03:30`"),
        ('schedule = "* *"', "a crontab of 5 fields"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_key_the_file_the_value_and_the_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    message = refusal(tmp_path, line)
    key, _, value = line.partition(" = ")
    assert message.startswith(f"{key} in {tmp_path}/vod2strmfs.toml: ")
    assert reason in message
    assert value.strip('"').split("\\")[0].lower() in message.lower()
    assert "\n" not in message


@pytest.mark.parametrize("host", ["h:99999", "h:0", "h:x", "[::1]:99999", "a:5432,b:99999"])
def test_a_port_that_a_database_cannot_have_is_refused_and_the_password_not_shown(tmp_path: Path, host: str) -> None:
    message = refusal(tmp_path, f'database = "postgresql://kim:geheim@{host}/dispatcharr"')
    assert "port from 1 to 65535" in message
    assert "geheim" not in message
    for right in (host.replace("99999", "5433").replace(":0", "").replace(":x", ""), ""):
        from_toml(tmp_path, f'database = "postgresql://kim:geheim@{right}/dispatcharr"')


def test_every_bad_value_has_a_line_of_its_own(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "uid = -1\ngid = -1\n").splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["uid", "gid"]


def test_errors_name_the_variable_or_the_option_that_was_wrong() -> None:
    with pytest.raises(SettingsError, match=r"^VOD2STRMFS_MAX_SHRINK: "):
        load(None, {}, {"VOD2STRMFS_MAX_SHRINK": "x"})
    with pytest.raises(SettingsError, match=r"^--max-shrink: "):
        load(None, {"max_shrink": "x"}, {"VOD2STRMFS_MAX_SHRINK": "y"})
    with pytest.raises(SettingsError, match=r"^MOUNTPOINT: "):
        load(None, {"output_root": ""}, {}, spelling={"output_root": "MOUNTPOINT"})


def test_a_value_that_is_overridden_may_be_bad(tmp_path: Path) -> None:
    assert load(None, {"max_shrink": "5"}, {"VOD2STRMFS_MAX_SHRINK": "x"}).max_shrink == 5


def test_unknown_keys_are_errors_that_name_them_and_what_may_be_meant(tmp_path: Path) -> None:
    assert "base_ulr in " in (message := refusal(tmp_path, 'base_ulr = "http://a"'))
    assert "Did you mean base_url?" in message
    for key in ("BASE_URL", "base-url", "VOD2STRMFS_BASE_URL", "Base_Url"):
        assert "Did you mean base_url?" in refusal(tmp_path, f'{key} = "http://a"')
    assert "quux in " in (message := refusal(tmp_path, "quux = 1"))
    assert message.endswith("there is no such setting. docs/settings.md lists them all.")
    message = refusal(tmp_path, "log_level = 1")
    assert "The nearest: log_dir, " in message
    assert len(message) < 300 + len(str(tmp_path))
    with pytest.raises(SettingsError, match=r"^--max-shrnk: .* --max-shrink\?"):
        load(None, {"max_shrnk": "5"}, {})
    with pytest.raises(SettingsError, match=r"^VOD2STRMFS_BASEURL: .* VOD2STRMFS_BASE_URL\?"):
        load(None, {}, {"VOD2STRMFS_BASEURL": "http://a"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base_url = http://x", 'line 1: `base_url = http://x`: text has to stand in "quotes".'),
        ("max_shrink = 5\n\nbase_url = http://x\n", 'line 3: `base_url = http://x`: text has to stand in "quotes".'),
        ("base_url = http://kim:geheim@x", 'line 1: `base_url = http://kim:***@x`: text has to stand in "quotes".'),
        ("database = postgresql://kim:geheim@x/db", 'line 1: `database = …`: text has to stand in "quotes".'),
        ("databse = postgresql://kim:geheim@x/db", "line 1: is not TOML: Invalid value."),
        ("schedule = 03:30", 'line 1: `schedule = 03:30`: text has to stand in "quotes".'),
        ("years = 1990-2005", 'line 1: `years = 1990-2005`: text has to stand in "quotes".'),
        ("umask = 022", 'line 1: `umask = 022`: text has to stand in "quotes".'),
        ("allow_other = Yes", "line 1: `allow_other = Yes`: must be true or false, in small letters."),
        ("categories = EN*", 'line 1: `categories = EN*`: must be a list, as in ["A", "B"].'),
        ("concurrency = many", "line 1: `concurrency = many`: must be a number."),
        ("base_url: http://x", "line 1: is not TOML: Expected '=' after a key in a key/value pair."),
        (
            "max_shrink = 1\nmax_shrink = 2\n",
            "line 2: is not TOML: Cannot overwrite a value. The setting stands there twice.",
        ),
        (
            'base_url = "http://x',
            "is not a TOML file: Unterminated string (at end of document). A quote, a bracket or a comma is missing.",
        ),
        (
            "base_url = 'http://x",
            'is not a TOML file: Expected "\'" (at end of document). A quote, a bracket or a comma is missing.',
        ),
        (
            'genres = ["Drama" "Crime"]',
            "line 1: is not TOML: Unclosed array. A quote, a bracket or a comma is missing.",
        ),
        ("genres = [Drama, Crime]", 'line 1: `genres = [Drama, Crime]`: must be a list, as in ["A", "B"].'),
        (
            r'name_regex = "\d+"',
            r"line 1: is not TOML: Unescaped '\' in a string. Write text with a \ in 'single quotes'.",
        ),
        (
            r'log_dir = "C:\Users"',
            r"line 1: is not TOML: Invalid hex value. Write text with a \ in 'single quotes'.",
        ),
    ],
)
def test_broken_toml_is_an_error_that_names_the_line_and_what_to_write(tmp_path: Path, text: str, says: str) -> None:
    assert refusal(tmp_path, text) == f"{tmp_path}/vod2strmfs.toml: {says}"


def test_toml_that_is_too_deep_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, "x = [" + "[" * 5000).startswith(f"{tmp_path}/vod2strmfs.toml: is not a TOML file")


@pytest.mark.parametrize(
    "text", ['[mount]\nbase_url = "http://a"', "[accounts]\na = 1", "mount.a = 1", "[[mount]]\na = 1"]
)
def test_sections_are_refused_and_it_says_what_to_write_instead(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert "sections are not used" in message
    assert "without the line [" in message


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_of_windows_editor_is_read(tmp_path: Path, end: str) -> None:
    file = tmp_path / "vod2strmfs.toml"
    file.write_bytes(b"\xef\xbb\xbf" + f'log_dir = "/Füße"{end}max_shrink = 5{end}'.encode())
    settings = load(file, {}, {})
    assert (settings.log_dir, settings.max_shrink) == (Path("/Füße"), 5)


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "latin1.toml").write_bytes(b'max_shrink = 5\nlog_dir = "\xe9"')
    (tmp_path / "utf16.toml").write_bytes('log_dir = "/a"'.encode("utf-16"))
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.toml", "No such file"),
        (tmp_path / "latin1.toml", "line 2 has a character that is not UTF-8. Save the file as UTF-8."),
        (tmp_path / "utf16.toml", "line 1 has a character that is not UTF-8. Save the file as UTF-8."),
    ):
        with pytest.raises(SettingsError) as refused:
            load(path, {}, {})
        assert str(refused.value).startswith(f"{path}: ")
        assert reason in str(refused.value)


def test_absurdly_long_values_are_not_repeated_in_full() -> None:
    for key in ("output_root", "base_url", "max_shrink", "umask", "media_server"):
        with pytest.raises(SettingsError) as refused:
            load(None, {key: "9" * 100_000}, {})
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kim:geh@eim@host/db",
        "postgresql://kim:geh/eim@host/db",
        "postgres://k@m:geheim@host",
        "postgresql://kim:geh/e@im@host/db?sslmode=require",
        "postgresql://kim:geh%eim@host/db",
        "postgresql://kim:geh eim@host/db",
    ],
)
def test_a_url_that_libpq_would_take_apart_wrongly_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {"database": url}, {})
    assert str(refused.value).startswith("--database: must have special characters of the user and the password")
    assert "geh" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kim:geh%40eim@host:5432/db",
        "postgresql://kim:geh?eim@host/db",
        "postgresql://host/db?application_name=a@b",
        "postgresql://kim:geheim@host/db?application_name=a@b",
        "postgresql://kim@a,b:5433/db?target_session_attrs=prefer-standby",
        "postgresql:///db?host=/var/run/postgresql",
        "host=@abstract password='p@s/s'",
        "password = 'a://b' host=a",
        "postgresql://",
        "sqlite:////srv/a@b/c@d.db",
    ],
)
def test_every_other_connection_string_is_taken_as_it_is(url: str) -> None:
    assert load(None, {"database": url}, {}).database_url() == url


def test_secrets_are_in_no_form_of_the_settings_but_the_source() -> None:
    settings = load(None, {"database": "postgresql://kim:geheim@host/db"}, {})
    assert "geheim" in settings.database_url()
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "geheim" not in shown


@pytest.mark.parametrize(
    "value",
    [
        True,
        5,
        ["geheim"],
        {"password": "geheim"},
        "geheim=\0",
        "",
        "geheim.db",
        "mysql://kim:geheim@host/db",
        "sqlite:geheim.db",
        "sqlite:///",
    ],
)
def test_a_bad_database_is_refused_without_showing_it(value: object) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {"database": value}, {})
    assert str(refused.value).startswith("--database: ")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://kim:geheim@host:9191/films", "http://kim:ge@heim@host", "http://kim:ge/heim@host:9191"]
)
def test_a_password_in_the_base_url_is_in_its_value_alone(url: str) -> None:
    try:
        settings = load(None, {"base_url": url}, {})
    except SettingsError as refused:
        assert "heim" not in str(refused)  # noqa: PT017
        return
    assert settings.library().base_url == url
    for shown in (repr(settings), str(settings), repr(settings.library()), *settings.warnings()):
        assert "heim" not in shown
        assert "kim:***@host" in shown
    assert any("its password stands in every .strm" in warning for warning in settings.warnings())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://kim:geheim@host", "kim:geheim@host", "http://kim:geheim@host:99999", "http://kim:geh/eim@host:99999",
        "http:/kim:geheim@host", "http://kim:geheim@", "http://kim:geheim@host/?a", "http://kim:geheim@[::1",
        "postgresql://kim:geheim@host/db", "http://kim:geheim@host/a b", "http://kim:geh eim@host", "kim:geh eim@host",
        "http://k im:geheim@host", "http://kim:[geh]eim@host", "kim:[geh]eim@host", "http://kim:geheim\u2100@host",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["base_url", "status_listen", "max_shrink", "media_server", "movie_path", "years"])
def test_the_password_of_a_url_is_in_no_message_about_a_bad_value(name: str, url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {name: url}, {})
    assert not re.search("geh|eim", str(refused.value))
    with pytest.raises(SettingsError) as refused:
        load(None, {"max_shrink": [url]}, {})
    assert not re.search("geh|eim", str(refused.value))


def test_a_base_url_that_was_forgotten_is_told_and_one_that_is_given_is_not() -> None:
    assert any("base_url is not set" in warning for warning in load(None, {}, {}).warnings())
    assert list(load(None, {"base_url": "http://192.168.199.10:9191"}, {}).warnings()) == []
    assert list(load(None, {}, {"VOD2STRMFS_BASE_URL": "http://192.168.1.2:9191"}).warnings()) == []


def test_dispatcharrs_variables_stand_in_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_HOST", "db")
    monkeypatch.setenv("POSTGRES_PASSWORD", r"it's \ secret")
    assert conninfo_to_dict(load(None, {}, {}).database_url()) == {
        "host": "db", "port": "5432", "dbname": "dispatcharr", "user": "dispatch", "password": r"it's \ secret",
    }  # fmt: skip
    assert load(None, {"database": "sqlite:///a.db"}, {}).database_url() == "sqlite:///a.db"


def test_all_of_dispatcharrs_variables_are_read_and_empty_ones_are_not_set() -> None:
    environment = {
        "POSTGRES_HOST": "db",
        "POSTGRES_PORT": "5436",
        "POSTGRES_DB": "films",
        "POSTGRES_USER": "kim",
        "POSTGRES_PASSWORD": "geheim",
        "POSTGRES_SSL": "true",
        "POSTGRES_SSL_MODE": "require",
        "POSTGRES_SSL_CA_CERT": "/ca",
        "POSTGRES_SSL_CERT": "/cert",
        "POSTGRES_SSL_KEY": "/key",
    }
    assert conninfo_to_dict(dispatcharr_database(environment)) == {
        "host": "db", "port": "5436", "dbname": "films", "user": "kim", "password": "geheim",
        "sslmode": "require", "sslrootcert": "/ca", "sslcert": "/cert", "sslkey": "/key",
    }  # fmt: skip
    empty = dict.fromkeys(environment, "") | {"POSTGRES_HOST": "db"}
    assert conninfo_to_dict(dispatcharr_database(empty)) == {
        "host": "db", "port": "5432", "dbname": "dispatcharr", "user": "dispatch", "password": "secret",
    }  # fmt: skip
    assert "sslmode=verify-full" in dispatcharr_database({"POSTGRES_HOST": "db", "POSTGRES_SSL": "true"}).replace(
        "'", ""
    )
    assert "sslmode" not in dispatcharr_database({"POSTGRES_HOST": "db", "POSTGRES_SSL": "false"})


def test_without_any_database_the_error_says_how_to_give_one() -> None:
    for environment in ({}, {"POSTGRES_HOST": "", "POSTGRES_DB": "dispatcharr"}):
        with pytest.raises(SettingsError, match=r"--database .* VOD2STRMFS_DATABASE.* POSTGRES_HOST"):
            dispatcharr_database(environment)
