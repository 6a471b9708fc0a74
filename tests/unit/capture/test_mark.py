"""The mark of a process is not in its children, however they were forked."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import pytest

from pathhits.capture import mark as marks
from pathhits.capture.mark import PidMark, make_mark
from tests.servers.forks import in_child, play

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks here")

MAKERS = {"make_mark": make_mark, "PidMark": PidMark}

#: The second is what uWSGI does: the hooks of Python do not run.
FORKS: dict[str, Callable[[], int]] = (
    {} if sys.platform == "win32" else {"by Python": os.fork, "in C": ctypes.PyDLL(None).fork}
)


def fork_and_look(make: str, fork: str) -> None:
    mark = MAKERS[make]()
    assert mark[0]

    def look() -> None:
        assert not mark[0]
        assert MAKERS[make]()[0]

    in_child(look, FORKS[fork])
    assert mark[0]


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("make", MAKERS)
def test_a_child_does_not_have_the_mark_of_its_parent_but_one_of_its_own(make: str, fork: str) -> None:
    play(fork_and_look, make, fork)


def test_where_memory_cannot_be_marked_the_pid_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_MADV_WIPEONFORK", -1)

    assert isinstance(make_mark(), PidMark)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others have no such pages")
def test_on_linux_it_is_a_page_that_is_emptied() -> None:
    assert not isinstance(make_mark(), PidMark)
