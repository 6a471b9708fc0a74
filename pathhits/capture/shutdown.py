"""The last flush of a process, however it ends, and the fresh start of a forked one."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from functools import cache
from types import FrameType
from typing import Protocol
from weakref import WeakSet

from pathhits.capture.buffer import Buffer

#: Seconds a process that is asked to end may spend on its last flush.
LAST_FLUSH = 3.0


class Forked(Protocol):
    """What has locks, threads or connections that a forked child cannot go on with."""

    def after_fork(self) -> None: ...


_buffers: WeakSet[Buffer] = WeakSet()
_renewed: WeakSet[Forked] = WeakSet()


def watch(buffer: Buffer) -> None:
    """Flush ``buffer`` when this process or a child ends, and reset it in a forked child."""
    _at_exit()
    _buffers.add(buffer)
    renew(buffer)


def renew(*those: Forked) -> None:
    """Let each of ``those`` start afresh in a forked child, for as long as it lives."""
    _at_fork()
    for one in those:
        _renewed.add(one)


@cache
def _at_exit() -> None:
    atexit.register(flush_all)


@cache
def _at_fork() -> None:
    os.register_at_fork(after_in_child=_after_fork)


def flush_all() -> None:
    """Give every buffer of this process a last flush."""
    for buffer in list(_buffers):
        buffer.close(LAST_FLUSH)


def flush_on_sigterm() -> None:
    """Flush before SIGTERM ends the process, where nobody else handles the signal and we are allowed to."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    flush_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    for one in list(_renewed):
        one.after_fork()
