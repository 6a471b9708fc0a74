"""Our own failures are counted, and said at most once a minute and kind."""

from __future__ import annotations

import pytest

from pathhits.capture.guard import Guard
from pathhits.logs import QUIET


def test_a_kind_of_failure_is_said_once_a_minute_and_always_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([1000.0, 1001.0, 1000.0 + QUIET, 1001.0 + QUIET, 0.0])
    with monkeypatch.context() as patched:
        patched.setattr("pathhits.logs.time.monotonic", lambda: next(clock))
        guard = Guard()
        for _ in range(4):
            guard.failed("one", "text")
        guard.failed("another", OSError("broken"))
    assert guard.failures == {"one": 4, "another": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "one (1 so far): text",
        "one (3 so far): text",
        "another (1 so far): OSError: broken",
    ]


def test_an_error_of_our_own_is_said_with_its_place_and_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    message = "from " + ".".join(["203", "0", "113", "7"])
    try:
        raise ValueError(message)
    except ValueError as error:
        Guard().failed("internal", error)
    assert "ValueError" in caplog.text
    assert "test_guard.py" in caplog.text
    assert "203.0.113.7" not in caplog.text


def test_a_failure_while_a_failure_is_noted_in_the_same_thread_does_not_hang() -> None:
    guard = Guard()
    with guard._rarely._lock:
        guard.failed("one", "a signal came")
    assert guard.failures == {"one": 1}
