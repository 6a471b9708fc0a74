"""Ends a call of the app's code that takes too long, by the timer with which RQ ends jobs; the job's own goes on after.

There is one such timer in a process, and only its main thread gets the signal. Elsewhere there is no limit.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

#: Seconds that are left to the job, at least, to write down what became of a call.
TO_WRITE = 1.0


class _Over(BaseException):
    """Raised inside the call; no Exception, which a loop that tries again would catch."""


def call_within(seconds: float, function: Callable[[Any], Any], argument: Any) -> None:
    """Call ``function(argument)``; raises `TimeoutError` when it was ended after so many ``seconds`` (0: never)."""
    if not seconds or not _has_timer():
        function(argument)
        return
    alarm = _Alarm(seconds)
    try:
        try:
            alarm.begin()
            function(argument)
        finally:
            alarm.end()
    except _Over as over:
        raise TimeoutError(f"it was ended after {seconds:g} s (LISTENER_TIMEOUT)") from over
    finally:
        alarm.end()  # once more, where the signal came just as the call had ended


def _has_timer() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


class _Alarm:
    """The timer while one call goes on. It comes again, as a signal inside of a finalizer is lost."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = False
        self._began = self._left = 0.0
        self._before: Any = signal.SIG_DFL

    def begin(self) -> None:
        self._before = signal.signal(signal.SIGALRM, self._ring)
        self._began, self._armed = time.monotonic(), True
        self._left, _ = signal.setitimer(signal.ITIMER_REAL, self._seconds, self._seconds)

    def end(self) -> None:
        """Put back what was there before, with the time that is left of it."""
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._armed = False
            if self._left:
                gone = time.monotonic() - self._began
                signal.setitimer(signal.ITIMER_REAL, max(self._left - gone, TO_WRITE))

    def _ring(self, number: int, frame: FrameType | None) -> NoReturn:
        raise _Over
