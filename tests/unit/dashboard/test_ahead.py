"""What a page asks for ahead is what it would have asked for itself, its errors too."""

from __future__ import annotations

import threading

import pytest

from pathhits.dashboard.ahead import Ahead
from pathhits.errors import StoreUnavailable


def test_it_is_asked_for_while_others_are() -> None:
    asked, may_end = threading.Event(), threading.Event()

    def ask() -> str:
        asked.set()
        assert may_end.wait(10)
        return threading.current_thread().name

    with Ahead(ask, aside=True) as answer:
        assert asked.wait(10)
        may_end.set()
        assert answer() == answer() == "pathhits-ahead"


def test_where_it_is_not_asked_aside_it_is_asked_when_it_is_wanted() -> None:
    asked: list[str] = []

    def ask() -> None:
        asked.append(threading.current_thread().name)

    with Ahead(ask, aside=False) as answer:
        assert asked == []
        answer()
    assert asked == [threading.current_thread().name]


@pytest.mark.parametrize("aside", [True, False])
def test_its_error_is_the_pages(aside: bool) -> None:
    def ask() -> None:
        raise StoreUnavailable("SQL is away")

    with Ahead(ask, aside=aside) as answer, pytest.raises(StoreUnavailable, match="SQL is away"):
        answer()


def test_nothing_goes_on_when_a_page_failed() -> None:
    threads: list[threading.Thread] = []

    def ask() -> None:
        threads.append(threading.current_thread())

    with pytest.raises(ZeroDivisionError), Ahead(ask, aside=True):
        raise ZeroDivisionError
    assert not threads[0].is_alive()
