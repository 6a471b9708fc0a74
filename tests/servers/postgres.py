"""A PostgreSQL of the tests' own, in a temporary folder, for whoever runs the tests (root included)."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.processes import ServerMissing, alive, children, stopped, wait_until
from tests.servers.sql import SqlServer


def find_program(name: str) -> str:
    """Path of a PostgreSQL program, on PATH or where Debian keeps the newest; `ServerMissing` without one."""
    if found := shutil.which(name):
        return found
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not installed:
        raise ServerMissing(f"PostgreSQL ({name}; Debian: postgresql)")
    return str(installed[-1])


def account() -> str | None:
    """PostgreSQL refuses to run as root: the account to use then, else None."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class PostgresServer(SqlServer):
    """Trusts everyone on its loopback port. ``fsync=False`` is quicker and survives `kill`, not a power cut."""

    graceful = signal.SIGINT  # "fast": ends the sessions instead of waiting for them

    def __init__(self, *, fsync: bool = True) -> None:
        self.binary, self.initdb = find_program("postgres"), find_program("initdb")
        super().__init__(fsync=fsync)

    def user(self) -> str | None:
        return account()

    def prepare(self) -> None:
        """initdb, as the account that will run the server."""
        identity: dict[str, str | int | list[str]] = {}
        if owner := account():
            entry = pwd.getpwnam(owner)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        command = [self.initdb, "-D", str(self.data), "-U", "postgres", "--auth=trust", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **identity)  # type: ignore[call-overload]  # mypy cannot read **
        assert done.returncode == 0, done.stderr

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if self.fsync else "off",
            "full_page_writes": "on" if self.fsync else "off",
            "max_connections": "100",
            # In the folder of its data, where nothing of it outlives the server, however that ends.
            "dynamic_shared_memory_type": "mmap",
        }
        return [self.binary, "-D", str(self.data), *(f"-c{name}={value}" for name, value in settings.items())]

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        with self._admin() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop_database(self, url: str) -> None:
        name = url.rpartition("/")[2]
        with self._admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def answers(self) -> bool:
        try:
            with self._admin() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def kill(self) -> None:
        """End the server and its sessions at once; a session left alone would finish its statement first."""
        family = self._freeze()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._running().wait()
        wait_until(lambda: not any(alive(pid) for pid in family), message="the sessions of PostgreSQL are gone")

    def pause(self) -> None:
        """Freeze the server and all its sessions."""
        self._freeze()

    def resume(self) -> None:
        """Let the server and its sessions go on."""
        for pid in [*children(self.pid), self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _freeze(self) -> list[int]:
        """Stop the parent first, so that the list of its children is complete; all their pids."""
        self._running().send(signal.SIGSTOP)
        wait_until(lambda: stopped(self.pid), message="PostgreSQL is stopped")
        family = [self.pid, *children(self.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(map(stopped, family)), message="its sessions are stopped")
        return family

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
        )
