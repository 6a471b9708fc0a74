"""Figures for Prometheus, in its text format 0.0.4. What a store cannot tell at the moment is left out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from pathhits.app import PathHits
from pathhits.browsing import View
from pathhits.dashboard.api.health import ask, queued
from pathhits.hits import HITS, REQUESTS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: A sample: its labels and its value.
Sample = tuple[Mapping[str, str], float]


def metrics(hits: PathHits) -> str:
    """All samples, each metric with what it means."""
    return "".join(_written(name, help, samples) for name, help, samples in (*_redis(hits), *_sql(hits)) if samples)


def _redis(hits: PathHits) -> Iterator[tuple[str, str, list[Sample]]]:
    yield "buffered", "Requests that wait in this process.", [({}, hits.buffer.waiting)]
    view = ask(hits.browsing.view)
    if view is not None:
        yield "pending_hits", "Hits in Redis that SQL does not have yet.", _one(ask(view.pending_hits))
        yield from _today(view)
    waiting = ask(hits.stats.waiting)
    if waiting is not None:
        yield "waiting_generations", "Batches in Redis that wait for SQL.", [({}, waiting[0])]
        yield "oldest_waiting_seconds", "How long the oldest of them has waited.", [({}, waiting[1] or 0.0)]
    yield "active_visitors", "Visitors who made a hit in the last five minutes.", _one(ask(hits.active_visitors))
    yield "queued_jobs", "Jobs that wait for a worker.", _one(ask(lambda: queued(hits)))
    jobs = ask(hits.schedule) or []
    yield (
        "job_failures",
        "Runs of a scheduled job that failed in a row until now.",
        [({"job": one.job}, one.failures) for one in jobs],
    )
    yield (
        "job_last_run_timestamp_seconds",
        "When a scheduled job ran last.",
        [({"job": one.job}, one.last_run.timestamp()) for one in jobs if one.last_run is not None],
    )


def _today(view: View) -> Iterator[tuple[str, str, list[Sample]]]:
    """Sums of the UTC day: they begin at 0 again at midnight, as counters may."""
    now = datetime.now(UTC)
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    until = since + timedelta(days=1)
    steps = ask(lambda: view.site([since], until))
    if steps:
        yield "today_hits", "Hits of this UTC day.", [({}, steps[0].amounts.get(HITS, 0))]
        yield "today_requests", "Requests of this UTC day.", [({}, steps[0].amounts.get(REQUESTS, 0))]
        yield "today_visitors", "Visitors of this UTC day.", [({}, steps[0].visitors or 0)]
    reasons = ask(lambda: view.reasons(since, until)) or {}
    drops: list[Sample] = [({"reason": reason}, n) for reason, n in reasons.items()]
    yield "today_drops", "Requests of this UTC day that are no hits, by reason.", drops


def _sql(hits: PathHits) -> Iterator[tuple[str, str, list[Sample]]]:
    syncs = ask(lambda: hits.reads.last_syncs(1)) or []
    for last in syncs:
        yield "sync_seconds", "How long SQL took for the last batch.", [({}, last["seconds"])]
        yield "sync_hits", "Hits of the last batch.", [({}, last["hits"])]
        yield "sync_errors", "Fields of the last batch that SQL could not take.", [({}, last["errors"])]
        yield (
            "sync_age_seconds",
            "How long ago that was.",
            [({}, max(0.0, time.time() - last["applied_at"].timestamp()))],
        )
    counts = ask(hits.deliveries.counts) or {}
    yield (
        "deliveries",
        "Calls of listeners that are due, or dead.",
        [({"state": name}, n) for name, n in counts.items()],
    )
    warnings = ask(hits.reads.warnings)
    yield "dead_letters", "Fields that SQL could not take, in all.", _one(None if warnings is None else warnings[0])


def _one(value: float | None) -> list[Sample]:
    return [] if value is None else [({}, value)]


def _written(name: str, help: str, samples: list[Sample]) -> str:
    lines = [f"# HELP pathhits_{name} {help}", f"# TYPE pathhits_{name} gauge"]
    for labels, value in samples:
        named = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"pathhits_{name}{f'{{{named}}}' if named else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, int) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
