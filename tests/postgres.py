"""A real PostgreSQL for tests: Debian's programs, a cluster of its own, on a unix socket only."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

USER = "mesh"
DATABASE = "mesh"
_ACCOUNTS = ("postgres", "nobody")
"""Who runs the server where the tests run as root, which PostgreSQL refuses."""


def programs() -> Path:
    """Return the folder of the newest PostgreSQL that is installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    assert on_path, "PostgreSQL is not installed, and its tests need it: apt install postgresql"
    return Path(on_path).resolve().parent


@dataclass
class Postgres:
    """A server in a folder of its own."""

    folder: Path
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    schemas: int = 0

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"

    def url(self, schema: str = "public") -> str:
        """Return the URL of the database, with the schema as the place of its tables."""
        where = f"host={quote(str(self.folder), safe='')}&options=-csearch_path%3D{schema}"
        return f"postgresql://{USER}:{self.password}@/{DATABASE}?{where}"

    def new_schema(self) -> str:
        """Make an empty schema and return its name."""
        self.schemas += 1
        name = f"s{os.getpid()}_{self.schemas}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return name

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection that commits each statement."""
        return psycopg.connect(
            host=str(self.folder),
            user=USER,
            password=self.password,
            dbname=DATABASE,
            autocommit=True,
            application_name="tests",
        )

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL's against the server."""
        done = subprocess.run(
            [str(programs() / program), "-h", str(self.folder), "-U", USER, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PGPASSWORD": self.password},
        )
        assert done.returncode == 0, done.stderr

    def terminate_controllers(self) -> int:
        """Cut the connections of message stores; return how many there were."""
        with self.connect() as connection:
            cut = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'agentsmesh-controller'"
            )
            return len(cut.fetchall())

    def start(self) -> None:
        """Start the server, or start it again."""
        bin_folder = programs()
        argv = [str(bin_folder / "postgres"), "-D", str(self.folder / "data")]
        argv += ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "max_connections=60"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, cwd=self.folder, **_account()
            )
        ready = [str(bin_folder / "pg_isready"), "-q", "-h", str(self.folder)]
        for _ in range(200):
            if subprocess.run([*ready, "-t", "1"], check=False).returncode == 0:
                return
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"PostgreSQL does not get ready: {self.log.read_text()}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts the connections and ends in order, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


def _account() -> dict[str, Any]:
    """Return how to start a program as somebody whom PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    entry = _entry()
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _entry() -> pwd.struct_passwd:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in _ACCOUNTS if name in known)


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server for as long as the block runs."""
    bin_folder = programs()
    folder = Path(tempfile.mkdtemp(prefix="mesh-pg-", dir="/tmp"))
    server = Postgres(folder)
    try:
        secret = folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(server.password)
        if os.geteuid() == 0:
            for path in (folder, secret):
                os.chown(path, _entry().pw_uid, _entry().pw_gid)
        argv = [str(bin_folder / "initdb"), "-D", str(folder / "data"), "-U", USER]
        argv += ["-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--locale=C"]
        made = subprocess.run(
            argv, capture_output=True, text=True, check=False, cwd=folder, **_account()
        )
        assert made.returncode == 0, made.stderr
        server.start()
        with psycopg.connect(
            host=str(folder),
            user=USER,
            password=server.password,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
