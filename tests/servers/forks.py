"""Scenes with a fork, each in a process of its own: a child of many threads may wait for ever for a lock of another.

``python -m tests.servers.forks MODULE FUNCTION ARGUMENT ...`` calls the function.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Seconds for a child, and for a scene with all that it does besides.
CHILD_TIME, SCENE_TIME = 60, 120


def play(scene: Callable[..., None], *arguments: str) -> None:
    """Call a function of a test module in a new process, which has one thread; AssertionError with what it said."""
    command = [sys.executable, "-m", __name__, scene.__module__, scene.__qualname__, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SCENE_TIME
    )
    assert done.returncode == 0, done.stdout


def in_child(work: Callable[[], object], fork: Callable[[], int] = os.fork) -> None:
    """Do ``work`` in a forked child; AssertionError when it raises there, or does not come to an end."""
    child = fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(CHILD_TIME)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child failed or hung"


if __name__ == "__main__":
    getattr(import_module(sys.argv[1]), sys.argv[2])(*sys.argv[3:])
