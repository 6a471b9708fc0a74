"""The names that RQ stores. Three lines each, never renamed: a job queued by an older release must find its task."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from typing import Any

# What a sync needs is loaded once by the worker, not by each of its jobs (0.4 s every time).
import pathhits.jobs.deliver
import pathhits.jobs.items
import pathhits.jobs.months
import pathhits.jobs.popularity
import pathhits.jobs.prune
import pathhits.jobs.recommend
import pathhits.jobs.snapshot
import pathhits.jobs.spikes
import pathhits.jobs.sync
import pathhits.notify.queueing
import pathhits.storage.sql.changes
import pathhits.storage.sql.columnsink
import pathhits.storage.sql.deliveries
import pathhits.storage.sql.hotness
import pathhits.storage.sql.ledger
import pathhits.storage.sql.mirrors
import pathhits.storage.sql.months
import pathhits.storage.sql.recommendations
import pathhits.storage.sql.retention
import pathhits.storage.sql.snapshots  # noqa: F401  # loaded, not named
from pathhits.app import load

__all__ = ["deliver", "items", "months", "notify", "popularity", "prune", "recommend", "snapshot", "spikes", "sync"]

#: Import paths of all tasks: what a worker may run.
ALLOWED = tuple(f"{__name__}.{name}" for name in __all__)


def sync() -> dict[str, Any]:
    """Move the counts from Redis into SQL; returns the fields of the `SyncReport`."""
    with closing(load()) as hits:  # a process that performs a job ends without atexit
        return dataclasses.asdict(hits.sync())


def items() -> dict[str, Any]:
    """Count the recent views of items; returns the fields of the `ItemsReport`."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.refresh_items())


def prune() -> dict[str, Any]:
    """Delete what was kept long enough; returns the fields of the `PruneReport`."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.prune())


def months() -> dict[str, Any]:
    """Sum up the months that are over; returns the fields of the `MonthsReport`."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.roll_months())


def deliver() -> dict[str, Any]:
    """Call the listeners with what is due; returns the fields of the `DeliverReport`."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.deliver())


def snapshot() -> dict[str, Any]:
    """Compute and store what a dashboard shows; returns the fields of the `SnapshotReport`."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.refresh_snapshot())


def spikes() -> dict[str, Any]:
    """See whether the site has far more or far fewer hits than usual; returns whether it said so."""
    with closing(load()) as hits:
        return {"said": hits.look_for_spikes().said}


def notify(channel: str, news: dict[str, Any]) -> bool:
    """Tell one recipient of an event; returns whether the settings still name it."""
    with closing(load()) as hits:
        return hits.notifier.send(channel, news)


def recommend() -> dict[str, Any]:
    """Make recommendations of new views; returns the fields of the `RecommendReport`."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.recommend())


def popularity() -> dict[str, Any]:
    """Send the popularity of items to the sinks; returns the fields of the `PopularityReport`, fails when one did."""
    with closing(load()) as hits:
        return dataclasses.asdict(hits.refresh_popularity().checked())
