"""The mark of a process is not in its children, however they were forked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pathhits.capture import mark as marks
from pathhits.capture.mark import PidMark, make_mark

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks here")

#: In a process of its own, which has one thread: after a fork in C the lock of the interpreter is as it was, and a
#: child waits for ever where another thread had asked for it.
FORKING = """
import ctypes, os
from pathhits.capture.mark import PidMark, make_mark

mark = {make}()
assert mark[0]
child = {fork}()
if child == 0:
    os._exit(0 if not mark[0] and {make}()[0] else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert mark[0]
"""
#: The second is what uWSGI does: the hooks of Python do not run.
FORKS = {"by Python": "os.fork", "in C": "ctypes.PyDLL(None).fork"}


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("make", ["make_mark", "PidMark"])
def test_a_child_does_not_have_the_mark_of_its_parent_but_one_of_its_own(make: str, fork: str) -> None:
    program = FORKING.format(make=make, fork=FORKS[fork])
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_where_memory_cannot_be_marked_the_pid_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_MADV_WIPEONFORK", -1)

    assert isinstance(make_mark(), PidMark)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others have no such pages")
def test_on_linux_it_is_a_page_that_is_emptied() -> None:
    assert not isinstance(make_mark(), PidMark)
