"""Runs a read that a visitor waits for, and stops waiting at the deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Reads that may be under way at once; with as many hanging, further ones are not even tried.
AT_ONCE = 8


class Overdue(Exception):
    """The read was not done in time, or too many others still hang."""


class _Read(Generic[T]):
    """One read in a thread of its own, since a database driver cannot be told to give up."""

    def __init__(self, ask: Callable[[], T], slots: threading.Semaphore) -> None:
        self._ask = ask
        self._slots = slots
        self.answer: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except BaseException as error:
            self.error = error
        finally:
            self._slots.release()


class Deadline:
    """Answers within ``seconds`` or raises `Overdue`; errors of the read itself are passed on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.after_fork()

    def after_fork(self) -> None:
        """Start afresh in a forked child, where the reads that were under way are no more."""
        self._slots = threading.Semaphore(AT_ONCE)

    @property
    def seconds(self) -> float:
        """What one question may take."""
        return self._seconds

    def ask(self, question: Callable[[], T], seconds: float | None = None) -> T:
        """The answer to ``question``; ``seconds`` is what is left where an earlier one took its part."""
        patience = self._seconds if seconds is None else max(seconds, 0.0)
        slots = self._slots
        if not slots.acquire(blocking=False):
            raise Overdue(f"{AT_ONCE} reads are still waiting for an answer")
        read = _Read(question, slots)
        thread = threading.Thread(target=read.run, name="pathhits-read", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            slots.release()
            raise
        thread.join(patience)
        if thread.is_alive():
            raise Overdue(f"no answer within {patience:g} s")
        if read.error is not None:
            raise read.error
        return read.answer  # type: ignore[return-value]  # set, as there was no error
