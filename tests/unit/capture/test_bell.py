"""The bell of the flusher, rung from where nothing may wait."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from pathhits.capture.bell import Bell
from tests.servers.processes import wait_until


def test_a_signal_may_ring_it_while_it_is_rung() -> None:
    bell, rung = Bell(), 0

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal rung
        rung += 1
        bell.ring()

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        # An Event in its place would soon wait for itself, without end.
        while rung < 200:
            bell.ring()
            bell.wait(0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_it_wakes_who_waits_and_many_rings_wake_once() -> None:
    bell, woken = Bell(), []

    def wait() -> None:
        while not bell.over:
            bell.wait(60.0)
            woken.append(bell.over)

    thread = threading.Thread(target=wait)
    for _ in range(5):
        bell.ring()
    thread.start()
    wait_until(lambda: woken == [False], message="one wake for all the rings")
    bell.end()
    thread.join(60.0)
    assert woken == [False, True]


def test_it_waits_no_longer_than_it_is_told() -> None:
    started = time.monotonic()
    Bell().wait(0.05)
    assert time.monotonic() - started >= 0.05
