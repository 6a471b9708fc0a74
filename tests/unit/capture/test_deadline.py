"""A read that a visitor waits for is given up at the deadline, and reads that hang are not piled up."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pathhits import PathHits
from pathhits.capture.deadline import AT_ONCE, Deadline, Overdue
from tests.servers.processes import wait_until


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
            with pytest.raises(RuntimeError, match="can't start new thread"):
                deadline.ask(lambda: 1)
    assert deadline.ask(lambda: 1) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_has_all_places_whatever_hung_in_its_parent() -> None:
    release, held = threading.Event(), threading.Event()
    hits = PathHits()

    def hold() -> None:
        with hits.guard._rarely._lock:
            held.set()
            release.wait(30.0)

    threading.Thread(target=hold, daemon=True).start()
    held.wait(30.0)
    for _ in range(AT_ONCE):
        with pytest.raises(Overdue):
            hits._deadline.ask(lambda: release.wait(30.0))
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(20)
            hits.guard.failed("internal", "in the child")
            code = hits._deadline.ask(lambda: 42)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    release.set()
    assert os.waitstatus_to_exitcode(status) == 42


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_while_many_reads_hang_no_more_are_begun_and_afterwards_they_are() -> None:
    release = threading.Event()
    deadline = Deadline(0.01)
    for _ in range(AT_ONCE):
        with pytest.raises(Overdue):
            deadline.ask(lambda: release.wait(30.0))
    threads = threading.active_count()
    with pytest.raises(Overdue, match="still waiting"):
        deadline.ask(lambda: 1)
    assert threading.active_count() == threads
    release.set()
    wait_until(lambda: deadline._slots._value == AT_ONCE, message="all reads have ended")
    assert Deadline(30.0).ask(lambda: 1) == 1
