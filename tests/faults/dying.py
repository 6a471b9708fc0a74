"""Runs of a job that die: one process for each point of its steps, killed there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from functools import partial


def points_of(steps: Iterable[str]) -> tuple[str, ...]:
    """Where a run can die: before and after each step."""
    return tuple(f"{when} {step}" for step in steps for when in ("before", "after"))


def die_at_each(points: Iterable[str], run: Callable[[str, Callable[[str], None]], None]) -> None:
    """Print the points where a process really died; ``run`` is given the point, and calls back at each it reaches."""
    for point in points:
        pid = os.fork()
        if pid == 0:
            run(point, partial(_die_at, point))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print("died" if os.WIFSIGNALED(status) else "survived", point, flush=True)


def _die_at(point: str, reached: str) -> None:
    if reached == point:
        os.kill(os.getpid(), signal.SIGKILL)
