"""What pathhits says in the log: on a terminal, and how rarely about the same trouble."""

from __future__ import annotations

import logging
import time
from threading import RLock

#: Seconds between two log lines about the same kind of trouble.
QUIET = 60.0
#: Loggers of others that write four lines a job.
TALKATIVE = ("rq.worker", "alembic")


def log_to_stderr() -> None:
    """Show what is logged to the person, or the service manager, who started this process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class Rarely:
    """Counts trouble by kind, and knows when a kind may be spoken of again, ``every`` seconds after the last time."""

    def __init__(self, every: float = QUIET) -> None:
        self.every = every
        #: How often each kind came.
        self.counts: dict[str, int] = {}
        self._spoken: dict[str, tuple[float, int]] = {}
        self._lock = RLock()  # reentrant, as a SIGTERM may log in the thread that holds it

    def note(self, kind: str) -> int:
        """How often ``kind`` came since it was last spoken of, this time included; 0 while it is too soon for that."""
        with self._lock:
            count = self.counts[kind] = self.counts.get(kind, 0) + 1
            now = time.monotonic()
            spoken, before = self._spoken.get(kind, (-self.every, 0))
            if now - spoken < self.every:
                return 0
            self._spoken[kind] = now, count
            return count - before

    def after_fork(self) -> None:
        """Start afresh in a forked child, where the lock may have been held by a thread that is no more."""
        self._lock = RLock()


class Complaints(Rarely):
    """Logs each kind of trouble at most once a minute, with the number of times it was not logged."""

    def __init__(self, logger: logging.Logger, every: float = QUIET) -> None:
        super().__init__(every)
        self.logger = logger

    def __call__(self, kind: str, message: str, *args: object) -> None:
        times = self.note(kind)
        if times:
            more = f" ({times - 1} times more since the last such line)" if times > 1 else ""
            self.logger.warning(message + more, *args)
