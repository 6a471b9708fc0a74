"""A WSGI response is the same with the middleware and without it, and counts once, as a hit or under one reason."""

from __future__ import annotations

import pytest

from pathhits.hits import DROPS, HITS, REQUESTS
from pathhits.middleware import flask, wsgi
from tests.unit.middleware.harness import Count, WsgiCase, difference, flask_class, wsgi_class
from tests.unit.middleware.wsgi_cases import CASES, FLASK

WRAP = wsgi_class(wsgi)


def test_there_are_at_least_a_hundred_kinds_of_responses_and_no_two_are_named_alike() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_response_is_the_same_and_counts_as_it_should(case: WsgiCase) -> None:
    assert difference(case, WRAP) == ""


@pytest.mark.parametrize("case", FLASK, ids=lambda case: case.name)
def test_a_response_of_flask_is_the_same_and_counts_as_it_should(case: WsgiCase) -> None:
    assert difference(case, flask_class(flask)) == ""


def test_over_the_whole_table_requests_are_hits_and_drops() -> None:
    count = Count()
    for case in CASES:
        case.trace(WRAP, count)

    hits = sum(case.verdict == "hit" for case in CASES)
    assert count.total(REQUESTS) == len(CASES)
    assert count.total(HITS) == hits
    assert count.total(DROPS) == len(CASES) - hits
    count.close()
