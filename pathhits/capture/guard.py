"""Keeps our own failures away from the app: they are counted, and logged at most once a minute."""

from __future__ import annotations

import logging
import traceback

from pathhits.logs import Rarely

logger = logging.getLogger("pathhits")


class Guard:
    """Counts failures by kind and says so in the log, rarely enough that a broken Redis does not fill a disk."""

    def __init__(self) -> None:
        self._rarely = Rarely()
        #: How often each kind of failure came.
        self.failures = self._rarely.counts

    def failed(self, kind: str, error: BaseException | str, *, quote: bool = True) -> None:
        """Note one failure of ``kind``; never raises. Unless ``quote``, the log has its place, not its words."""
        if self._rarely.note(kind):
            said = _said(error, quote=quote and kind != "internal")
            logger.warning("%s (%d so far): %s", kind, self.failures[kind], said)

    def after_fork(self) -> None:
        """Start afresh in a forked child, where a lock may have been held by a thread that is no more."""
        self._rarely.after_fork()


def _said(error: BaseException | str, *, quote: bool) -> str:
    """What the log says of an error. Of bugs the place, not the message: that may quote a client's address."""
    if not isinstance(error, BaseException):
        return error
    if not quote:
        return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
    return f"{type(error).__name__}: {error}"
