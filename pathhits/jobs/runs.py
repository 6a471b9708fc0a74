"""What became of the last runs of each scheduled job: the worker writes it down, a person reads it.

It is in the Redis of the queue and not in SQL, as a SQL database that is away is what most often makes jobs fail. It
outlives RQ's own traces, which are gone an hour after a run that went well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import redis
from rq import Queue

from pathhits.jobs.schedule import SCHEDULE, ScheduledJob
from pathhits.settings import Settings, redact
from pathhits.storage.redis.keys import RUN_TTL, ClockKeys

State = Literal["idle", "waiting", "running", "killed"]

#: How RQ names the key that a worker keeps alive while it runs a job.
EXECUTION = "rq:execution:"
#: Characters kept of an error.
ERROR_LENGTH = 500
#: What is written down of a run that nobody saw end.
KILLED = "it was killed, or its worker was"


@dataclass(frozen=True, slots=True)
class JobState:
    """One scheduled job, how its last run went (``seconds``) and when the next one comes; None is not known.

    ``failures`` is how many runs in a row failed until now; ``error`` is the last error, of ``failed_at``, and stays
    when later runs go well. ``state`` says whether the job waits for a worker, runs, or was killed while it ran.
    """

    job: str
    every: float
    last_run: datetime | None
    seconds: float | None
    next_run: datetime | None
    state: State
    failures: int
    error: str
    failed_at: datetime | None
    description: str

    def as_dict(self) -> dict[str, Any]:
        """The state as plain values; moments stay aware datetimes."""
        return asdict(self)


class RunLog:
    """The runs of the jobs of one namespace. All methods may raise `redis.RedisError`.

    The clock lets a job run once at a time, so that nobody else writes down the same one meanwhile. ``failed`` is
    told of each run that did: the job, how many failed in a row, the error, and since when (ms) they do.
    """

    def __init__(
        self,
        connection: redis.Redis,
        namespace: str,
        now: Callable[[], float] = time.time,
        failed: Callable[[str, int, str, int], object] = lambda job, failures, error, since: None,
    ) -> None:
        self._connection = connection
        self._keys = ClockKeys(namespace)
        self._now = now
        self._tell = failed

    def began(self, job: str) -> None:
        """A run of the job begins; one before that nobody saw end has failed."""
        key, began = self._keys.run(job), self._milliseconds()
        lost = self._connection.hget(key, "running")
        if lost is not None:
            self._failed(job, int(lost), began, KILLED)
        with self._connection.pipeline(transaction=True) as pipe:
            pipe.hset(key, "running", began)
            pipe.expire(key, RUN_TTL)
            pipe.execute()

    def ended(self, job: str, error: str = "") -> int:
        """The run of the job that was begun ended, well or with an error; how many failed in a row until now."""
        key, end = self._keys.run(job), self._milliseconds()
        running = self._connection.hget(key, "running")
        began = end if running is None else int(running)
        if error:
            return self._failed(job, began, end, error)
        with self._connection.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={"began": began, "took": end - began, "failures": 0})
            pipe.hdel(key, "running", "failing_since")
            pipe.expire(key, RUN_TTL)
            pipe.execute()
        return 0

    def read(self, jobs: Collection[str]) -> dict[str, Mapping[str, str]]:
        """What is written down of each job, as text."""
        with self._connection.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hgetall(self._keys.run(job))
            found = cast("list[dict[bytes, bytes]]", pipe.execute())
        return {
            job: {name.decode(): value.decode("utf-8", "replace") for name, value in one.items()}
            for job, one in zip(jobs, found, strict=True)
        }

    def _failed(self, job: str, began: int, end: int, error: str) -> int:
        key, shown = self._keys.run(job), _shown(error)
        with self._connection.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={"began": began, "took": end - began, "failed_at": end, "error": shown})
            pipe.hsetnx(key, "failing_since", end)
            pipe.hdel(key, "running")
            pipe.expire(key, RUN_TTL)
            pipe.hincrby(key, "failures", 1)
            pipe.hget(key, "failing_since")
            failures, since = pipe.execute()[-2:]
        self._tell(job, int(failures), shown, int(since))
        return int(failures)

    def _milliseconds(self) -> int:
        return round(self._now() * 1000)


def _shown(error: str) -> str:
    """An error on one line, without a password."""
    shown = "".join(c if c.isprintable() else " " for c in redact(error))[:ERROR_LENGTH].strip()
    return shown.encode("utf-8", "backslashreplace").decode()


def read_schedule(
    settings: Settings, connection: redis.Redis, table: Sequence[ScheduledJob] = SCHEDULE
) -> list[JobState]:
    """The state of every job of the table; raises `redis.RedisError`."""
    namespace = settings.namespace
    written = RunLog(connection, namespace).read([line.id for line in table])
    due = dict(cast("list[tuple[bytes, float]]", _due(connection, namespace)))
    alive = _Alive(connection, namespace)
    return [_state(line, settings, written[line.id], due.get(line.job_id(namespace).encode()), alive) for line in table]


def _due(connection: redis.Redis, namespace: str) -> Any:
    return connection.zrange(ClockKeys(namespace).schedule(), 0, -1, withscores=True)


def _state(
    line: ScheduledJob, settings: Settings, written: Mapping[str, str], due: float | None, alive: _Alive
) -> JobState:
    running = written.get("running")
    state = alive.state(line.job_id(settings.namespace))
    if state == "idle" and running is not None:
        state = "killed"
    took = written.get("took")
    return JobState(
        job=line.id,
        every=line.period(settings),
        last_run=_moment(running or written.get("began")),
        seconds=None if running or took is None else int(took) / 1000,
        next_run=None if due is None else datetime.fromtimestamp(due, UTC),
        state=state,
        failures=int(written.get("failures", 0)) + (state == "killed"),
        error=KILLED if state == "killed" else written.get("error", ""),
        failed_at=_moment(running if state == "killed" else written.get("failed_at")),
        description=line.description,
    )


class _Alive:
    """Which jobs wait in the queue, and which are being run by a worker that shows signs of life."""

    def __init__(self, connection: redis.Redis, namespace: str) -> None:
        queue = Queue(namespace, connection=connection)
        waiting = connection.lrange(queue.key, 0, -1) + connection.lrange(queue.intermediate_queue_key, 0, -1)
        self._waiting = {id.decode() for id in cast("list[bytes]", waiting)}
        started = cast("list[bytes]", connection.zrange(queue.started_job_registry.key, 0, -1))
        self._running = {
            execution.partition(":")[0]
            for execution in (one.decode() for one in started)
            if connection.exists(f"{EXECUTION}{execution}")
        }

    def state(self, id: str) -> State:
        """How the job with that id of RQ is doing."""
        if id in self._running:
            return "running"
        return "waiting" if id in self._waiting else "idle"


def _moment(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
