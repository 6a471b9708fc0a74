"""An ASGI call is the same with the middleware and without it; HTTP counts once, as a hit or under one reason."""

from __future__ import annotations

import pytest

from pathhits.hits import DROPS, HITS, REQUESTS
from pathhits.middleware import asgi
from tests.unit.middleware.asgi_cases import CASES
from tests.unit.middleware.harness import AsgiCase, Count, asgi_class, difference

WRAP = asgi_class(asgi)


def test_there_are_at_least_a_hundred_kinds_of_calls_and_no_two_are_named_alike() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_is_the_same_and_counts_as_it_should(case: AsgiCase) -> None:
    assert difference(case, WRAP) == ""


def test_over_the_whole_table_requests_are_hits_and_drops() -> None:
    count = Count()
    for case in CASES:
        case.trace(WRAP, count)

    verdicts = [case.verdict for case in CASES if case.verdict]
    assert count.total(REQUESTS) == len(verdicts)
    assert count.total(HITS) == verdicts.count("hit")
    assert count.total(DROPS) == len(verdicts) - verdicts.count("hit")
    count.close()
