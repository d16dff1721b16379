"""A PostgreSQL server of the tests' own: real, short-lived, loopback only, with passwords."""

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import psycopg
from processes import delete_in_use, lives
from psycopg.conninfo import conninfo_to_dict

_SETTINGS = """
listen_addresses = '{address}'
unix_socket_directories = '{sockets}'
port = {port}
fsync = off
full_page_writes = off
"""


class PostgresServer:
    """A server in a temporary folder; use it as a context manager, so that process and folder are gone afterwards.

    Its port and password stay the same over `stop` and `start`, so URLs outlive an outage.

    Args:
        primary: the server that this one is a streaming standby of; without one it is a primary itself.
        namespace: the network namespace that it runs in, if not ours. URLs lead to its socket in the file system,
            which all namespaces share.
        address: where it listens.
        port: the same; one that is free, if not given.

    Raises:
        RuntimeError: PostgreSQL's server programs are missing or fail; the message says what they said.
    """

    def __init__(
        self,
        *,
        primary: "PostgresServer | None" = None,
        namespace: str = "",
        address: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        self._programs = _find_programs()
        self._primary = primary
        self._namespace = namespace
        self._address = address
        self._password: str = primary._password if primary else secrets.token_hex(8)
        self.port = port or free_port()
        self._names = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="vod2strmfs-postgresql-"))
        try:
            self._initialise()
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean_up()

    @property
    def superuser_url(self) -> str:
        """The `postgres` database as the superuser."""
        return self._url("postgres", self._password, "postgres")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop it, and wait until it is gone; `fast` cuts connections off, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-D", "data", "-m", mode)

    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._call("pg_ctl", "status", "-D", "data").returncode == 0

    def kill(self) -> None:
        """Kill every process of it at once, as a power cut would, and wait until they are gone."""
        processes = self._processes()
        for process in processes:
            with suppress(ProcessLookupError):  # a session that has just ended
                os.kill(process, signal.SIGKILL)
        while any(lives(process) for process in processes):
            time.sleep(0.02)
        # As long as nobody has waited for the dead process, PostgreSQL would take it for a running server.
        (self._folder / "data/postmaster.pid").unlink()

    def pause(self) -> None:
        """Stop every process of it where it is; the kernel goes on acknowledging what comes in."""
        for process in self._processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        for process in self._processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def promote(self) -> None:
        """Make a standby a primary, and wait until it is one."""
        self._run("pg_ctl", "promote", "-w", "-D", "data")

    def admit(self, rule: str) -> None:
        """Start anew, with this line as the whole of pg_hba.conf."""
        self.stop()
        (self._folder / "data/pg_hba.conf").write_text(rule + "\n")
        self.start()

    def new_database(self, template: str = "template1") -> str:
        """The superuser's URL of a database that is new, and as empty as the one of that name or URL."""
        name = self._new_name("database")
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            # Without this, newer ones log every page of the template.
            how = "STRATEGY file_copy" if connection.info.server_version >= 150000 else ""
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template.rpartition('/')[2]} {how}".encode())
        return self._url("postgres", self._password, name)

    def create_role(self, database: str, *grants: str) -> str:
        """A new role that may log in and has these privileges alone.

        Args:
            database: a URL that `new_database` returned.
            grants: what stands between GRANT and TO, such as `"SELECT (id, name) ON vod_movie"`.

        Returns:
            The URL of the same database as the new role.
        """
        name, password = self._new_name("role"), secrets.token_hex(8)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'".encode())
            for grant in grants:
                connection.execute(f"GRANT {grant} TO {name}".encode())
        return self._url(name, password, str(conninfo_to_dict(database)["dbname"]))

    def _initialise(self) -> None:
        user, group = _run_as()
        if user is not None:
            shutil.chown(self._folder, user, group)
        if self._primary is not None:
            self._run(
                "pg_basebackup", "-D", "data", "-d", self._primary.superuser_url, "--write-recovery-conf",
                "--checkpoint", "fast", "--no-sync",
            )  # fmt: skip
        else:
            password_file = self._folder / "password"
            password_file.write_text(self._password)
            self._run(
                "initdb", "-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", "password",
                "--encoding", "UTF8", "--locale", "C", "--no-sync",
            )  # fmt: skip
            with (self._folder / "data" / "pg_hba.conf").open("a") as access:
                access.write("host all all samenet scram-sha-256\n")
        with (self._folder / "data" / "postgresql.conf").open("a") as config:
            sockets = "." if self._namespace else ""
            config.write(_SETTINGS.format(address=self._address, sockets=sockets, port=self.port))

    def _clean_up(self) -> None:
        try:
            if self.is_running():
                self.kill()
        finally:
            delete_in_use(self._folder)

    def _new_name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}_{self._names}"

    def _url(self, user: str, password: str, database: str) -> str:
        if self._namespace:
            folder = quote(str(self._folder / "data"), safe="")
            return f"postgresql://{user}:{password}@{folder}:{self.port}/{database}"
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def _processes(self) -> list[int]:
        """The server's processes, the first one first: no other can come when that is stopped."""
        first = int((self._folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(first, 0)
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def _run(self, program: str, *arguments: str) -> None:
        result = self._call(program, *arguments)
        if result.returncode != 0:
            log = self._folder / "log"
            raise RuntimeError(
                f"PostgreSQL's {program} failed:\n{result.stdout}{log.read_text() if log.exists() else ''}"
            )

    def _call(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        user, group = _run_as()
        command = [str(self._programs / program), *arguments]
        if self._namespace:
            identity = [] if user is None else [f"--setuid={user}", f"--setgid={group}"]
            command = ["nsenter", f"--net=/run/netns/{self._namespace}", *identity, "--", *command]
            user = group = None
        return subprocess.run(
            command,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
            group=group,
            extra_groups=None if user is None else (),
        )


def _find_programs() -> Path:
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    folders = sorted(installed, key=lambda folder: float(folder.parent.name), reverse=True)
    if pg_config := shutil.which("pg_config"):
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        folders.insert(0, Path(told.stdout.strip()))
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    looked = ", ".join(map(str, folders)) or "/usr/lib/postgresql/*/bin"
    raise RuntimeError(
        f"PostgreSQL's server programs (initdb, pg_ctl) are not in {looked}. These tests need them:"
        " install the distribution's PostgreSQL server (Debian and Ubuntu: postgresql)."
    )


def _run_as() -> tuple[int, int] | tuple[None, None]:
    """The user and group that the server runs as: ours, unless we are root, as which PostgreSQL refuses to run."""
    if os.geteuid() != 0:
        return None, None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as.")


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    # Below the range that Linux gives to outgoing connections, so that the port stays free during an outage. Processes
    # that share the tests have ports of their own: what one has found free may be found by another before it is used.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(20000 + worker, 32768, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    while True:
        port = random.choice(own)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
