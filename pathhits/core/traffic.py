"""Whether a site has far more or far fewer hits than usual, judged by the same hour of the days before.

The usual number is the median of those days, so that one odd day changes nothing, and an hour is odd only when it
also lies beyond each of them, so that the newsletter of every Monday, or a shop that is closed on Sundays, is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

from pathhits.core.periods import hour_of

#: Days that are compared with; a week, so that the same weekday is among them.
DAYS = 7
#: Days of them that must be there: a site that is newer, or was not counted, has no usual number.
FEWEST_DAYS = 3
#: Days whose hits have to be known: longer, so that a day without hits is told from one before the site was there.
KNOWN_DAYS = 2 * DAYS
#: Hours for which what was told is not told again.
QUIET = 6

Kind = Literal["traffic_spiked", "fell_silent"]
#: The names of the events, as the log has them.
NAMES: dict[Kind, str] = {"traffic_spiked": "site.traffic_spiked", "fell_silent": "site.fell_silent"}


class Limits(NamedTuple):
    """What is odd: hits against the usual number, and the least of each that counts; see the settings."""

    spike_factor: float
    spike_minimum: int
    silence_share: float
    silence_minimum: int


@dataclass(frozen=True, slots=True)
class Oddity:
    """An hour (since 1970, UTC) with far more or far fewer hits than usual."""

    kind: Kind
    hour: int
    hits: int
    usual: float


def judge(hits: Mapping[int, int], now: float, limits: Limits) -> Oddity | None:
    """What is odd at Unix time ``now`` (s), if anything is: in the last hour or in the running one.

    ``hits`` are those of the site by UTC hour, of the last `KNOWN_DAYS` days; hours without hits may be left out.
    Those before the first that has some are not compared with: the site was not there. The running hour is silent when
    the part of it that is over is, as if its usual hits came evenly.
    """
    running = hour_of(now)
    first = min((hour for hour, n in hits.items() if n > 0), default=running)
    over, quiet_before = 1.0, float("inf")
    for hour in (running - 1, running):
        before = [hits.get(hour - 24 * day, 0) for day in range(1, DAYS + 1) if hour - 24 * day >= first]
        if hour == running:
            over = now % 3_600 / 3_600
        if len(before) >= FEWEST_DAYS:
            found = _odd(hour, hits.get(hour, 0), before, limits, over, quiet_before)
            if found is not None:
                return found
            # An hour after a quiet one may begin as quietly each day: of it no more is expected.
            quiet_before = float(median(before))
    return None


def _odd(hour: int, hits: int, before: list[int], limits: Limits, over: float, quiet_before: float) -> Oddity | None:
    usual = float(median(before))
    if hits >= limits.spike_minimum and hits >= limits.spike_factor * usual and hits > max(before):
        return Oddity("traffic_spiked", hour, hits, usual)
    expected = min(usual, quiet_before) * over
    if expected >= limits.silence_minimum and hits <= limits.silence_share * expected and hits < min(before) * over:
        return Oddity("fell_silent", hour, hits, usual)
    return None


def may_tell(told: list[float], now: float, a_day: int) -> bool:
    """Whether one more is told of a kind that was at these Unix times (s): not soon again, and so many in a UTC day."""
    today = now // 86_400
    return sum(moment // 86_400 == today for moment in told) < a_day and not any(
        now - moment < QUIET * 3_600 for moment in told
    )
