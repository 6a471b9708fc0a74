"""A bounded memory of answers, each for so long."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The last ``size`` answers, each for ``seconds`` (0: none at all); of more, those asked for longest ago go."""

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        # Each step is one of the dict's own, so that no lock is needed that a fork could leave held.
        self._held: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The answer that is remembered, None when there is none or it is too old."""
        found = self._held.get(key)
        if found is None or found[0] <= self._clock():
            return None
        with suppress(KeyError):  # it has just been dropped for another
            self._held.move_to_end(key)
        return found[1]

    def put(self, key: K, value: V) -> None:
        """Remember an answer from now on."""
        if not self._seconds:
            return
        self._held.pop(key, None)
        self._held[key] = self._clock() + self._seconds, value
        if len(self._held) > self._size:
            self._held.popitem(last=False)
