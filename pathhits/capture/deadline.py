"""Runs a read that a visitor waits for, and stops waiting at the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from pathhits.capture.mark import make_mark

T = TypeVar("T")

#: Reads that may be under way at once. Others wait for a place; with as many overdue, further ones are not even tried.
AT_ONCE = 8
#: Part of the deadline for which a read waits for its place: one that began later would hold it in vain.
WAIT = 0.5


class Overdue(Exception):
    """The read was not done in time, or could not be begun, as too many others still hang."""


class _Places:
    """The places of reads under way, and how many of these nobody waits for any more."""

    def __init__(self) -> None:
        self.free = AT_ONCE
        self._overdue = 0
        self._changed = threading.Condition(threading.Lock())

    def take(self, patience: float) -> None:
        """Take a place, or wait for one; `Overdue` where there was none in time, or will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self.free or self._overdue == AT_ONCE, patience)
            if not self.free:
                hang = self._overdue == AT_ONCE
                what = "are still waiting for an answer" if hang else f"were under way for {patience:g} s"
                raise Overdue(f"{AT_ONCE} reads {what}")
            self.free -= 1

    def give_back(self, read: _Read[T] | None = None) -> None:
        """Take back the place of a read that is over, or was never begun."""
        with self._changed:
            self.free += 1
            if read is not None:
                read.over = True
                self._overdue -= read.overdue
            self._changed.notify()

    def give_up(self, read: _Read[T]) -> bool:
        """Note that nobody waits for the read any more, unless it is over; whether it is not."""
        with self._changed:
            if not read.over:
                read.overdue = True
                self._overdue += 1
                if self._overdue == AT_ONCE:
                    self._changed.notify_all()
            return read.overdue


class _Read(Generic[T]):
    """One read in a thread of its own, since a database driver cannot be told to give up."""

    def __init__(self, ask: Callable[[], T], places: _Places) -> None:
        self._ask = ask
        self._places = places
        self.over = self.overdue = False
        self.answer: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except BaseException as error:
            self.error = error
        finally:
            self._places.give_back(self)


class Deadline:
    """Answers within ``seconds`` or raises `Overdue`; errors of the read itself are passed on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.after_fork()

    def after_fork(self) -> None:
        """Start afresh in a forked child, where the reads that were under way are no more."""
        self._mark = make_mark()
        self._places = _Places()

    @property
    def seconds(self) -> float:
        """What one question may take."""
        return self._seconds

    def ask(self, question: Callable[[], T], seconds: float | None = None) -> T:
        """The answer to ``question``; ``seconds`` is what is left where an earlier one took its part.

        Waiting for one of the `AT_ONCE` places is a part of it, at most half; while all are held by reads that are
        overdue themselves, the store hangs, and nobody waits.
        """
        if not self._mark[0]:  # uWSGI forks without telling Python
            self.after_fork()
        patience = self._seconds if seconds is None else max(seconds, 0.0)
        until = time.monotonic() + patience
        places = self._places
        places.take(patience * WAIT)
        read = _Read(question, places)
        thread = threading.Thread(target=read.run, name="pathhits-read", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            places.give_back()
            raise Overdue(f"no thread could be started to read: {error}") from None
        overdue = True
        try:
            thread.join(max(until - time.monotonic(), 0.0))
        finally:
            overdue = places.give_up(read)
        if overdue:
            raise Overdue(f"no answer within {patience:g} s")
        if read.error is not None:
            raised, read.error = read.error, None
            try:
                raise raised
            finally:
                # Its traceback leads to the question, and so to whose it was: that is not to wait for the collector.
                del raised
        return read.answer  # type: ignore[return-value]  # set, as there was no error
