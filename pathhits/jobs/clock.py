"""The clock: puts the jobs of the schedule into their queue, each once a period, whatever happens to it.

rq-scheduler loses a job when it is killed between two commands, ends on a Redis outage or on one bad job, and lets
the runs of a slow worker pile up. Here the table in the code is the truth; one script per job and pass compares it
with what Redis holds and acts in one step, so there is nothing to lose in between. The lock only spares work.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import cast

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, Retry, worker_registration
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now
from rq_scheduler import Scheduler

from pathhits.core.backoff import RETRY_WAITS, back_off
from pathhits.jobs.schedule import OWN_RETRY, ScheduledJob
from pathhits.logs import Complaints
from pathhits.settings import Settings
from pathhits.storage.redis.keys import CLOCK_LOCK_TTL, CLOCK_SEEN_TTL, ClockKeys
from pathhits.storage.redis.scripts import script

log = logging.getLogger("pathhits.clock")

#: Seconds between two looks at the schedule.
INTERVAL = 1.0
#: Seconds after which a job that a worker took and never began is put into the queue again.
PATIENCE = 10.0
#: Lost runs in a row after which a job waits for its next time instead of being run again at once.
LOST_RUNS = 3
#: Pause (s) before the second try to reach Redis, before its doubling, and the longest one.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
#: Seconds the traces of a run are kept: of a good one (at least; two periods if that is longer), of a failed one.
RESULT_TTL = 3_600
FAILURE_TTL = 86_400
#: Jobs that are given their further attempt in one pass.
RETRIES_A_PASS = 100

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """SIGTERM and SIGINT as a flag that can be waited for; to be made in the main thread."""

    def __init__(self) -> None:
        self.asked = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1

    def wait(self, seconds: float) -> bool:
        """Whether a stop was asked for, after ``seconds`` or as soon as a handled signal arrives."""
        if not self.asked:
            self.pause(seconds)
        return bool(self.asked)

    def pause(self, seconds: float) -> None:
        """Wait ``seconds`` or until any handled signal arrives."""
        select.select([self._read], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)


class Clock(Scheduler):  # type: ignore[misc]  # rq_scheduler publishes no types
    """An rq-scheduler for one namespace and one table of jobs; `run` blocks until it is asked to stop.

    ``connection`` must be a client with a timeout that does not repeat commands (`storage.redis.client.connect`).
    ``events_wait`` says whether early jobs are to run now; it may raise `redis.RedisError`.
    """

    def __init__(
        self,
        table: Iterable[ScheduledJob],
        settings: Settings,
        connection: redis.Redis,
        *,
        interval: float = INTERVAL,
        lock_ttl: float | None = None,
        events_wait: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(queue_name=settings.namespace, connection=connection, interval=interval)
        self.table = {job.job_id(settings.namespace): job for job in table}
        self.periods = {id: max(0.1, job.period(settings)) for id, job in self.table.items()}
        self.keys = ClockKeys(settings.namespace)
        self.scheduler_lock_key = self.keys.lock()
        self.scheduled_jobs_key = self.keys.schedule()
        self.redis_scheduler_namespace_prefix = f"{{{settings.namespace}}}:clock:instance:"
        self.lock_ttl = CLOCK_LOCK_TTL if lock_ttl is None else lock_ttl
        self.events_wait = events_wait
        self.token = secrets.token_hex(16)
        self.complain = Complaints(log)
        self.queue = Queue(settings.namespace, connection=connection, serializer=JSONSerializer)
        self._slot = script(connection, "slot", __package__)
        self._retries = script(connection, "retries", __package__)
        self._release = script(connection, "release")

    def run(self, stop: Stop | None = None) -> None:
        """Look at the schedule once an interval until SIGTERM or SIGINT; trouble of any kind is logged and outlived."""
        stop = stop or Stop()
        log.info("clock started: %s", ", ".join(f"{id} every {self.periods[id]:g} s" for id in self.table) or "no jobs")
        failures, pause = 0, 0.0
        while not stop.wait(pause):
            began = time.monotonic()
            try:
                self.tick()
                failures, pause = 0, self._interval - (time.monotonic() - began)
            except Exception as error:  # whatever it is, the next pass begins from what Redis holds
                failures += 1
                pause = back_off(failures, FIRST_PAUSE, LONGEST_PAUSE)
                self.complain(type(error).__name__, "clock: %s: %s; trying again", type(error).__name__, error)
        log.info("clock stopped")

    def tick(self) -> dict[str, str]:
        """One pass: what was found for each job (see ``lua/slot.lua``), or nothing when another clock is at work.

        Raises `redis.RedisError` when Redis does not answer.
        """
        if not self.acquire_lock():
            return {}
        try:
            found = self.enqueue_jobs()
            self.heartbeat()
            return found
        finally:
            self.remove_lock()

    def enqueue_jobs(self) -> dict[str, str]:
        """Compare the whole table with Redis and act on it: what was found, by job id; one bad job hides no other."""
        found = {}
        with self._apart("events"):
            self.hasten()
        for id in self.table:
            with self._apart(id):
                found[id] = self.enqueue_job(id)
        with self._apart("entries that are not in the table"):
            self.forget_unknown()
        with self._apart("retries"):
            self.enqueue_retries()
        return found

    def hasten(self) -> None:
        """Move early jobs forward to this moment when events wait; one that is queued or runs is left as it is."""
        early = [id for id, job in self.table.items() if job.early]
        try:
            wanted = bool(early) and self.events_wait()
        except redis.RedisError as error:  # of the counts, which may be another than the queue's
            self.complain("waiting", "clock: cannot see whether events wait: %s: %s", type(error).__name__, error)
            return
        if wanted:
            seconds, microseconds = cast("tuple[int, int]", self.connection.time())
            moment = seconds + microseconds / 1_000_000
            self.connection.zadd(self.scheduled_jobs_key, dict.fromkeys(early, moment), xx=True, lt=True)

    def enqueue_job(self, job: str) -> str:
        """Put the job of that id into its queue if its time has come; says what was found."""
        queue, prefix = self.queue, self.job_class.redis_job_namespace_prefix
        keys = [
            self.scheduled_jobs_key,
            queue.key,
            queue.intermediate_queue_key,
            queue.started_job_registry.key,
            f"{prefix}{job}",
            queue.failed_job_registry.key,
            queue.finished_job_registry.key,
            queue.scheduled_job_registry.key,
            queue.redis_queues_keys,
        ]
        fields = [part for pair in self._create_job(job).to_dict().items() for part in pair]
        args = [job, self.periods[job], PATIENCE, LOST_RUNS, *fields]
        found = cast(bytes, self._slot(keys=keys, args=args)).decode()
        if found in ("queued", "again"):
            log.debug("clock: %s %s", job, found)
        return found

    def _create_job(self, id: str) -> Job:
        """The job as RQ stores it, ready to be queued; nothing is written and the task is not imported."""
        line, period = self.table[id], self.periods[id]
        job = Job.create(
            line.task,
            id=id,
            connection=self.connection,
            serializer=JSONSerializer,
            origin=self.queue_name,
            description=line.description,
            timeout=line.timeout,
            result_ttl=int(max(RESULT_TTL, 2 * period)),
            failure_ttl=FAILURE_TTL,
            retry=Retry(max=len(RETRY_WAITS), interval=list(RETRY_WAITS)) if period > OWN_RETRY else None,
            status=JobStatus.QUEUED,
        )
        job.enqueued_at = now()
        return job

    def forget_unknown(self) -> None:
        """Take entries off the schedule that are no longer in the table."""
        known = {id.encode() for id in self.table}
        gone = [id for id in self.connection.zrange(self.scheduled_jobs_key, 0, -1) if id not in known]
        if gone:
            self.connection.zrem(self.scheduled_jobs_key, *gone)

    def enqueue_retries(self) -> int:
        """Queue the jobs whose wait before a further attempt is over; returns how many."""
        keys = [self.queue.scheduled_job_registry.key, self.queue.key]
        return int(self._retries(keys=keys, args=[self.job_class.redis_job_namespace_prefix, RETRIES_A_PASS]))

    def heartbeat(self) -> None:
        """Write down that a pass was made just now (see `clock_alive`)."""
        self.connection.set(self.keys.seen(), os.getpid(), ex=CLOCK_SEEN_TTL)

    def acquire_lock(self) -> bool:
        """Whether this clock may work now; the lock opens by itself after ``lock_ttl`` seconds."""
        milliseconds = int(self.lock_ttl * 1000)
        self._lock_acquired = bool(self.connection.set(self.scheduler_lock_key, self.token, px=milliseconds, nx=True))
        return self._lock_acquired

    def remove_lock(self) -> None:
        """Open the lock if it is still this clock's; an unreachable Redis opens it by its TTL."""
        if self._lock_acquired:
            self._lock_acquired = False
            with contextlib.suppress(redis.RedisError):
                self._release(keys=[self.scheduler_lock_key], args=[self.token])

    @contextlib.contextmanager
    def _apart(self, what: str) -> Iterator[None]:
        """Keep the trouble of one job from the others; without Redis, however, the whole pass is pointless."""
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError):
            raise
        except Exception as error:
            self.complain(what, "clock: %s: %s: %s", what, type(error).__name__, error)


def clock_alive(connection: redis.Redis, namespace: str) -> float | None:
    """Seconds since the last pass of a clock of this namespace; None when there was none within `CLOCK_SEEN_TTL`."""
    left = connection.pttl(ClockKeys(namespace).seen())
    return None if left < 0 else max(0.0, CLOCK_SEEN_TTL - left / 1000)


def workers_alive(connection: redis.Redis, queue: str) -> int:
    """How many workers of that queue live: each renews a key that is gone 30 s after the last sign of life."""
    keys = worker_registration.get_keys(Queue(queue, connection=connection))
    return sum(1 for key in keys if connection.hexists(key, "last_heartbeat") and not connection.hexists(key, "death"))
