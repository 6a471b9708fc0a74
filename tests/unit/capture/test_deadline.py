"""A read that a visitor waits for is given up at the deadline, and reads that hang are not piled up."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import pytest

from pathhits import PathHits
from pathhits.capture.deadline import AT_ONCE, Deadline, Overdue
from tests.servers.forks import in_child, play
from tests.servers.processes import wait_until

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


def test_an_answer_in_time_is_given() -> None:
    assert Deadline(30.0).ask(lambda: 42) == 42


def test_an_error_of_the_read_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        Deadline(30.0).ask(lambda: 1 / 0)


def test_a_read_that_hangs_is_left_alone_at_the_deadline() -> None:
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(Overdue, match=r"within 0\.01 s"):
        Deadline(0.01).ask(lambda: release.wait(30.0))
    assert time.monotonic() - began < 30.0
    release.set()


def test_reads_for_which_there_is_no_thread_do_not_use_up_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(30.0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        for _ in range(AT_ONCE):
            with pytest.raises(Overdue, match="can't start new thread"):
                deadline.ask(lambda: 1)
    assert deadline.ask(lambda: 1) == 1


def fork_while_reads_hang() -> None:
    """In a process of its own: they hang for as long as that lives."""
    release, held = threading.Event(), threading.Event()
    hits = PathHits(request_deadline=0.01)

    def hold() -> None:
        with hits.guard._rarely._lock:
            held.set()
            release.wait()

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    for _ in range(AT_ONCE):
        with pytest.raises(Overdue):
            hits._deadline.ask(release.wait)

    def ask() -> None:
        hits.guard.failed("internal", "in the child")
        assert hits._deadline.ask(lambda: 42, 30.0) == 42

    in_child(ask)


@forks
def test_a_forked_child_has_all_places_whatever_hung_in_its_parent() -> None:
    play(fork_while_reads_hang)


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_while_many_reads_hang_no_more_are_begun_and_afterwards_they_are() -> None:
    release = threading.Event()
    deadline = Deadline(0.01)
    for _ in range(AT_ONCE):
        with pytest.raises(Overdue):
            deadline.ask(lambda: release.wait(30.0))
    before = set(threading.enumerate())
    with pytest.raises(Overdue, match="still waiting"):
        deadline.ask(lambda: 1)
    assert set(threading.enumerate()) <= before
    release.set()
    wait_until(lambda: deadline._places.free == AT_ONCE, message="all reads have ended")
    assert deadline.ask(lambda: 1, 30.0) == 1


def test_reads_that_go_well_wait_for_one_another() -> None:
    deadline, together = Deadline(30.0), threading.Barrier(4 * AT_ONCE)
    lock, under_way, most = threading.Lock(), 0, 0

    def read() -> bool:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)
        with lock:
            under_way -= 1
        return True

    def ask(_: int) -> bool:
        together.wait(30.0)
        return [deadline.ask(read) for _ in range(5)] == [True] * 5

    with ThreadPoolExecutor(4 * AT_ONCE) as pool:
        assert all(pool.map(ask, range(4 * AT_ONCE)))
    assert 1 < most <= AT_ONCE
    assert deadline._places.free == AT_ONCE


def test_who_waits_for_a_place_is_told_when_all_of_them_hang() -> None:
    """Each read before it has a deadline of its own: it is when the last of these is over that nothing is left."""
    release, deadline = threading.Event(), Deadline(30.0)
    hanging = [in_thread(lambda: deadline.ask(lambda: release.wait(30.0), 0.05)) for _ in range(AT_ONCE)]
    wait_until(lambda: deadline._places.free == 0, message="all places are taken")
    with pytest.raises(Overdue, match="still waiting"):
        deadline.ask(lambda: 1)
    release.set()
    for thread in hanging:
        thread.join(30.0)
    wait_until(lambda: deadline._places.free == AT_ONCE, message="all reads have ended")
    assert deadline.ask(lambda: 1) == 1


def test_the_time_for_a_place_is_a_part_of_the_deadline() -> None:
    release, deadline = threading.Event(), Deadline(30.0)
    busy = [in_thread(lambda: deadline.ask(lambda: release.wait(30.0))) for _ in range(AT_ONCE)]
    wait_until(lambda: deadline._places.free == 0, message="all places are taken")
    with pytest.raises(Overdue, match=r"under way for 0\.005 s"):
        deadline.ask(lambda: 1, 0.01)
    release.set()
    for thread in busy:
        thread.join(30.0)
    wait_until(lambda: deadline._places.free == AT_ONCE, message="all reads have ended")


def test_a_caller_who_is_torn_away_leaves_a_read_that_counts_as_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    release, deadline = threading.Event(), Deadline(30.0)

    def torn(thread: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", torn)
        for _ in range(AT_ONCE):
            with pytest.raises(KeyboardInterrupt):
                deadline.ask(lambda: release.wait(30.0))
    with pytest.raises(Overdue, match="still waiting"):
        deadline.ask(lambda: 1)
    release.set()
    wait_until(lambda: deadline._places.free == AT_ONCE, message="all reads have ended")
    assert deadline.ask(lambda: 1) == 1


def fork_unseen_by_python() -> None:
    """As uWSGI forks: nothing that is registered for a fork is called."""
    release, deadline = threading.Event(), Deadline(0.01)
    for _ in range(AT_ONCE):
        with pytest.raises(Overdue):
            deadline.ask(release.wait)

    def ask() -> None:
        assert deadline.ask(lambda: 42, 30.0) == 42

    in_child(ask)


@forks
def test_a_child_that_python_was_not_told_of_has_all_places() -> None:
    play(fork_unseen_by_python)


def test_a_read_that_failed_leaves_nothing_for_the_collector() -> None:
    class Question:
        def __call__(self) -> int:
            return 1 // 0

    asked = Question()
    left = ref(asked)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ZeroDivisionError):
            Deadline(30.0).ask(asked)
        del asked
        wait_until(lambda: left() is None, message="the question, and whose it was, are gone")
    finally:
        gc.enable()


def in_thread(ask: Callable[[], object]) -> threading.Thread:
    def quietly() -> None:
        with contextlib.suppress(Overdue):
            ask()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    return thread
