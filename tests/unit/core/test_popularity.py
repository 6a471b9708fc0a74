"""Popularity: a decayed sum whose order needs no clock, so that only what changed has to be computed anew."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.popularity import Popularity
from pathhits.errors import SettingsError

TODAY = 20_778
RULE = Popularity({"views": 1, "likes": 5})

amounts = st.lists(
    st.tuples(st.integers(TODAY - 60, TODAY), st.sampled_from(["views", "likes"]), st.integers(0, 10**6)), max_size=8
)


def decayed(had: list[tuple[int, str, int]], now: int) -> float:
    """The definition, with a clock."""
    return float(sum(RULE.weights[name] * n * 0.5 ** ((now - day) / RULE.half_life) for day, name, n in had))


def test_twice_as_much_is_one_more_and_a_half_life_later_too() -> None:
    one = RULE.of([(TODAY, "views", 100)])
    assert RULE.of([(TODAY, "views", 200)]) == pytest.approx(one + 1)
    assert RULE.of([(TODAY + 7, "views", 100)]) == pytest.approx(one + 1)
    assert RULE.of([(TODAY, "likes", 20)]) == one
    assert one == pytest.approx(log2(100) + TODAY / 7)


@given(amounts, amounts, st.integers(0, 400))
def test_the_order_is_that_of_the_decayed_sum_at_any_later_moment(
    a: list[tuple[int, str, int]], b: list[tuple[int, str, int]], later: int
) -> None:
    left, right = decayed(a, TODAY + later), decayed(b, TODAY + later)
    if left > right * 1.0001:
        assert RULE.of(a) > RULE.of(b)
    if right > left * 1.0001:
        assert RULE.of(b) > RULE.of(a)


@given(amounts)
def test_it_is_finite_not_negative_and_more_with_more(had: list[tuple[int, str, int]]) -> None:
    score = RULE.of(had)
    assert 0 <= score < 10_000
    assert RULE.of([*had, (TODAY, "views", max(1, sum(n for _, _, n in had)))]) > score


@pytest.mark.parametrize("had", [[], [(TODAY, "views", 0)], [(TODAY, "shares", 9)], [(TODAY, "likes", -3)]])
def test_nothing_and_what_was_taken_back_is_no_popularity(had: list[tuple[int, str, int]]) -> None:
    assert RULE.of(had) == 0.0


def test_what_is_taken_back_counts_against_it() -> None:
    assert RULE.of([(TODAY, "likes", 3), (TODAY, "likes", -2)]) == RULE.of([(TODAY, "likes", 1)])


def test_days_of_long_ago_are_not_read() -> None:
    assert Popularity(half_life=7).first_day(TODAY) == TODAY - 112
    assert Popularity(half_life=0.01).first_day(TODAY) == TODAY - 1
    assert Popularity(half_life=0.01).of([(TODAY, "views", 1)]) > 0


@pytest.mark.parametrize(
    "given_",
    [
        {"half_life": 0},
        {"half_life": float("nan")},
        {"half_life": 1e9},
        {"weights": {}},
        {"weights": {"views": float("inf")}},
    ],
)
def test_numbers_that_cannot_be_are_refused(given_: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Popularity(**given_)  # type: ignore[arg-type]  # that is the test
