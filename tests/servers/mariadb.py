"""A MariaDB of the tests' own, in a temporary folder, with its default (merging) utf8mb4 collation."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import subprocess

import pymysql

from tests.servers.processes import ServerMissing
from tests.servers.sql import SqlServer


def find_program(*names: str) -> str:
    """Path of the first of these programs that is installed; `ServerMissing` without one."""
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin"):
            return found
    raise ServerMissing(f"MariaDB ({names[0]}; Debian: mariadb-server)")


class MariaDBServer(SqlServer):
    """Accepts root without a password on its loopback port. ``fsync=False`` is quicker and survives `kill`."""

    def __init__(self, *, fsync: bool = True) -> None:
        self.binary = find_program("mariadbd")
        self.install = find_program("mariadb-install-db", "mysql_install_db")
        super().__init__(fsync=fsync)

    def prepare(self) -> None:
        """Make the system tables, with a root who needs no password."""
        command = [self.install, "--no-defaults", f"--datadir={self.data}", f"--user={getpass.getuser()}"]
        # Temporary tables of its own: two servers made at once have removed each other's in the shared folder.
        command += ["--auth-root-authentication-method=normal", "--skip-test-db", f"--tmpdir={self.folder}"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def command(self) -> list[str]:
        settings = {
            "datadir": self.data,
            "tmpdir": self.folder,
            "user": getpass.getuser(),
            "port": self.port,
            "bind-address": "127.0.0.1",
            "socket": self.folder / "mariadb.sock",
            "pid-file": self.folder / "mariadb.pid",
            "character-set-server": "utf8mb4",
            "innodb-flush-log-at-trx-commit": 1 if self.fsync else 2,
            "innodb-buffer-pool-size": "64M",
            "innodb-log-file-size": "32M",
        }
        flags = ["--skip-name-resolve", "--skip-log-bin"]
        return [self.binary, "--no-defaults", *flags, *(f"--{name}={value}" for name, value in settings.items())]

    @property
    def url(self) -> str:
        return self.url_of("mysql")

    def url_of(self, database: str) -> str:
        return f"mariadb+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def create_database(self, name: str) -> None:
        self._execute(f"CREATE DATABASE `{name}`")

    def drop_database(self, url: str) -> None:
        name = url.partition("?")[0].rpartition("/")[2]
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
            for (session,) in cursor.fetchall():
                with contextlib.suppress(pymysql.err.OperationalError):  # it ended by itself
                    cursor.execute(f"KILL {int(session)}")
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _connect(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", connect_timeout=5, read_timeout=60, autocommit=True
        )
