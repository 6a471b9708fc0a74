"""Reasons and positions of clicks, as they count whatever a visitor wrote, and the rates that come of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.clicks import (
    LAST_POSITION,
    NO_REASON,
    REASON_LENGTH,
    ClickRate,
    click_properties,
    click_rates,
    clicked_counter,
    reason_of,
)


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ("also_viewed", "also_viewed"),
        ("  because\tyou\n liked it ", "because you liked it"),
        ("x" * 99, "x" * REASON_LENGTH),
        ("a\0\ud800b", "a ?b"),
        ("", NO_REASON),
        (None, NO_REASON),
        (7, "7"),
    ],
)
def test_a_reason_is_a_short_word_on_one_line(given: Any, counted: str) -> None:
    assert reason_of(given) == counted


@given(st.text(st.characters(codec=None)))
def test_a_reason_fits_into_a_counters_name_and_counts_as_itself(text: str) -> None:
    reason = reason_of(text)
    assert reason_of(reason) == reason
    assert len(clicked_counter("t" * 24, {"reason": text}).encode("utf-16-le")) // 2 <= 64 + REASON_LENGTH
    assert len(clicked_counter("t" * 24, {"reason": text})) <= 64


@pytest.mark.parametrize(
    ("position", "kept"),
    [
        (1, 1),
        ("3", 3),
        (0, 0),
        (-1, None),
        ("first", None),
        (LAST_POSITION + 1, None),
        (None, None),
        ("9" * 9_999, None),
    ],
)
def test_a_position_that_is_none_is_left_out(position: Any, kept: int | None) -> None:
    said = click_properties({"reason": " r ", "position": position, "beside": "cup"})
    assert said == {"reason": "r", "beside": "cup"} | ({} if kept is None else {"position": kept})


def test_a_click_without_a_reason_counts_under_none() -> None:
    assert click_properties({}) == {}
    given: list[Any] = [{}, None, [], {"reason": None}]
    for properties in given:
        assert clicked_counter("product", properties) == f"clicked:product:{NO_REASON}"


def test_rates_are_clicks_for_each_one_shown() -> None:
    sums = {"shown:product:a:b": 8, "clicked:product:a:b": 2, "clicked:film:c": 3, "shown:product:d": 1}
    rates = click_rates(sums)
    assert rates == [ClickRate("film", "c", 0, 3), ClickRate("product", "a:b", 8, 2), ClickRate("product", "d", 1, 0)]
    assert [one.rate for one in rates] == [None, 0.25, 0.0]
    assert rates[1].as_dict() == {"item_type": "product", "reason": "a:b", "shown": 8, "clicks": 2, "rate": 0.25}
