"""How numbers and moments look: round periods, short times, and the time of day with the day where it is another."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pathhits.dashboard import shown

NOON = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "says"), [(5, "5s"), (90, "1m 30s"), (1_800, "30m"), (3_600, "1h"), (86_400, "24h"), (5_400, "1h 30m")]
)
def test_a_round_period_has_no_empty_parts(seconds: float, says: str) -> None:
    assert shown.every(seconds) == says


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(None, "–"), (0.0, "under 1 ms"), (0.0411, "41 ms"), (0.9996, "1.0 s"), (3.77, "3.8 s"), (75, "1m 15s")],
)
def test_how_long_something_took_is_never_a_zero(seconds: float | None, says: str) -> None:
    assert shown.took(seconds) == says


def test_the_day_is_said_where_it_is_another() -> None:
    assert shown.day_clock(NOON, NOON) == "12:00:05"
    assert shown.day_clock(NOON.replace(day=20), NOON) == "20 Nov, 12:00:05"
    assert shown.day_clock(None, NOON) == "–"
