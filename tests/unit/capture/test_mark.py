"""The mark of a process is not in its children, however they were forked."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

import pytest

from pathhits.capture import mark as marks
from pathhits.capture.mark import PidMark, make_mark

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks here")


def _fork_in_c() -> int:
    """As uWSGI does: the hooks of Python do not run."""
    forked: int = ctypes.PyDLL(None).fork()
    return forked


@pytest.mark.parametrize("fork", [os.fork, _fork_in_c])
@pytest.mark.parametrize("make", [make_mark, PidMark])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_does_not_have_the_mark_of_its_parent_but_one_of_its_own(make: Any, fork: Any) -> None:
    mark = make()
    assert mark[0]

    child = fork()
    if child == 0:
        os._exit(0 if not mark[0] and make()[0] else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mark[0]


def test_where_memory_cannot_be_marked_the_pid_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_MADV_WIPEONFORK", -1)

    assert isinstance(make_mark(), PidMark)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others have no such pages")
def test_on_linux_it_is_a_page_that_is_emptied() -> None:
    assert not isinstance(make_mark(), PidMark)
