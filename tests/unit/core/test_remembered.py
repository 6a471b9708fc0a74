"""A memory that is bounded in number and in time."""

from __future__ import annotations

from pathhits.core.remembered import Remembered


def test_an_answer_lasts_as_long_as_it_is_meant_to() -> None:
    now = [0.0]
    memory: Remembered[str, int] = Remembered(10, 5, lambda: now[0])
    memory.put("a", 1)
    now[0] = 9.9
    assert memory.get("a") == 1
    now[0] = 10.0
    assert memory.get("a") is None
    memory.put("a", 2)
    assert memory.get("a") == 2


def test_of_too_many_the_one_that_was_asked_for_longest_ago_goes() -> None:
    memory: Remembered[str, int] = Remembered(10, 2, lambda: 0.0)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_for_no_time_nothing_is_remembered() -> None:
    memory: Remembered[str, int] = Remembered(0, 5)
    memory.put("a", 1)
    assert memory.get("a") is None
