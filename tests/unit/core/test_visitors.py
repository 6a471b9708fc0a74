"""Visitors: one number for one client in one period, and nothing that leads back."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pathhits.core import visitors
from pathhits.settings import SaltRotation

SALT = bytes(range(16))
MOMENT = datetime(2026, 11, 20, 13, 5, tzinfo=UTC).timestamp()
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
NOON = 1_774_699_200.0
HOUR = 3_600
ROTATIONS: list[SaltRotation] = ["day", "week", "month"]


def test_a_visitor_is_the_same_number_in_every_process() -> None:
    assert visitors.visitor_id("192.0.2.1", "Mozilla/5.0", SALT) == -6126137934587590258


@given(ANY_TEXT, ANY_TEXT, st.binary(min_size=1, max_size=64))
def test_a_visitor_fits_a_signed_64_bit_column(address: str, agent: str, salt: bytes) -> None:
    assert -(2**63) <= visitors.visitor_id(address, agent, salt) < 2**63


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_visitors_differ_when_address_or_user_agent_do(a: str, b: str, c: str, d: str) -> None:
    assume((a, b) != (c, d))
    assert visitors.visitor_id(a, b, SALT) != visitors.visitor_id(c, d, SALT)


def test_moving_a_character_from_address_to_user_agent_makes_another_visitor() -> None:
    assert visitors.visitor_id("1.1.1.1", "2", SALT) != visitors.visitor_id("1.1.1.12", "", SALT)


def test_another_salt_makes_another_visitor() -> None:
    assert visitors.visitor_id("1.1.1.1", "x", SALT) != visitors.visitor_id("1.1.1.1", "x", SALT[::-1])


@pytest.mark.parametrize("salt", [b"", bytes(65)])
def test_a_salt_that_cannot_key_the_hash_is_refused(salt: bytes) -> None:
    with pytest.raises(ValueError):
        visitors.visitor_id("1.1.1.1", "x", salt)


@pytest.mark.parametrize(
    ("rotation", "period", "end"),
    [
        ("day", "d20777", datetime(2026, 11, 21, tzinfo=UTC)),
        ("week", "w2968", datetime(2026, 11, 23, tzinfo=UTC)),
        ("month", "m2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_period_is_named_and_ends_at_utc_midnight(rotation: SaltRotation, period: str, end: datetime) -> None:
    assert visitors.salt_period(MOMENT, rotation) == period
    assert visitors.period_end(period) == end.timestamp()


def test_the_month_of_december_ends_with_the_year() -> None:
    assert visitors.period_end("m2026-12") == datetime(2027, 1, 1, tzinfo=UTC).timestamp()


def test_never_has_one_period_without_an_end() -> None:
    assert visitors.salt_period(MOMENT, "never") == "never"
    assert visitors.period_end("never") == math.inf


@given(st.integers(0, 2**32), st.sampled_from(ROTATIONS))
def test_a_period_ends_where_the_next_begins(moment: int, rotation: SaltRotation) -> None:
    period = visitors.salt_period(moment, rotation)
    end = visitors.period_end(period)

    assert moment < end <= moment + 31 * 86_400
    assert visitors.salt_period(end - 0.001, rotation) == period
    assert visitors.salt_period(end, rotation) != period
    if rotation == "week":
        assert datetime.fromtimestamp(end, UTC).weekday() == 0


@pytest.mark.parametrize("period", ["", "d", "dx", "w", "m2026", "m2026-13", "y2026", "ever"])
def test_a_text_that_is_no_period_has_no_end(period: str) -> None:
    with pytest.raises(ValueError):
        visitors.period_end(period)


def test_the_salt_of_a_secret_is_stable_and_does_not_hold_it() -> None:
    salt = visitors.secret_salt("sixteen letters!")
    assert len(salt) == 32
    assert salt == visitors.secret_salt("sixteen letters!") != visitors.secret_salt("sixteen letters?")
    assert b"sixteen" not in salt


@pytest.mark.parametrize(
    ("now", "periods", "home"),
    [
        (NOON, ("d20540", "d20539"), 0),
        (NOON + 12 * HOUR - 61, ("d20540", "d20539"), 0),
        (NOON + 12 * HOUR - 60, ("d20541", "d20540", "d20539"), 1),
        (NOON + 12 * HOUR, ("d20541", "d20540", "d20539"), 1),
        (NOON + 40 * HOUR, ("d20541", "d20540", "d20539"), 1),
        (NOON - 13 * HOUR, ("d20541", "d20540", "d20539"), 1),
    ],
)
def test_a_visit_is_known_in_the_next_period_once_that_may_have_begun(
    now: float, periods: tuple[str, ...], home: int
) -> None:
    assert visitors.visit_periods(NOON + 100, now, "day") == (periods, home)


def test_a_salt_that_never_changes_has_one_period() -> None:
    assert visitors.visit_periods(NOON, NOON, "never") == (("never",), 0)


@pytest.mark.parametrize(
    ("cookies", "found"),
    [
        ("pathhits_optout=1", True),
        ("a=b; pathhits_optout=", True),
        ("a=b;pathhits_optout=1;c=d", True),
        ("", False),
        ("my_pathhits_optout=1", False),
        ("a=pathhits_optout=1", False),
        ("pathhits_optout2=1", False),
        ("pathhits_optout", False),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(cookies: str, found: bool) -> None:
    assert visitors.has_cookie(cookies, "pathhits_optout") is found
    assert not visitors.has_cookie(cookies, "")
