"""Parts that are built when they are first asked for, each once, however many threads ask."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from typing import Any, Self, TypeVar, overload

T = TypeVar("T")


class built(cached_property[T]):  # used as a decorator, as the one it is made of
    """A `functools.cached_property` that builds once: that one has had no lock since Python 3.12."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | T:
        """What was built, once it is; it is then found in the instance without coming here."""
        with _locks[0]:
            return super().__get__(instance, owner)


# One lock for all: parts need each other, and are built once in the life of a process.
_locks = [threading.RLock()]


def _after_fork() -> None:
    """In a forked child nobody is left who could open a lock that was held."""
    _locks[0] = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
