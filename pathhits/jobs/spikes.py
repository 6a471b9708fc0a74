"""Says when the site has far more or far fewer hits than usual, as an event. Can run twice at once and die anywhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from pathhits.core.periods import hour_start, to_hour
from pathhits.core.traffic import KNOWN_DAYS, NAMES, QUIET, Limits, Oddity, judge, may_tell
from pathhits.settings import Settings
from pathhits.stats import Stats
from pathhits.storage.sql.alarms import Alarms

logger = logging.getLogger("pathhits")


@dataclass(frozen=True, slots=True)
class SpikesReport:
    """What one run found: "traffic_spiked", "fell_silent" or "" for nothing odd, the hits of that hour (UTC, aware)
    and the usual number of them, and whether it was said now, as an event.
    """

    found: str = ""
    hour: datetime | None = None
    hits: int = 0
    usual: float = 0.0
    said: bool = False
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def look(settings: Settings, stats: Stats, alarms: Alarms, now: datetime) -> SpikesReport:
    """Compare the last hours with the same ones of the days before, as of ``now``, and say what is odd.

    Raises `StoreUnavailable` or `NotMigrated`.
    """
    started = time.monotonic()
    odd = judge(_hits(stats, now), now.timestamp(), limits(settings))
    if odd is None:
        return SpikesReport(seconds=time.monotonic() - started)
    said = _say(settings, alarms, odd, now)
    hour = hour_start(odd.hour)
    if said:
        logger.warning("%s: %d hits in the hour from %s, usual are %g", NAMES[odd.kind], odd.hits, hour, odd.usual)
    return SpikesReport(odd.kind, hour, odd.hits, odd.usual, said, time.monotonic() - started)


def limits(settings: Settings) -> Limits:
    """What the settings take to be odd."""
    return Limits(settings.spike_factor, settings.spike_minimum, settings.silence_share, settings.silence_minimum)


def _hits(stats: Stats, now: datetime) -> Mapping[int, int]:
    points = stats.series("hits", now - timedelta(days=KNOWN_DAYS), now, by="hour")
    return {to_hour(point.start): point.value for point in points}


def _say(settings: Settings, alarms: Alarms, odd: Oddity, now: datetime) -> bool:
    moment = round(now.timestamp() * 1_000)

    def wanted(said: Sequence[int]) -> bool:
        return may_tell([one / 1_000 for one in said], now.timestamp(), settings.spike_alarms)

    shown = f"{hour_start(odd.hour):%Y-%m-%d %H:%M} UTC"
    properties = {"hits": odd.hits, "usual": round(odd.usual, 1), "hour": shown}
    since = moment - max(24, QUIET) * 3_600_000
    return alarms.say(_event_id(odd), NAMES[odd.kind], properties, moment, since, wanted)


def _event_id(odd: Oddity) -> bytes:
    """An id that the same hour has wherever it is judged: milliseconds first, as every event's."""
    digest = blake2b(f"{odd.kind}\n{odd.hour}".encode(), digest_size=10, person=b"pathhits-odd")
    return (odd.hour * 3_600_000).to_bytes(6, "big") + digest.digest()
