"""Counts the recent views of items, so that they become hot and cool. Can run twice at once and die anywhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from pathhits.core.hotness import RECENT_DAYS, Thresholds
from pathhits.storage.sql.hotness import Due, Hotness, ItemState

logger = logging.getLogger("pathhits")

#: Items refreshed in one transaction, which holds their rows.
ITEMS_A_STEP = 200
#: Items refreshed in one run for each reason to be due; the next run goes on.
ITEMS_A_RUN = 10_000
REASONS: tuple[Due, ...] = ("hot", "touched", "stale")


class Changing(Protocol):
    """Who wants to know that hot items are about to change, and when they have; see `Version`."""

    def changing(self) -> None: ...

    def changed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ItemsReport:
    """What one run did: items whose recent views were counted, those that became hot or cooled, seconds spent."""

    items: int = 0
    became_hot: int = 0
    cooled: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def refresh(
    hotness: Hotness,
    thresholds: Callable[[str], Thresholds],
    version: Changing,
    mirror: Callable[[Connection, Sequence[ItemState]], None] = lambda connection, states: None,
    now: int | None = None,
) -> ItemsReport:
    """Refresh what is due as of ``now`` (ms since 1970, by default this moment); what is left over is next run's.

    Raises `StoreUnavailable`, `NotMigrated` or `redis.RedisError`; the steps before that are done.
    """
    started = time.monotonic()
    now = time.time_ns() // 1_000_000 if now is None else now
    states: list[ItemState] = []
    for keys in _steps(hotness, now):
        states += _step(hotness, keys, now, thresholds, version, mirror)
    return ItemsReport(
        len(states),
        sum(state.changed and state.is_hot for state in states),
        sum(state.changed and not state.is_hot for state in states),
        time.monotonic() - started,
    )


def _steps(hotness: Hotness, now: int) -> Iterator[list[bytes]]:
    """Keys of items that are due, some at a time; each is asked for when the ones before are done.

    What is due again is left to the next run.
    """
    done: set[bytes] = set()
    for why in REASONS:
        for _ in range(ITEMS_A_RUN // ITEMS_A_STEP):
            keys = [key for key in hotness.due(why, now, ITEMS_A_STEP) if key not in done]
            if not keys:
                break
            done.update(keys)
            yield keys


def _step(
    hotness: Hotness,
    keys: Sequence[bytes],
    now: int,
    thresholds: Callable[[str], Thresholds],
    version: Changing,
    mirror: Callable[[Connection, Sequence[ItemState]], None],
) -> list[ItemState]:
    def before_commit(connection: Connection, states: Sequence[ItemState]) -> None:
        mirror(connection, states)
        if any(_shows(state) for state in states):
            version.changing()

    states = hotness.refresh(keys, now, thresholds, before_commit)
    if any(_shows(state) for state in states):
        version.changed()
    for state in states:
        if state.changed:
            became = "became hot" if state.is_hot else "cooled"
            logger.info("%s %s: %d views in the last %d days", state.item, became, state.recent_views, RECENT_DAYS)
    return states


def _shows(state: ItemState) -> bool:
    """Whether a list of hot items looks different for it."""
    return state.is_hot or state.changed
