"""The demo's child processes: each in a process group of its own, its output shown by line, ended by its handle."""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from demo_app import guard

GRACE_S = 15.0
POLL_S = 0.05
GUARD = [sys.executable, str(Path(guard.__file__).resolve())]


class Child:
    """One running process; Ctrl-C in the terminal does not reach it, it ends when the launcher says so."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], reader: Thread) -> None:
        self.name = name
        self._process = process
        self._reader = reader

    @property
    def group(self) -> int:
        """Its process group, which is its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        if self.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and whatever of its group is left, and wait for it."""
        guard.send(self.group, signal.SIGKILL)
        self._process.wait()

    def drain(self) -> None:
        """Wait until its last line is shown; someone it left behind may hold the pipe, so not for long."""
        self._reader.join(timeout=1.0)


class Children:
    """All processes of a run, until `stop`; ``lock`` is a file the guard keeps open for as long as one may be left."""

    def __init__(self, lock: int) -> None:
        self._children: list[Child] = []
        self._printer = Printer(sys.stdout, width=len("release"))
        self._colours = get_colours()
        self._lock = Lock()
        self._guard = subprocess.Popen(GUARD, stdin=subprocess.PIPE, start_new_session=True, pass_fds=[lock])

    def start(self, name: str, command: str | Sequence[str], env: Mapping[str, str], cwd: Path) -> Child:
        """Start a command line (text is read by the shell, which it replaces)."""
        words = ["/bin/sh", "-c", f"exec {command}"] if isinstance(command, str) else list(command)
        process = subprocess.Popen(
            words,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._tell_guard(f"+{process.pid}")
        reader = Thread(
            target=self._show, args=(name, process, next(self._colours)), name=f"output of {name}", daemon=True
        )
        reader.start()
        child = Child(name, process, reader)
        self._children.append(child)
        return child

    def ended(self) -> Child | None:
        """A child that has ended though nobody asked it to, if there is one."""
        return next((child for child in self._children if child.returncode is not None), None)

    def forget(self, child: Child) -> None:
        """Watch a child no more that has done its work."""
        self._children.remove(child)
        self._tell_guard(f"-{child.group}")

    def stop(self) -> None:
        """End all of them; the first, which the others write to, is the last to go."""
        for some in (self._children[1:], self._children[:1]):
            _end(some)
        self._children.clear()
        self._tell_guard("done")
        if self._guard.stdin:
            self._guard.stdin.close()
        self._guard.wait()

    def _tell_guard(self, line: str) -> None:
        if self._guard.stdin:
            self._guard.stdin.write(f"{line}\n".encode())
            self._guard.stdin.flush()

    def _show(self, name: str, process: subprocess.Popen[bytes], colour: str) -> None:
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                with self._lock:
                    self._printer.write(Message("line", line, datetime.datetime.now().astimezone(), name, colour))


def _end(children: Sequence[Child]) -> None:
    deadline = time.monotonic() + GRACE_S
    for child in children:
        child.terminate()
    while any(child.returncode is None for child in children) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for child in children:
        child.kill()
        child.drain()
