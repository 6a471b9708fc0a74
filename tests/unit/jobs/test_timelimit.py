"""A call that takes too long is ended, by the one timer of the process, and what the timer was set to goes on after."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from pathhits.jobs.timelimit import call_within


def limited(seconds: int) -> UnixSignalDeathPenalty:
    """The limit that RQ gives a job."""
    return UnixSignalDeathPenalty(seconds, JobTimeoutException)  # type: ignore[no-untyped-call]  # rq annotates a part


@pytest.fixture(autouse=True)
def _in_the_main_thread() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("this runner of tests keeps the main thread for itself")
    # It is the timer of pytest-timeout, too.
    before, left = signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, *left)


def sleeps(_: object) -> None:
    time.sleep(60)


def tries_again(_: object) -> None:
    """As clients of busy services do it."""
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


def waits(_: object) -> None:
    threading.Event().wait()


class Deaf:
    """A finalizer, in which what a signal raises is lost."""

    def __del__(self) -> None:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            pass


def loses_a_signal(_: object) -> None:
    one = Deaf()
    del one
    time.sleep(60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("function", [sleeps, tries_again, waits, loses_a_signal])
def test_what_hangs_is_ended(function: Callable[[Any], None]) -> None:
    with pytest.raises(TimeoutError, match=r"ended after 0\.3 s \(LISTENER_TIMEOUT\)"):
        call_within(0.3, function, None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_is_done_in_time_is_left_alone() -> None:
    seen: list[int] = []
    call_within(30.0, seen.append, 1)
    call_within(0.0, seen.append, 2)
    assert seen == [1, 2]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_the_call_raises_is_what_it_raises() -> None:
    def fails(_: object) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        call_within(30.0, fails, None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("function", [sleeps, print])
def test_the_limit_of_the_job_goes_on(function: Callable[[Any], None]) -> None:
    with limited(100):
        ring = signal.getsignal(signal.SIGALRM)
        try:
            call_within(0.3, function, None)
        except TimeoutError:
            pass
        left, again = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= 100
        assert not again
        assert signal.getsignal(signal.SIGALRM) == ring


def test_a_job_whose_own_time_is_over_is_ended_after_the_call() -> None:
    def job() -> None:
        with limited(1):
            with pytest.raises(TimeoutError):
                call_within(1.5, sleeps, None)
            time.sleep(60)

    with pytest.raises(JobTimeoutException):
        job()


def test_in_another_thread_there_is_no_limit() -> None:
    seen: list[int] = []

    def slow(one: int) -> None:
        time.sleep(0.05)
        seen.append(one)

    thread = threading.Thread(target=call_within, args=(0.01, slow, 1))
    thread.start()
    thread.join()
    assert seen == [1]
