"""Child processes of the tests: start one, read what it prints, wait for a fact, end it by its own handle."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pathhits.jobs.worker import end_with_parent

T = TypeVar("T")

POLL = 0.02  # seconds between two looks at a condition
START_TIMEOUT = 60.0  # seconds; a loaded machine of two cores starts a database slowly
STOP_TIMEOUT = 60.0  # seconds
WAIT_TIMEOUT = 60.0  # seconds; a machine may stand still for some of them
#: Below those that Linux (32768) and others (49152) give to clients, and so many for each process of the tests.
PORTS, PORTS_EACH = range(20_000, 32_000), 200


class ServerMissing(Exception):
    """A program that a test needs is not installed; the message says which."""


def in_ci() -> bool:
    """Whether a missing server must fail the run instead of skipping the test."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def free_port() -> int:
    """A TCP port of the loopback that is free, and that nobody gets by chance before it is used.

    Whoever asks the system for any port gets one above `PORTS`; of these, each process of the tests has some for
    itself. So a server that is started again finds its port free, and nothing answers where a server is away.
    """
    ports = _own_ports()
    for _ in range(PORTS_EACH):
        port = next(ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"all {PORTS_EACH} ports of these tests are in use")


@cache
def _own_ports() -> Iterator[int]:
    """Ports of this process alone, round and round: a lock that ends with it says that they are taken."""
    folder = Path(f"/tmp/pathhits-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    for first in PORTS[::PORTS_EACH]:
        lock = os.open(folder / str(first), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return itertools.cycle(range(first, first + PORTS_EACH))
    raise RuntimeError("other tests have all the ports")


def wait_until(condition: Callable[[], T | None], timeout: float = WAIT_TIMEOUT, message: str = "") -> T:
    """The first truthy value of ``condition``, looked at every 20 ms; AssertionError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {message or getattr(condition, '__name__', condition)}")
        time.sleep(POLL)


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(10.0)
        return probe.connect_ex((host, port)) == 0


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return _stat(pid)[:1] != ["Z"]


def children(pid: int) -> list[int]:
    """The pids of the direct children of a process."""
    if not Path("/proc/self/stat").exists():
        table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return [int(child) for child, parent in map(str.split, table.splitlines()) if int(parent) == pid]
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [child for child in pids if _stat(child)[1:2] == [str(pid)]]


def stopped(pid: int) -> bool:
    """Whether all threads of the process stand still; true where nothing tells, as the signal was delivered."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return True
    return all(state in "TtZ" for task in tasks.iterdir() for state in _stat(pid, int(task.name))[:1])


def _stat(pid: int, thread: int | None = None) -> list[str]:
    """State, parent and what follows them in /proc, or nothing where that is not known."""
    try:
        return Path(f"/proc/{pid}/task/{thread or pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _begin(orphaned: signal.Signals, parent: int) -> None:
    """What a child does first: Ctrl-C ends it even when the tests run in the background, where shells ignore that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(orphaned, parent)


class Process:
    """A child in a session of its own; its output goes to a file, and the `with` block ends it whatever happens.

    ``user`` is given to start it under another account; only root can. When the tests are killed, it gets the signal
    ``orphaned``, where the system can do that.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        log: Path | None = None,
        user: str | None = None,
        orphaned: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = [str(word) for word in command]
        self.env = env
        self.cwd = cwd
        self.user = user
        self.orphaned = orphaned
        self.log = log or _new_log()
        self._owns_log = log is None
        self._child: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Process {shlex.join(self.command)[:100]}>"

    def start(self) -> Self:
        """Start it and return at once; ``env`` is added to the environment of the tests."""
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                env={**os.environ, **(self.env or {})},
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                group=_group(self.user),
                extra_groups=[] if self.user else None,
                preexec_fn=partial(_begin, self.orphaned, os.getpid()),
            )
        return self

    @property
    def pid(self) -> int:
        """Process id of the child itself; RuntimeError before `start`."""
        if self._child is None:
            raise RuntimeError(f"{self!r} was not started")
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return None if self._child is None else self._child.poll()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def output(self) -> str:
        """Everything it printed so far, both streams."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_line(self, pattern: str, timeout: float = START_TIMEOUT) -> re.Match[str]:
        """The first match of the pattern in the output; AssertionError when the child ends or time runs out."""
        return self._await(lambda: re.search(pattern, self.output(), re.MULTILINE), timeout, f"a line like {pattern!r}")

    def wait_for_port(self, port: int, timeout: float = START_TIMEOUT) -> None:
        """Return when the port accepts connections; AssertionError as in `wait_for_line`."""
        self._await(lambda: accepts(port), timeout, f"port {port}")

    def _await(self, condition: Callable[[], T | None], timeout: float, what: str) -> T:
        def look() -> T | None:
            ended = not self.running  # before the look: what it printed last counts
            found = condition()
            if ended and not found:
                raise AssertionError(f"{self!r} ended with {self.returncode} before {what}:\n{self.output()[-4000:]}")
            return found

        try:
            return wait_until(look, timeout, what)
        except AssertionError as error:
            if self.running:
                raise AssertionError(f"{error}; {self!r} printed:\n{self.output()[-4000:]}") from None
            raise

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Its exit status once it has ended; subprocess.TimeoutExpired when it does not."""
        assert self._child is not None
        return self._child.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child itself; nothing happens when it has ended."""
        if self.running:
            os.kill(self.pid, number)

    def send_to_group(self, number: signal.Signals) -> None:
        """Send a signal to it and those of its children that stayed in its group, as Ctrl-C in a terminal does."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(self.pid, number)

    def terminate(self, timeout: float = STOP_TIMEOUT) -> int:
        """SIGTERM, then its exit status."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL for the child alone, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """SIGSTOP: it neither works nor answers, its connections stay open."""
        self.send(signal.SIGSTOP)
        wait_until(lambda: stopped(self.pid), message=f"{self!r} is stopped")

    def resume(self) -> None:
        """SIGCONT: it goes on where it was."""
        self.send(signal.SIGCONT)

    def close(self) -> None:
        """End it and its group, and remove its log when nobody asked for one."""
        if self._child is not None:
            if self.running:
                self.resume()
                try:
                    self.terminate(timeout=20.0)
                except subprocess.TimeoutExpired:
                    self.kill()
            self.send_to_group(signal.SIGKILL)
        if self._owns_log:
            self.log.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self if self._child is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _new_log() -> Path:
    handle, name = tempfile.mkstemp(prefix="pathhits-", suffix=".log")
    os.close(handle)
    return Path(name)


def _group(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None
