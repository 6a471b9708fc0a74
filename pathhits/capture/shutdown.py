"""The last flush of a process, however it ends, and the fresh start of a forked one."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache, partial
from types import FrameType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from pathhits.capture.buffer import Buffer

#: Seconds a process that is asked to end may spend on its last flush.
LAST_FLUSH = 3.0
#: Its place in what multiprocessing does at the end of a child: early, while everything else is still there.
END_PRIORITY = 100

T = TypeVar("T")
_buffers: WeakSet[Buffer] = WeakSet()
_renewed: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()


def watch(buffer: Buffer) -> None:
    """Flush ``buffer`` when this process or a child ends, and reset it in a forked child."""
    _at_exit()
    _buffers.add(buffer)
    renew(buffer, Buffer.after_fork)


def renew(one: T, afresh: Callable[[T], object]) -> None:
    """Call ``afresh`` in a forked child, for as long as ``one`` lives, as the child cannot go on with what it has.

    That are locks, threads and connections. Whoever lives is not kept alive by this.
    """
    _at_fork()
    _renewed[one] = afresh


@cache
def _at_exit() -> None:
    atexit.register(flush_all)
    _at_end_of_children()


def _at_end_of_children() -> None:
    """Flush at the end of what multiprocessing forks or spawns, where no atexit is called.

    It forgets on each start of a child what was to be done at its end, so that has to be said in the child.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        _say_so_in_children(util)
        if sys.modules["multiprocessing.process"].parent_process() is not None:
            _at_end_of_child(util)


@cache
def _say_so_in_children(util: Any) -> None:
    util.register_after_fork(util, _at_end_of_child)


def _at_end_of_child(util: Any) -> None:
    util.Finalize(None, flush_all, exitpriority=END_PRIORITY)


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


def _on_sigterm(number: int, frame: FrameType | None = None) -> None:
    if any(buffer.put_off(partial(_on_sigterm, number), LAST_FLUSH) for buffer in list(_buffers)):
        return
    flush_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    for one, afresh in list(_renewed.items()):
        afresh(one)
    if _buffers:
        _at_end_of_children()
