"""Keeps our own failures away from the app: they are counted, and logged at most once a minute."""

from __future__ import annotations

import logging
import time
import traceback
from threading import RLock

logger = logging.getLogger("pathhits")

#: Seconds between two log lines about the same kind of failure.
QUIET = 60.0


class Guard:
    """Counts failures by kind and says so in the log, rarely enough that a broken Redis does not fill a disk."""

    def __init__(self) -> None:
        self._lock = RLock()  # reentrant, as a SIGTERM may flush in the thread that holds it
        self._spoken: dict[str, float] = {}
        self.failures: dict[str, int] = {}

    def failed(self, kind: str, error: BaseException | str) -> None:
        """Note one failure of ``kind``; never raises."""
        with self._lock:
            count = self.failures[kind] = self.failures.get(kind, 0) + 1
            now = time.monotonic()
            speak = now - self._spoken.get(kind, -QUIET) >= QUIET
            if speak:
                self._spoken[kind] = now
        if speak:
            logger.warning("%s (%d so far): %s", kind, count, _said(kind, error))

    def after_fork(self) -> None:
        """Start afresh in a forked child, where the lock may have been held by a thread that is no more."""
        self._lock = RLock()


def _said(kind: str, error: BaseException | str) -> str:
    """What the log says of an error. Of our own bugs the place, not the message: that may quote a client's address."""
    if not isinstance(error, BaseException):
        return error
    if kind == "internal":
        return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
    return f"{type(error).__name__}: {error}"
