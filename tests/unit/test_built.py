"""A part is built once, however many threads ask for it first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from pathhits.built import built


class Owner:
    def __init__(self) -> None:
        self.made = 0

    @built
    def part(self) -> object:
        """A part that takes its time."""
        time.sleep(0.02)
        self.made += 1
        return object()

    @built
    def other(self) -> tuple[object]:
        """One that needs the first."""
        return (self.part,)


def test_a_part_is_built_once_for_all_threads() -> None:
    owner, barrier = Owner(), threading.Barrier(8)

    def ask(number: int) -> object:
        barrier.wait()
        return owner.part if number % 2 else owner.other[0]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert owner.made == 1
    assert isinstance(Owner.part, built)
