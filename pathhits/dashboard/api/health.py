"""How pathhits itself is doing: each part is asked apart, so that the page is there when a store is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from redis import RedisError
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from pathhits.app import PathHits
from pathhits.core.periods import zone
from pathhits.dashboard.api.shapes import Check, DeadDelivery, FailedJob, Health, JobRow, State, SyncRow
from pathhits.dashboard.queries import Query
from pathhits.errors import PathHitsError
from pathhits.settings import redact

T = TypeVar("T")
#: What is shown of each list, the last first.
SYNCS = 10
FAILED = 50
DEAD = 50
ERROR_LENGTH = 2_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def health(hits: PathHits, query: Query) -> Health:
    """All that can be said; what cannot be asked is None, or empty, and the checks say why."""
    here = zone(query.tz)
    checks = tuple(Check(one.what, one.state, one.says) for one in hits.doctor())
    waiting = ask(hits.stats.waiting)
    counts = ask(hits.deliveries.counts)
    warnings = ask(hits.reads.warnings)
    return Health(
        state=_worst(checks),
        moment=query.now,
        buffered=hits.buffer.waiting,
        pending_hits=ask(lambda: hits.browsing.view().pending_hits()),
        waiting_generations=None if waiting is None else waiting[0],
        oldest_waiting=None if waiting is None else waiting[1],
        queued_jobs=ask(lambda: queued(hits)),
        due_deliveries=None if counts is None else counts["due"],
        dead_deliveries=None if counts is None else counts["dead"],
        dead_letters=None if warnings is None else warnings[0],
        syncs=tuple(
            SyncRow(row["applied_at"].astimezone(here), row["seconds"], row["paths"], row["hits"], row["errors"])
            for row in ask(lambda: hits.reads.last_syncs(SYNCS)) or ()
        ),
        jobs=tuple(
            JobRow(
                one.job,
                one.description,
                one.every,
                one.state,
                _here(one.last_run, query),
                one.seconds,
                _here(one.next_run, query),
                one.failures,
                one.error,
                _here(one.failed_at, query),
            )
            for one in ask(hits.schedule) or ()
        ),
        failed=tuple(ask(lambda: failed(hits, query)) or ()),
        dead=tuple(
            DeadDelivery(
                one.id,
                one.listener,
                one.event,
                one.event_id,
                one.item,
                one.attempts,
                (_EPOCH + timedelta(milliseconds=one.moment)).astimezone(here),
                one.error,
            )
            for one in ask(lambda: hits.dead_deliveries(limit=DEAD)) or ()
        ),
        checks=checks,
    )


def queued(hits: PathHits) -> int:
    """How many jobs wait for a worker."""
    with closing(hits.queue_connection()) as connection:
        return Queue(hits.settings.namespace, connection=connection).count


def failed(hits: PathHits, query: Query) -> list[FailedJob]:
    """The jobs that failed for good, the last first."""
    with closing(hits.queue_connection()) as connection:
        registry = Queue(hits.settings.namespace, connection=connection, serializer=JSONSerializer).failed_job_registry
        found = []
        for identity in reversed(registry.get_job_ids(-FAILED, -1)):
            try:
                job = Job.fetch(identity, connection=connection, serializer=JSONSerializer)
            except NoSuchJobError:
                continue
            result = job.latest_result()
            error = redact(str(result.exc_string or "") if result is not None else "").strip()
            found.append(FailedJob(identity, job.func_name or "", _here(job.ended_at, query), error[-ERROR_LENGTH:]))
        return found


def _here(moment: datetime | None, query: Query) -> datetime | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(zone(query.tz))


def _worst(checks: tuple[Check, ...]) -> State:
    states = {check.state for check in checks}
    return "error" if "error" in states else "warning" if "warning" in states else "ok"


def ask(question: Callable[[], T]) -> T | None:
    """The answer, None while the store that has it does not answer."""
    try:
        return question()
    except (PathHitsError, RedisError):
        return None
