"""Small parts of the clock: how long it waits, and how rarely it complains."""

from __future__ import annotations

import logging

import pytest

from pathhits.core.backoff import back_off
from pathhits.jobs.clock import FIRST_PAUSE, LONGEST_PAUSE
from pathhits.logs import Complaints


def pause(failures: int) -> float:
    return back_off(failures, FIRST_PAUSE, LONGEST_PAUSE)


def test_pauses_grow_stay_bounded_and_differ() -> None:
    assert max(pause(1) for _ in range(100)) < min(pause(4) for _ in range(100))
    assert all(0 < pause(failures) <= LONGEST_PAUSE for failures in range(1, 10_000))
    assert len({pause(3) for _ in range(100)}) > 50


def test_the_same_trouble_is_logged_once_a_minute_and_another_at_once(caplog: pytest.LogCaptureFixture) -> None:
    complain = Complaints(logging.getLogger("test"), every=60.0)
    for _ in range(100):
        complain("one", "trouble with %s", "one")
    complain("other", "trouble with %s", "other")
    assert [record.getMessage() for record in caplog.records] == ["trouble with one", "trouble with other"]


def test_what_was_not_logged_is_told_later(caplog: pytest.LogCaptureFixture) -> None:
    complain = Complaints(logging.getLogger("test"), every=60.0)
    for _ in range(5):
        complain("one", "trouble")
    complain.every = 0.0
    complain("one", "trouble")
    assert caplog.records[-1].getMessage() == "trouble (4 times more since the last such line)"
