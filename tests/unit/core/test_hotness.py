"""Hot items: the timeline everyone agrees on, and what the two thresholds promise."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.hotness import Thresholds, check_thresholds
from pathhits.errors import SettingsError

thresholds = st.tuples(st.integers(1, 200), st.integers(0, 200)).filter(lambda two: two[1] <= two[0])


def test_the_timeline_of_the_seed() -> None:
    hot, seen = False, []
    for views in (0, 45, 65, 100, 105, 80, 48):
        hot = Thresholds(100, 50).is_hot(views, hot)
        seen.append(hot)
    assert seen == [False, False, False, True, True, True, False]


@given(thresholds, st.lists(st.integers(0, 300)))
def test_it_changes_only_at_the_thresholds(numbers: tuple[int, int], views: list[int]) -> None:
    limits, hot, states = Thresholds(*numbers), False, [False]
    for n in views:
        hot = limits.is_hot(n, hot)
        states.append(hot)
        assert hot or n < limits.hot_at
        assert not hot or n >= limits.cold_below
    for n, (before, after) in zip(views, pairwise(states), strict=True):
        if after != before:
            assert n >= limits.hot_at if after else n < limits.cold_below


@pytest.mark.parametrize("numbers", [(0, 0), (10, 11), (10, -1), (True, 0), (10.0, 5)])
def test_numbers_that_cannot_be_meant_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(SettingsError):
        check_thresholds(*numbers)
