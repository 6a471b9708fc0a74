"""A mark that a process makes, and that its forked children do not have.

`os.register_at_fork` tells of most forks, but not of those that a server makes in C, as uWSGI does. Asking for the pid
with each request tells of all, at the price of a system call: 60 ns on bare metal, 200 ns in some virtual machines.
A page of memory that Linux empties in a child tells the same for 20 ns.
"""

from __future__ import annotations

import mmap
from os import getpid
from typing import Any

#: Linux 4.14 and later; Python has no name for it.
_MADV_WIPEONFORK = 18
_PAGE = 4096  # bytes


class PidMark:
    """The mark where there is no such page: its item is true in the process that made it."""

    def __init__(self) -> None:
        self._pid = getpid()

    def __getitem__(self, number: int) -> bool:
        return self._pid == getpid()


def make_mark() -> Any:
    """What has a true item 0 in this process, and a false one in its children, however they were forked."""
    try:
        page = mmap.mmap(-1, _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
    except (AttributeError, TypeError, OSError):
        # Windows, which forks nothing, macOS, or an old kernel.
        return PidMark()
    page[0] = 1
    return page
