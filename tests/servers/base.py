"""What the test servers have in common: a folder, a port, a child process, and how it is stopped and started."""

from __future__ import annotations

import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.processes import START_TIMEOUT, Process, free_port, wait_until


class Server(ABC):
    """One server in a folder of its own; `with` starts it, and removes it with its data."""

    #: The signal that makes it finish what it does and end.
    graceful = signal.SIGTERM

    def __init__(self) -> None:
        # Short on purpose: the path of a unix socket may have about 100 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pathhits-"))
        self.port = free_port()
        self.process: Process | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line of the server."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers a client now."""

    def prepare(self) -> None:  # noqa: B027  # not every server needs it
        """Make the data folder, once, before the first start."""

    def user(self) -> str | None:
        """The account to run under; None for the one of the tests."""
        return None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the process runs, paused or not."""
        return self.process is not None and self.process.running

    def start(self) -> Self:
        """Start it and return when it answers."""
        assert not self.running, "it runs already"
        # Killed when the tests are: it may be paused, and there is nothing that it should save.
        self.process = Process(
            self.command(), cwd=self.folder, log=self.folder / "server.log", user=self.user(), orphaned=signal.SIGKILL
        ).start()
        wait_until(self._answers_or_ended, START_TIMEOUT, f"{type(self).__name__} answers")
        return self

    def stop(self) -> None:
        """End it gracefully; its data stays."""
        self._running().send(self.graceful)
        self._running().wait()

    def kill(self) -> None:
        """End it at once, as a crash does; what it had not written is lost."""
        self._running().kill()

    def restart(self) -> None:
        """Stop it when it runs, and start it on the same port with the same data."""
        if self.running:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._running().pause()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._running().resume()

    def log(self) -> str:
        """What it printed so far."""
        return self._running().output()

    def __enter__(self) -> Self:
        try:
            if self.process is None:
                self.prepare()
            return self if self.running else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it and remove its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> Process:
        assert self.process is not None, "it was not started"
        return self.process

    def _answers_or_ended(self) -> bool:
        process = self._running()
        if not process.running:
            raise AssertionError(f"{process!r} ended with {process.returncode}:\n{process.output()[-4000:]}")
        return self.answers()
