"""The one table of everything that runs by the clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import redis

from pathhits.settings import Settings
from pathhits.storage.redis.keys import ClockKeys

#: A job that comes again this soon (s) is not retried: its next run is its retry.
OWN_RETRY = 60.0


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """One line of the table: ``task`` runs at every multiple of ``period(settings)`` seconds since 1970, UTC.

    A period of an hour is thus the full hour, and one of a day is midnight UTC. ``timeout`` (s) ends a run that hangs.
    An ``early`` job does not wait for its time while events wait.
    """

    id: str
    task: str
    period: Callable[[Settings], float]
    description: str
    timeout: int = 900
    early: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z_]+", self.id):
            raise ValueError(f"{self.id!r}: the id of a scheduled job is lower-case letters and underscores")

    def job_id(self, namespace: str) -> str:
        """The fixed id under which RQ knows the job: letters, digits, ``_`` and ``-``; different in each namespace."""
        if re.fullmatch(r"[A-Za-z0-9_-]+", namespace):
            return f"{namespace}-{self.id}"
        digest = hashlib.sha256(namespace.encode()).hexdigest()[:8]
        return f"{namespace.replace('.', '-')}-{digest}-{self.id}"


SCHEDULE: tuple[ScheduledJob, ...] = (
    ScheduledJob(
        id="sync",
        task="pathhits.tasks.sync",
        period=lambda settings: settings.sync_every,
        description="moves the counts from Redis into SQL",
        early=True,
    ),
    ScheduledJob(
        id="items",
        task="pathhits.tasks.items",
        period=lambda settings: settings.items_every,
        description="counts the recent views of items, which become hot and cool by them",
    ),
    ScheduledJob(
        id="deliver",
        task="pathhits.tasks.deliver",
        period=lambda settings: settings.deliver_every,
        description="calls the listeners of events",
    ),
    ScheduledJob(
        id="snapshot",
        task="pathhits.tasks.snapshot",
        period=lambda settings: settings.snapshot_every,
        description="computes what a dashboard shows, and stores it in SQL and Redis",
    ),
    ScheduledJob(
        id="spikes",
        task="pathhits.tasks.spikes",
        period=lambda settings: settings.spikes_every,
        description="compares the traffic with that of the days before",
    ),
    ScheduledJob(
        id="recommend",
        task="pathhits.tasks.recommend",
        period=lambda settings: settings.recommend_every,
        description="makes recommendations of new views",
    ),
    ScheduledJob(
        id="popularity",
        task="pathhits.tasks.popularity",
        period=lambda settings: settings.popularity_every,
        description="sends the popularity of the items that changed to columns and search engines",
    ),
    ScheduledJob(
        id="months",
        task="pathhits.tasks.months",
        period=lambda settings: settings.months_every,
        description="sums up the days that are over by month, for lists of long periods",
        timeout=3_600,
    ),
    ScheduledJob(
        id="prune",
        task="pathhits.tasks.prune",
        period=lambda settings: settings.prune_every,
        description="deletes events and rows of the ledger that were kept long enough",
        timeout=3_600,
    ),
)


def ask_for(connection: redis.Redis, namespace: str, id: str, after: float = 0.0) -> None:
    """Have the clock run that job ``after`` so many seconds (at once: 0), unless it does so earlier by itself.

    The clock sees to it that one at most waits. Raises `redis.RedisError`; nothing is lost when nobody was asked.
    """
    [job] = [job for job in SCHEDULE if job.id == id]
    seconds, microseconds = connection.time()
    moment = seconds + microseconds / 1_000_000 + after
    connection.zadd(ClockKeys(namespace).schedule(), {job.job_id(namespace): moment}, xx=True, lt=True)
