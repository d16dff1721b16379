"""Settings: where a value comes from, which values are refused, and that secrets stay secret."""

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
        ('base_url = "http://host:99999"', "Port"),
        ('base_url = "http://host/a b"', "spaces"),
        ('base_url = "http://host/?a=b"', "query"),
        ('base_url = ""', "http://"),
        ("base_url = 9191", "string"),
        ('movie_path = "/movie"', "{uuid}"),
        ('name_regex = "("', "regular expression"),
        ('pin_stream = "perhaps"', "boolean"),
        ('media_server = "jelly"', "jellyfin"),
        ('max_shrink = "many"', "integer"),
        ("max_shrink = 101", "100"),
        ("max_shrink = 2.5", "integer"),
        ("max_shrink = true", "true or false"),
        ("uid = true", "true or false"),
        ("uid = -1", "0"),
        ("uid = 4294967295", "4294967294"),
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
    assert "quux in " in (message := refusal(tmp_path, "quux = 1"))
    assert "concurrency" in message
    assert "library in " in refusal(tmp_path, '[library]\nbase_url = "http://a"')
    with pytest.raises(SettingsError, match=r"^VOD2STRMFS_BASEURL: .* base_url\?"):
        load(None, {}, {"VOD2STRMFS_BASEURL": "http://a"})


@pytest.mark.parametrize("text", ["base_url", "a = 1\na = 2", "x = [" + "[" * 5000])
def test_broken_toml_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith(f"{tmp_path}/vod2strmfs.toml: is not a TOML file")


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "latin1.toml").write_bytes(b'log_dir = "\xe9"')
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.toml", "No such file"),
        (tmp_path / "latin1.toml", "is not a TOML file"),
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
    assert load(None, {"database": url}, {}).source() == url


def test_secrets_are_in_no_form_of_the_settings_but_the_source() -> None:
    settings = load(None, {"database": "postgresql://kim:geheim@host/db"}, {})
    assert "geheim" in settings.source()
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


def test_dispatcharrs_variables_stand_in_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_HOST", "db")
    monkeypatch.setenv("POSTGRES_PASSWORD", r"it's \ secret")
    assert conninfo_to_dict(load(None, {}, {}).source()) == {
        "host": "db", "port": "5432", "dbname": "dispatcharr", "user": "dispatch", "password": r"it's \ secret",
    }  # fmt: skip
    assert load(None, {"database": "sqlite:///a.db"}, {}).source() == "sqlite:///a.db"


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
