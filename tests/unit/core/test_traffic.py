"""What is odd about an hour, against the same hour of the days before; on a clock that stands still."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.traffic import DAYS, FEWEST_DAYS, QUIET, Limits, Oddity, judge, may_tell

LIMITS = Limits(spike_factor=4.0, spike_minimum=200, silence_share=0.1, silence_minimum=50)
#: The running hour of these tests, half over.
HOUR = 498_600
NOW = (HOUR + 0.5) * 3_600


def week(*days: int, last: int, running: int = 0, at: int = HOUR) -> dict[int, int]:
    """Hits by hour: of the last full hour and of the running one on the days before (the last ones first), and now.

    With a whole week, the site is older than that.
    """
    hits = {at - 1: last, at: running}
    for day, n in enumerate(days, 1):
        hits |= {at - 1 - 24 * day: n, at - 24 * day: n}
    return hits | ({at - 24 * 10: 1} if len(days) == DAYS else {})


@pytest.mark.parametrize(
    ("days", "last", "running", "found"),
    [
        # As ever.
        ((100,) * 7, 100, 50, None),
        ((100,) * 7, 399, 399, None),
        ((100,) * 7, 11, 6, None),
        # A spike: in the last hour, and before the running one is over.
        ((100,) * 7, 400, 0, Oddity("traffic_spiked", HOUR - 1, 400, 100.0)),
        ((100,) * 7, 100, 400, Oddity("traffic_spiked", HOUR, 400, 100.0)),
        # Too few hits to speak of, however few are usual.
        ((0, 1, 2, 1, 0, 3, 1), 199, 199, None),
        ((0, 1, 2, 1, 0, 3, 1), 200, 0, Oddity("traffic_spiked", HOUR - 1, 200, 1.0)),
        # It was so on one of the days before: a newsletter that comes each week.
        ((100, 100, 100, 100, 100, 100, 500), 450, 200, None),
        # One odd day does not change what is usual.
        ((100, 100, 90_000, 100, 0, 100, 100), 5, 0, None),
        ((100, 100, 90_000, 100, 100, 100, 100), 5, 0, Oddity("fell_silent", HOUR - 1, 5, 100.0)),
        # Silence: in the last hour, or in that half of the running one that is over.
        ((100,) * 7, 10, 0, Oddity("fell_silent", HOUR - 1, 10, 100.0)),
        ((100,) * 7, 0, 0, Oddity("fell_silent", HOUR - 1, 0, 100.0)),
        ((100,) * 7, 100, 5, Oddity("fell_silent", HOUR, 5, 100.0)),
        ((99,) * 7, 99, 0, None),
        ((49,) * 7, 0, 0, None),
        # It was as silent on one of the days before: a shop that is closed on Sundays.
        ((100, 100, 100, 100, 100, 100, 0), 0, 0, None),
        # New, or not counted until lately.
        ((), 10_000, 10_000, None),
        ((100, 100), 10_000, 0, None),
        ((100, 100, 100), 10_000, 0, Oddity("traffic_spiked", HOUR - 1, 10_000, 100.0)),
        ((100, 100, 100), 0, 0, Oddity("fell_silent", HOUR - 1, 0, 100.0)),
    ],
)
def test_what_is_odd(days: tuple[int, ...], last: int, running: int, found: Oddity | None) -> None:
    assert judge(week(*days, last=last, running=running), NOW, LIMITS) == found


def test_an_hour_that_begins_as_quietly_as_the_one_before_it_ends_is_not_silent_until_it_is_over() -> None:
    hits = week(*(100,) * 7, last=0)
    opens = {hour: 0 if (HOUR - 1 - hour) % 24 == 0 else n for hour, n in hits.items()}
    assert judge(opens, NOW, LIMITS) is None, "nobody comes before half past"
    assert judge(opens | {HOUR + 1: 0}, NOW + 1_800, LIMITS) == Oddity("fell_silent", HOUR, 0, 100.0)


@pytest.mark.parametrize(("usual", "minutes"), [(50, 114), (100, 84), (200, 69), (1_000, 69)])
def test_silence_is_found_within_the_minutes_that_the_docs_name(usual: int, minutes: int) -> None:
    every = dict.fromkeys(range(HOUR - 24 * 8, HOUR), usual)

    def waits(minute: int) -> float:
        """Minutes from the last hit, in this minute of the hour, until a run at a quarter of an hour finds it."""
        hits = every | {HOUR: usual * minute // 60}
        runs = (HOUR * 3_600 + quarter * 900 for quarter in range(12) if quarter * 15 > minute)
        return next((run - HOUR * 3_600) / 60 - minute for run in runs if _silent(judge(hits, run, LIMITS)))

    assert max(map(waits, range(60))) <= minutes
    assert max(map(waits, range(60))) > minutes - 3


def _silent(found: Oddity | None) -> bool:
    return found is not None and found.kind == "fell_silent"


def test_a_site_without_hits_is_not_odd() -> None:
    assert judge({}, NOW, LIMITS) is None
    assert judge(dict.fromkeys(range(HOUR - 200, HOUR + 1), 0), NOW, LIMITS) is None


def test_hours_that_do_not_count_are_not_looked_at() -> None:
    hits = week(*(100,) * 7, last=100, running=100)
    others = {hour: 10**6 for hour in range(HOUR - 200, HOUR) if hour not in hits}
    assert judge(hits | others, NOW, LIMITS) is None


@given(st.lists(st.integers(0, 10**6), max_size=DAYS), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_is_said_is_beyond_every_day_that_is_compared(days: list[int], last: int, running: int) -> None:
    found = judge(week(*days, last=last, running=running), NOW, LIMITS)
    if found is not None:
        there = [n for n in days if n] or [0]
        assert len(days) >= FEWEST_DAYS
        assert found.hits > max(days) if found.kind == "traffic_spiked" else found.hits < min(there)


@given(st.integers(0, 10**6))
def test_a_day_like_all_others_is_never_odd(n: int) -> None:
    assert judge(week(*(n,) * DAYS, last=n, running=n // 2), NOW, LIMITS) is None


# How often.

DAY = 20_775 * 86_400.0


@pytest.mark.parametrize(
    ("told", "now", "may"),
    [
        ([], 100, True),
        ([0], QUIET * 3_600 - 1, False),
        ([0], QUIET * 3_600, True),
        ([0, 8 * 3_600], 20 * 3_600, False),
        ([-7 * 3_600, 8 * 3_600], 20 * 3_600, True),
        ([-1], 3_600, False),
        ([-20 * 3_600, -8 * 3_600], 0, True),
    ],
)
def test_the_same_is_said_twice_a_day_at_most_and_not_soon_again(told: list[float], now: float, may: bool) -> None:
    assert may_tell([DAY + one for one in told], DAY + now, 2) == may


def test_none_at_all_can_be_wanted() -> None:
    assert not may_tell([], DAY, 0)
