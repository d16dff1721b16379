"""Having episodes fetched: `vod2strmfs hydrate` with a real PostgreSQL and Dispatcharr's API on loopback."""

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from databases import Database
from dispatcharr_api import KEY, PASSWORD, USER, DispatcharrApi
from mounts import TIMEOUT, command, eventually
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.hydrate import hydrate as check
from vod2strmfs.doctor.settings import secrets
from vod2strmfs.hydrate.api import Api, AwayError
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.settings import Settings, load

FAST = "6000"


def unopened(number: int, accounts: int = 1) -> Catalogue:
    """A catalogue of series of which nobody has opened any, and one film."""
    catalogue = Catalogue()
    owners = [catalogue.account(f"Account {each}") for each in range(accounts)]
    catalogue.movie("Heat", relations=owners[:1])
    for each in range(number):
        catalogue.series(f"Series {each}", year=1990 + each % 30, relations=[owners[each % accounts]])
    return catalogue


@pytest.fixture
def library(postgres: PostgresServer) -> Callable[..., Database]:
    """Makes a database with a catalogue."""
    return lambda catalogue: Database(postgres.new_database()).fill(catalogue)


class Runner:
    """Runs `vod2strmfs hydrate` for a database.

    Args:
        folder: for its state.
        database: the catalogue's.
        url: of the API.
    """

    def __init__(self, folder: Path, database: Database, url: str) -> None:
        self._folder = folder
        self._database = database
        self._url = url
        self.environment = {"VOD2STRMFS_API_KEY": KEY}

    def arguments(self, *options: str) -> list[str]:
        """The command line."""
        return command(
            "hydrate", "--database", self._database.url, "--state-dir", self._folder / "state", "--api-url", self._url,
            *(() if "--rate" in options else ("--rate", FAST)), *options,
        )  # fmt: skip

    def run(self, *options: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        done = subprocess.run(
            self.arguments(*options), env=os.environ | self.environment, capture_output=True, text=True, check=False,
            timeout=TIMEOUT,
        )  # fmt: skip
        assert done.returncode == code, done.stderr + done.stdout
        assert "panel-password" not in done.stdout + done.stderr
        for secret in self.environment.values():
            assert secret not in done.stdout + done.stderr
        return done

    def json(self, *options: str, code: int = 0) -> dict[str, Any]:
        """What it says as JSON."""
        return dict(json.loads(self.run("--json", *options, code=code).stdout))


def episodes(database: Database) -> dict[int, int]:
    """How many episodes each series has."""
    import psycopg

    with psycopg.connect(database.owner_url) as session:
        return dict(session.execute("SELECT series_id, count(*) FROM vod_episode GROUP BY 1").fetchall())


def test_series_without_episodes_are_filled_each_asked_for_once(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(20))
    with DispatcharrApi(database.owner_url) as api:
        runner = Runner(tmp_path, database, api.url)
        done = runner.run()
        assert "20 series asked for, 20 filled; 0 have no episodes yet." in done.stdout
        assert "done in about" in done.stderr
        assert runner.run().stdout == "Every series has episodes.\n"
    assert episodes(database) == dict.fromkeys(range(1, 21), 4)
    assert set(api.asked.values()) == {1}


def test_a_dry_run_asks_for_nothing(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(3))
    with DispatcharrApi(database.owner_url) as api:
        done = Runner(tmp_path, database, api.url).run("--dry-run", "--rate", "1")
        assert done.stdout.endswith("3 series would be asked for, which takes about 3 minutes.\n")
        assert not api.requests


def test_the_rate_holds_and_one_account_is_asked_once_at_a_time(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(8, accounts=2))
    with DispatcharrApi(database.owner_url) as api:
        api.delay = 0.3
        Runner(tmp_path, database, api.url).run("--rate", "300")
    with closing(sqlite3.connect(tmp_path / "state/hydrate.db")) as queue:
        noted = [at for (at,) in queue.execute("SELECT at FROM request ORDER BY at")]
    # On a busy machine a request may be late, and the next one on time; but none comes before its turn.
    assert all(after - before >= 0.2 for before, after in pairwise(noted))
    assert all(came >= at for at, came in zip(noted, api.times, strict=True))
    assert max(api.most_at_once.values()) == 1
    assert set(api.asked.values()) == {1}


def test_with_hydrate_parallel_an_account_is_asked_several_times_at_once(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(9))
    with DispatcharrApi(database.owner_url) as api:
        api.delay = 0.5
        Runner(tmp_path, database, api.url).run("--hydrate-parallel", "3")
    assert api.most_at_once[1] == 3


def test_a_named_series_is_asked_for_by_id_uuid_or_name(library: Callable[..., Database], tmp_path: Path) -> None:
    catalogue = unopened(5)
    uuid = catalogue.series("Lost [4K]").uuid
    database = library(catalogue)
    with DispatcharrApi(database.owner_url) as api:
        runner = Runner(tmp_path, database, api.url)
        runner.run("--series", "2", "--series", "series [23]")
        assert sorted(api.asked) == [2, 3, 4]
        runner.run("--series", "lost [4k]")
        runner.run("--series", "*4", "--series", uuid)
        assert sorted(api.asked) == [2, 3, 4, 5, 6]
        assert api.asked[6] == 2
        assert api.fetched[6] == 1
        done = runner.run("--series", "Nothing like it*", code=2)
        assert "there is no series 'Nothing like it*'" in done.stderr


def test_the_limit_and_the_budget_hold(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(12))
    with DispatcharrApi(database.owner_url) as api:
        runner = Runner(tmp_path, database, api.url)
        assert runner.json("--limit", "3")["asked"] == 3
        done = runner.json("--hydrate-budget", "5")
        assert (done["asked"], done["budget_used_up"], done["missing"]) == (2, True, 7)
        assert runner.json("--hydrate-budget", "5")["asked"] == 0
        assert runner.json("--limit", "4")["asked"] == 4
    assert len(api.asked) == 9


def test_series_that_have_episodes_are_asked_for_again_when_they_are_old(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(3))
    with DispatcharrApi(database.owner_url) as api:
        runner = Runner(tmp_path, database, api.url)
        runner.run()
        assert runner.json("--older-than", "1")["asked"] == 0
        time.sleep(1.2)
        assert runner.json("--older-than", "0.00001")["asked"] == 3
    # Dispatcharr itself asked the provider an hour ago at most.
    assert set(api.fetched.values()) == {1}


def test_a_series_that_its_provider_cannot_serve_is_left_alone_for_a_day(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(3))
    with DispatcharrApi(database.owner_url, fault=lambda series, _: "failed" if series == 3 else "") as api:
        runner = Runner(tmp_path, database, api.url)
        done = runner.run("--limit", "1")
        assert "1 failed: Dispatcharr failed over it (500)" in done.stdout
        assert api.asked == {3: 1}


def test_what_was_written_in_spite_of_an_error_is_not_asked_for_again(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    faults = {1: "failed_written", 2: "cut_written", 3: "late_commit"}
    database = library(unopened(3, accounts=3))
    with DispatcharrApi(database.owner_url, fault=lambda series, _: faults[series]) as api:
        runner = Runner(tmp_path, database, api.url)
        runner.run()
        eventually(lambda: len(episodes(database)) == 3)
        assert runner.run().stdout == "Every series has episodes.\n"
    assert api.asked == {1: 1, 2: 1, 3: 1}


def test_who_asks_for_fewer_requests_gets_none_for_a_while(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(6, accounts=2))
    with DispatcharrApi(database.owner_url, fault=lambda series, times: "refused_429" if series == 5 else "") as api:
        runner = Runner(tmp_path, database, api.url)
        with subprocess.Popen(
            runner.arguments(), env=os.environ | runner.environment, stderr=subprocess.PIPE
        ) as asking:
            eventually(lambda: all(api.asked[series] for series in (2, 4, 5, 6)))
            time.sleep(1)
            asked = sum(api.asked[series] for series in (1, 3, 5))
            time.sleep(1)
            assert sum(api.asked[series] for series in (1, 3, 5)) == asked
            assert api.asked[5] == 1
            assert [api.asked[series] for series in (2, 4, 6)] == [1, 1, 1]
            asking.send_signal(signal.SIGTERM)
            assert asking.wait(TIMEOUT) == 0


@pytest.mark.parametrize("watched", ["films_watched", "channels_watched"])
def test_an_account_at_its_stream_limit_is_never_asked(
    library: Callable[..., Database], tmp_path: Path, watched: str
) -> None:
    database = library(unopened(4, accounts=2))
    with DispatcharrApi(database.owner_url) as api:
        api.profiles[1] = [{"id": 7, "max_streams": 5}, {"id": 8, "is_default": True, "max_streams": 2}]
        setattr(api, watched, [8, 8, 7])
        runner = Runner(tmp_path, database, api.url)
        with subprocess.Popen(runner.arguments(), env=os.environ | runner.environment) as asking:
            eventually(lambda: len(episodes(database)) == 2)
            time.sleep(1)
            asking.send_signal(signal.SIGTERM)
            assert asking.wait(TIMEOUT) == 0
        assert sorted(api.asked) == [2, 4]
        setattr(api, watched, [8, 7])
        time.sleep(0.1)
        Runner(tmp_path / "other", database, api.url).run()
    assert sorted(api.asked) == [1, 2, 3, 4]


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused_stops_and_is_told_what_to_do(
    library: Callable[..., Database], tmp_path: Path, status: int
) -> None:
    database = library(unopened(3))
    with DispatcharrApi(database.owner_url) as api:
        api.status = status
        done = Runner(tmp_path, database, api.url).run(code=1)
        assert f"({status})" in done.stderr
        assert "administrator" in done.stderr or "Make a key" in done.stderr
        assert len(api.requests) == 1


def test_without_a_way_to_sign_in_it_says_what_is_missing(library: Callable[..., Database], tmp_path: Path) -> None:
    runner = Runner(tmp_path, library(unopened(1)), "http://127.0.0.1:9")
    runner.environment = {}
    assert "api_key: not set" in runner.run(code=2).stderr


def test_a_key_may_stand_in_a_file(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(2))
    (tmp_path / "key").write_text(KEY + "\n")
    with DispatcharrApi(database.owner_url) as api:
        runner = Runner(tmp_path, database, api.url)
        runner.environment = {}
        runner.run("--api-key-file", str(tmp_path / "key"))
    assert len(api.asked) == 2
    (tmp_path / "key").write_text("one\ntwo\n")
    assert "has to hold the secret alone" in runner.run("--api-key-file", str(tmp_path / "key"), code=2).stderr


def test_a_user_signs_in_and_is_renewed_when_the_token_ends(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(4))
    with DispatcharrApi(database.owner_url) as api:
        api.token_requests = 2
        runner = Runner(tmp_path, database, api.url)
        runner.environment = {"VOD2STRMFS_API_PASSWORD": PASSWORD}
        runner.run("--api-user", USER)
        assert api.tokens > 1
        runner.environment = {"VOD2STRMFS_API_PASSWORD": "wrong-password"}
        done = Runner(tmp_path, database, api.url)
        done.environment = runner.environment
        assert "does not let admin sign in (401)" in done.run("--api-user", USER, "--series", "1", code=1).stderr
    assert len(episodes(database)) == 4


def test_a_redirect_to_another_host_is_not_told_the_key(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(1))
    with DispatcharrApi(database.owner_url) as api, DispatcharrApi(database.owner_url) as other:
        api.moved_to = other.url
        done = Runner(tmp_path, database, api.url).run(code=1)
        assert f"redirects to {other.url}, which is not told who asks. Set api_url" in done.stderr
        assert not other.requests


def test_a_redirect_to_what_is_no_address_is_an_answer_that_did_not_come(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(1))
    with DispatcharrApi(database.owner_url) as api:
        api.moved_to = "http://["
        settings = Settings(base_url=api.url, api_key=KEY)

        async def ask() -> None:
            async with Api(HydrateOrder.of(settings, api.url), 5) as asked:
                await asked.streams(1)

        with pytest.raises(AwayError) as away:
            trio.run(ask)
    assert away.value.outcome.why == "what stands before Dispatcharr sends us on to no address"


def test_what_is_not_dispatcharr_is_said(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(1))
    with DispatcharrApi(database.owner_url) as api:
        api.page = True
        runner = Runner(tmp_path, database, api.url)
        with subprocess.Popen(runner.arguments(), env=os.environ | runner.environment) as asking:
            eventually(lambda: bool(api.requests))
            asking.send_signal(signal.SIGTERM)
            assert asking.wait(TIMEOUT) == 0
        assert not api.asked


def test_an_unknown_certificate_is_refused_unless_it_is_configured(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    database = library(unopened(1))
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    both = tmp_path / "both.pem"
    both.write_text(certificate.read_text() + key.read_text())
    with DispatcharrApi(database.owner_url, certificate=both) as api:
        runner = Runner(tmp_path, database, api.url)
        assert "a certificate that this host does not trust. Set api_ca_file" in runner.run(code=1).stderr
        runner.run("--api-ca-file", str(certificate))
    assert api.asked == {1: 1}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_after_the_answer_and_the_next_run_goes_on(
    library: Callable[..., Database], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    database, told = library(unopened(5)), threading.Event()

    def answer(series: int, _: int) -> str:
        """The second one when the signal has come."""
        if len(api.order) == 2:
            told.wait(TIMEOUT)
        return ""

    with DispatcharrApi(database.owner_url, fault=answer) as api:
        runner = Runner(tmp_path, database, api.url)
        with subprocess.Popen(
            runner.arguments(), env=os.environ | runner.environment, stdout=subprocess.PIPE, text=True
        ) as asking:
            eventually(lambda: sum(api.asked.values()) == 2)
            asking.send_signal(number)
            time.sleep(0.5)
            told.set()
            assert asking.wait(TIMEOUT) == code
            assert asking.stdout is not None
            assert "It was ended by a signal; the next run goes on." in asking.stdout.read()
        assert sum(api.asked.values()) == 2
        runner.run()
    assert set(api.asked.values()) == {1}
    assert len(episodes(database)) == 5


def test_series_that_the_filters_keep_out_are_not_asked_for(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(6, accounts=2))
    with DispatcharrApi(database.owner_url) as api:
        Runner(tmp_path, database, api.url).run("--accounts", "Account 1", "--years", "1992-")
    assert sorted(api.asked) == [4, 6]


def test_a_series_is_fetched_by_the_relation_that_the_library_shows(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    catalogue = Catalogue()
    high, low = catalogue.account("High", priority=10), catalogue.account("Low")
    series = catalogue.series("Lost", relations=[high, low])
    database = library(catalogue)
    with DispatcharrApi(database.owner_url) as api:
        Runner(tmp_path, database, api.url).run("--accounts", "Low")
        assert f"relation_id={series.relations[1].id}" in api.requests[-1]
        Runner(tmp_path / "all", database, api.url).run("--versions", "all")
        assert f"relation_id={series.relations[0].id}" in api.requests[-1]
    assert api.asked == {1: 2}


def test_a_series_is_fetched_by_the_relation_that_its_user_prefers(
    library: Callable[..., Database], tmp_path: Path
) -> None:
    """Else its episodes would be of the other one, in another language, and nobody would ask for these ever again."""
    catalogue = Catalogue()
    series = catalogue.series("Lost", relations=[])
    for mark, account in (("EN", catalogue.account("High", priority=10)), ("FR", catalogue.account("Low"))):
        catalogue.relate(series, account, custom_properties={"basic_data": {"name": f"{mark} - Lost"}})
    # One that has no choice.
    other = catalogue.series("Dark", relations=[series.relations[0].account])
    english, french = (f"relation_id={each.id}" for each in series.relations)
    database = library(catalogue)
    with DispatcharrApi(database.owner_url) as api:

        def asked(*options: str) -> list[str]:
            """The relations that it is asked for, by which each series is fetched."""
            del api.requests[:]
            Runner(tmp_path / "-".join(options), database, api.url).run(*options)
            return sorted(each.partition("&")[2] for each in api.requests if "provider-info" in each)

        dark = f"relation_id={other.relations[0].id}"
        assert asked() == sorted([english, dark])
        assert asked("--prefer-languages", "FR") == [french]
        assert asked("--prefer-languages", "FR") == []
        assert asked("--prefer-languages", "EN") == []
    assert api.asked == {series.id: 2, other.id: 1}


def test_doctor_says_whether_the_api_lets_us_in(library: Callable[..., Database], tmp_path: Path) -> None:
    database = library(unopened(1))

    def examine(url: str, **more: object) -> Finding:
        given = {"database": database.url, "state_dir": str(tmp_path), "hydrate": "background", "api_url": url, **more}
        [finding] = list(check(load(None, given, {})))
        assert finding.level == Level.OK or finding.advice
        return finding

    with DispatcharrApi(database.owner_url) as api:
        assert examine(api.url, api_key=KEY).level == Level.OK
        assert not api.asked
        assert "does not accept the API key (401)" in examine(api.url, api_key="wrong").text
        api.status = 403
        assert "(403)" in examine(api.url, api_key=KEY).text
    assert "api_key: not set" in examine(api.url).text
    assert "cannot be reached" in examine(api.url, api_key=KEY).text
    assert list(check(load(None, {"hydrate": "off"}, {}))) == []


def test_a_key_in_a_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "vod2strmfs.toml"
    config.write_text(f'database = "sqlite:////x.db"\napi_key = "{KEY}"\n')
    config.chmod(0o644)
    [finding] = list(secrets(load(config, {}, {}), config))
    assert (finding.text, finding.advice) == (
        f"{config} holds a secret, and others can read it",
        f"Run `chmod 600 {config}`.",
    )
    config.chmod(0o600)
    assert list(secrets(load(config, {}, {}), config)) == []


def test_the_service_gets_the_key_and_nobody_else(tmp_path: Path) -> None:
    environment = os.environ | {"VOD2STRMFS_API_KEY": KEY}
    install = command("install-service", "--database", "sqlite:////x.db", "--root", tmp_path, "--hydrate", "background")
    done = subprocess.run(install, env=environment, capture_output=True, text=True, check=True)
    config = tmp_path / "etc/vod2strmfs.toml"
    assert (config.stat().st_mode & 0o777) == 0o600
    settings = load(config, {}, {})
    assert settings.api_key is not None
    assert (settings.api_key.get_secret_value(), settings.hydrate) == (KEY, "background")
    assert KEY not in done.stdout + done.stderr
    assert not any(KEY in path.read_text() for path in (tmp_path / "etc/systemd/system").iterdir())


def test_settings_show_no_secret() -> None:
    given = {"api_key": "geheim", "api_password": "geheim", "api_url": "http://kim:geheim@host:9191"}
    assert "geheim" not in repr(load(None, given, {}))
    order = HydrateOrder.of(load(None, given, {}), "http://host")
    assert (order.key, order.password) == ("geheim", "geheim")
    assert "geheim" not in repr(order)
