"""Fills stores with counts as a site has them: weeks, nights, growth; the same every time."""

from __future__ import annotations

import math
import random
import secrets
from collections import Counter
from collections.abc import Sequence

from pathhits import PathHits
from pathhits.hits import (
    BOUNCES,
    DROPS,
    HITS,
    REQUESTS,
    SECONDS,
    SITE,
    VIEWS,
    VISITS,
    Batch,
    Delta,
    Sketch,
)  # fmt: skip

#: Requests for each hit that were dropped, by reason, in hundredths.
DROPPED = {"bot": 22, "status": 9, "method": 6, "unmatched": 3, "prefetch": 1}


def fill(
    hits: PathHits, now: float, *, days: int, paths: Sequence[str], items: Sequence[str] = (), daily: int = 400
) -> None:
    """Add ``days`` days of hits up to the hour of ``now`` (unix s); the first paths and items have the most."""
    dice = random.Random(7)
    this_hour = int(now // 3600)
    for day in range(days):
        deltas: Counter[Delta] = Counter()
        visitors: dict[Sketch, tuple[int, ...]] = {}
        for hour in range((this_hour // 24 - day) * 24, (this_hour // 24 - day) * 24 + 24):
            if hour <= this_hour:
                _fill_hour(deltas, hour, dice, paths, items, daily * (1 - day / days / 2))
        on = this_hour // 24 - day
        seen = sum(n for delta, n in deltas.items() if delta.counter == VISITS)
        visitors[Sketch(on, SITE)] = tuple(range(max(1, int(seen * 0.8))))
        for path in paths[:200]:
            n = sum(n for delta, n in deltas.items() if delta.counter == HITS and delta.subject == path)
            visitors[Sketch(on, path)] = tuple(range(max(1, int(n * 0.7))))
        hits.pending.add(Batch("fill", day + 1, secrets.token_hex(8), deltas, visitors), "")


def _fill_hour(
    deltas: Counter[Delta], hour: int, dice: random.Random, paths: Sequence[str], items: Sequence[str], daily: float
) -> None:
    wave = 0.25 + max(0.0, math.sin((hour % 24 - 6) / 24 * 2 * math.pi)) * (0.6 if (hour // 24) % 7 in (2, 3) else 1)
    n = max(0, round(daily / 24 * wave * dice.uniform(0.7, 1.6)))
    found = Counter(min(int(dice.paretovariate(0.9)) - 1, len(paths) - 1) for _ in range(n))
    for place, amount in found.items():
        deltas[Delta(hour, HITS, paths[place])] += amount
    for place in (min(int(dice.paretovariate(0.8)) - 1, len(items) - 1) for _ in range(n // 2) if items):
        deltas[Delta(hour, VIEWS, items[place])] += 1
    visits = round(n * 0.4)
    bounces = round(visits * dice.uniform(0.35, 0.5))
    dropped = {reason: round(n * share / 100) for reason, share in DROPPED.items()}
    deltas[Delta(hour, REQUESTS, "")] += n + sum(dropped.values())
    deltas[Delta(hour, VISITS, "")] += visits
    deltas[Delta(hour, BOUNCES, "")] += bounces
    deltas[Delta(hour, SECONDS, "")] += (visits - bounces) * dice.randrange(60, 400)
    for reason, amount in dropped.items():
        deltas[Delta(hour, DROPS, reason)] += amount
