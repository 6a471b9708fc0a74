"""The worker: an RQ worker that runs only the tasks it was given names of, and stays up when Redis does not.

RQ alone unpickles job data, imports whatever a job names, and ends when Redis is away for a few seconds or when one
job in the queue cannot be read. `run_worker` and `run_clock` block until SIGTERM or SIGINT; `run_both` looks after
one of each, for a host with a single process.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, NoReturn, cast

import redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, Worker, worker_registration
from rq.exceptions import DeserializationError, NoSuchJobError, StopRequested
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import now

from pathhits.capture import shutdown
from pathhits.core.backoff import back_off
from pathhits.jobs.clock import (
    FAILURE_TTL,
    FIRST_PAUSE,
    INTERVAL,
    LONGEST_PAUSE,
    RESULT_TTL,
    STOP_SIGNALS,
    Clock,
    Stop,
)
from pathhits.jobs.runs import KILLED, RunLog
from pathhits.jobs.schedule import SCHEDULE, ScheduledJob
from pathhits.logs import Complaints
from pathhits.notify.queueing import tell_of_job
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect, explain
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.pending import PendingStore

log = logging.getLogger("pathhits.worker")

#: Seconds an idle worker waits for a job before it shows that it lives (RQ waits 15 s less than this setting).
WORKER_TTL = 30
#: Seconds between two signs of life of a job that runs.
MONITOR_EVERY = 5
#: Seconds after the last sign of life at which a job, or a worker, is taken for dead.
HEARTBEAT_TTL = 30
#: Seconds between two clean-ups of RQ's registries.
MAINTENANCE_EVERY = 60
#: A child that lived this long (s) is started again at once, and the count of failures begins anew.
STEADY = 60.0
#: Seconds the clock has to end when asked; it looks at the flag between two calls of Redis.
CLOCK_GRACE = 5.0
PR_SET_PDEATHSIG = 1


class Stopped(BaseException):
    """A stop that was asked for while RQ's own handlers did not stand: no `Exception`, which a pool of connections, for
    one, takes for an error and goes on."""


class StopByException:
    """SIGTERM and SIGINT raise `Stopped`; and a flag, as what a collected object raises is passed over by Python."""

    asked = False

    def stand(self) -> None:
        """Take the signals, until somebody else does."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> NoReturn:
        self.asked = True
        raise Stopped


_early = StopByException()


class SafeJob(Job):
    """A job without callbacks and webhooks, which could name anything; one that cannot be read counts as gone."""

    def refresh(self) -> None:
        """Read the job; `NoSuchJobError`, which RQ passes over, when its key holds something else."""
        try:
            super().refresh()  # type: ignore[no-untyped-call]  # rq annotates only a part
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            raise NoSuchJobError(f"{self.key} is not a job") from error

    def restore(self, raw_data: Any) -> None:
        """Take the stored fields over; `NoSuchJobError`, which RQ passes over, when they make no sense."""
        try:
            super().restore(raw_data)
        except NoSuchJobError:
            raise
        except Exception as error:
            log.warning("job %s cannot be read and is passed over: %s: %s", self.id, type(error).__name__, error)
            raise NoSuchJobError(f"{self.key} cannot be read") from error
        self.webhooks = []
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None


class PathHitsWorker(Worker):
    """An RQ worker that runs the functions ``allowed`` (import paths); other jobs fail without being imported.

    How the runs of ``scheduled`` jobs (names in the schedule, by RQ's id) went is written down, see `RunLog`.
    """

    job_class = SafeJob
    max_connection_wait_time = 5.0
    log_result_lifespan = False
    heartbeat_ttl = HEARTBEAT_TTL

    def __init__(
        self,
        *args: Any,
        allowed: Collection[str] = (),
        scheduled: Mapping[str, str] | None = None,
        runs: RunLog | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.allowed = frozenset(allowed)
        self.scheduled = dict(scheduled or {})
        self.runs = runs
        self.stop_asked = False
        self._reaped: tuple[Any, Any, Any] | None = None
        self._complain = Complaints(log)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the job in a process of its own, if it is one of ours."""
        reason = self.refusal(job)
        if reason:
            self.refuse(job, queue, reason)
        else:
            super().execute_job(job, queue)

    def refusal(self, job: Job) -> str | None:
        """Why the job must not run, or None."""
        try:
            name, instance = job.func_name, job.instance
        except DeserializationError:
            return "refused: its data is not JSON"
        if instance is None and isinstance(name, str) and name in self.allowed:
            return None
        return (
            f"refused: {name!r} is not among the tasks this worker runs ({', '.join(sorted(self.allowed)) or 'none'})"
        )

    def refuse(self, job: Job, queue: Queue, reason: str) -> None:
        """Let the job fail with that reason; it stands in RQ's failed registry and is not tried again."""
        log.warning("job %s %s", job.id, reason)
        job.retries_left = 0
        job.failure_ttl = FAILURE_TTL if job.failure_ttl is None else job.failure_ttl
        job.ended_at = now()
        self.handle_job_failure(job, queue, exc_string=reason)
        self.connection.lrem(queue.intermediate_queue_key, 1, job.id)

    def perform_job(self, job: Job, queue: Queue) -> bool:
        """Perform the job, in the process of its own; that it began is written down, and what it counted is sent.

        That process ends without a word to anybody.
        """
        self._write_down(job, lambda runs, name: runs.began(name))
        try:
            return super().perform_job(job, queue)
        finally:
            shutdown.flush_all()

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry) -> None:
        """What RQ does after a run that went well; that it did is written down."""
        self._write_down(job, lambda runs, name: runs.ended(name))
        super().handle_job_success(job, queue, started_job_registry)

    def handle_job_failure(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry | None = None, exc_string: str = ""
    ) -> None:
        """What RQ does after a run that failed, or whose process was killed; its error is written down."""
        self._write_down(job, lambda runs, name: runs.ended(name, told(exc_string)))
        super().handle_job_failure(job, queue, started_job_registry, exc_string)

    def _write_down(self, job: Job, write: Callable[[RunLog, str], Any]) -> None:
        """Have the run of a scheduled job written down; whatever goes wrong with that, the job goes on."""
        name = self.scheduled.get(job.id)
        if name is None or self.runs is None:
            return
        try:
            write(self.runs, name)
        except Exception as error:
            self._complain("runs", "how job %s went is not written down: %s: %s", job.id, type(error).__name__, error)

    def work(self, *args: Any, **named: Any) -> bool:
        """What RQ does; a stop that comes before its own handlers stand leaves no worker on the list either."""
        try:
            return super().work(*args, **named)
        except (Stopped, StopRequested):
            self.register_death()  # type: ignore[no-untyped-call]  # rq annotates only a part
            raise

    def subscribe(self) -> None:
        """Listen to no commands over Redis: signals do, and a worker without threads forks safely."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed to."""

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Show that the worker lives, also to a Redis that has lost its data since."""
        super().heartbeat(self.heartbeat_ttl, pipeline)
        if self.birth_date is not None:
            worker_registration.register(self, pipeline)

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Seconds for which a sign of life of a job holds; the clock runs the job again after that."""
        return self.heartbeat_ttl

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Start the process that performs the job."""
        self._reaped = None
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Perform the job; this process ends with its worker, so that a job never runs on beside its next run."""
        end_with_parent(signal.SIGKILL, cast(int, self.pid))
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Finish the job on SIGTERM too: Heroku sends it to every process of a dyno."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]  # rq annotates only a part
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def wait_for_horse(self) -> tuple[Any, Any, Any]:
        """How the process of the job ended; the same answer when asked again (pid 0 would mean any child)."""
        if self._reaped is None:
            self._reaped = super().wait_for_horse()
        return self._reaped

    def monitor_work_horse(self, job: Job, queue: Queue) -> None:
        """Wait for the process of the job, also through a Redis outage, which would make RQ forget it."""
        failures = 0
        while True:
            try:
                super().monitor_work_horse(job, queue)
                return
            except (RedisConnectionError, RedisTimeoutError) as error:
                failures += 1
                self._complain("monitor", "worker: %s while job %s runs; it goes on", type(error).__name__, job.id)
                time.sleep(back_off(failures, FIRST_PAUSE, LONGEST_PAUSE))

    def _install_signal_handlers(self) -> None:
        """RQ's; what came in before is not forgotten."""
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # rq annotates only a part
        if _early.asked:
            self.stop_asked = self._stop_requested = True

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job, as RQ waits for it; between two waits it is looked at whether to stop."""
        if timeout is None or max_idle_time is not None:
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        found = None
        while found is None:
            if self._stop_requested:
                raise StopRequested
            found = super().dequeue_job_and_maintain_ttl(timeout, timeout)
        return found

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Finish the job that runs, then end, also where the error that RQ raises to that end was passed over."""
        self.stop_asked = self._stop_requested = True
        try:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # rq annotates only a part
        except redis.RedisError as error:
            log.debug("worker could not write down that it stops: %s", error)

    def teardown(self) -> None:
        """Sign off; without Redis the entry of this worker ends by its TTL."""
        try:
            super().teardown()  # type: ignore[no-untyped-call]  # rq annotates only a part
        except redis.RedisError as error:
            log.debug("worker could not sign off: %s", error)


def run_worker(
    settings: Settings,
    allowed: Collection[str],
    table: Iterable[ScheduledJob] = SCHEDULE,
    *,
    burst: bool = False,
    prepare: Callable[[], object] = lambda: None,
) -> int:
    """Perform jobs of the queue of ``settings.namespace`` until SIGTERM or SIGINT; ``burst``: until it is empty.

    ``allowed``: import paths of the tasks; their modules are imported here, once, and not for every job. The jobs
    find their PathHits by ``settings.app``, where that is set, as they would by PATHHITS_APP. ``prepare`` is called
    before the first job; what it raises is only logged.

    Returns the exit code: 0, or 1 when a burst did not reach Redis.
    """
    complain, failures, table = Complaints(log), 0, tuple(table)
    try:
        _early.stand()
        if settings.app:
            os.environ["PATHHITS_APP"] = settings.app
        for module in sorted({name.rpartition(".")[0] for name in allowed}):
            import_module(module)
        _prepare(prepare)
        while not _early.asked:
            began = time.monotonic()
            try:
                worker = build_worker(settings, allowed, table)
                worker.work(burst=burst, logging_level=None)
                if worker.stop_asked or burst:
                    return 0
            except redis.RedisError as error:
                complain(type(error).__name__, "%s", explain(error, queue_url(settings)))
                if burst:
                    return 1
            _early.stand()
            failures = 1 if time.monotonic() - began > STEADY else failures + 1
            time.sleep(back_off(failures, FIRST_PAUSE, LONGEST_PAUSE))
    except (Stopped, StopRequested):
        pass
    return 0


def _prepare(prepare: Callable[[], object]) -> None:
    try:
        prepare()
    except Exception as error:
        log.warning("worker: not everything was prepared, the jobs will see to it: %s: %s", type(error).__name__, error)


def build_worker(
    settings: Settings, allowed: Collection[str], table: Iterable[ScheduledJob] = SCHEDULE, **options: Any
) -> PathHitsWorker:
    """A worker on the queue of ``settings.namespace``; raises `redis.RedisError` when its Redis does not answer."""
    options = {
        "worker_ttl": WORKER_TTL,
        "job_monitoring_interval": MONITOR_EVERY,
        "maintenance_interval": MAINTENANCE_EVERY,
        "default_result_ttl": RESULT_TTL,
        "log_job_description": False,
    } | options
    connection = connect(queue_url(settings), timeout=None, verify=settings.redis_tls_verify)
    return PathHitsWorker(
        settings.namespace,
        connection=connection,
        serializer=JSONSerializer,
        allowed=allowed,
        scheduled={line.job_id(settings.namespace): line.id for line in table},
        runs=RunLog(connection, settings.namespace, failed=partial(tell_of_job, settings, connection)),
        **options,
    )


def run_clock(settings: Settings, table: Iterable[ScheduledJob] = SCHEDULE, *, interval: float = INTERVAL) -> int:
    """Follow the schedule until SIGTERM or SIGINT; returns the exit code, 0."""
    stop = Stop()
    connection = connect(queue_url(settings), timeout=settings.redis_timeout, verify=settings.redis_tls_verify)
    counts = connect(settings.redis_url, timeout=settings.redis_timeout, verify=settings.redis_tls_verify)
    events_wait = PendingStore(counts, Keys(settings.namespace)).events_wait
    Clock(table, settings, connection, interval=interval, events_wait=events_wait).run(stop)
    return 0


def run_both(
    settings: Settings,
    allowed: Collection[str],
    table: Iterable[ScheduledJob] = SCHEDULE,
    *,
    burst: bool = False,
    prepare: Callable[[], object] = lambda: None,
) -> int:
    """A worker and a clock beside it, each a process of its own that is started again when it dies.

    ``prepare`` as for `run_worker`, in the process of the worker.

    Returns the exit code when both have ended: after SIGTERM or SIGINT (the job that runs is finished; asked twice
    it is not) or, with ``burst``, when the worker is done.
    """
    # It connects to nothing: a URL that cannot work is said here, once, and not by children that start again and again.
    connect(queue_url(settings), timeout=settings.redis_timeout, verify=settings.redis_tls_verify).close()
    stop = Stop()
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # wakes the pause below
    lines = tuple(table)
    worker = Child("worker", lambda: run_worker(settings, allowed, lines, burst=burst, prepare=prepare))
    clock = Child("clock", lambda: run_clock(settings, lines))
    try:
        worker.keep()
        while not stop.asked:
            clock.keep()
            if burst and worker.ended():
                break
            worker.keep()
            stop.pause(1.0)
    finally:
        clock.end()
        worker.end()
        asked = stop.asked
        while not worker.ended():
            stop.pause(1.0)
            if stop.asked > asked:
                asked = stop.asked
                worker.end()
        clock.kill_after(CLOCK_GRACE)
    return worker.exit_code() if burst else 0


@dataclass
class Child:
    """One supervised process; ``run`` returns its exit code."""

    name: str
    run: Callable[[], int]
    process: BaseProcess | None = None
    started: float = 0.0
    failures: int = 0
    not_before: float = 0.0

    def keep(self) -> None:
        """Start it, or start it again, with a growing pause when it dies young."""
        if self.process is not None and not self.process.is_alive():
            self.failures = 1 if time.monotonic() - self.started > STEADY else self.failures + 1
            pause = back_off(self.failures, FIRST_PAUSE, LONGEST_PAUSE)
            log.warning("the %s ended (%s); it is started again in %.1f s", self.name, self.process.exitcode, pause)
            self.not_before = time.monotonic() + pause
            self.process = None
        if self.process is None and time.monotonic() >= self.not_before:
            self._start()

    def _start(self) -> None:
        # Signals wait until the child has its own handlers: one that came in between would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self.process = multiprocessing.get_context("fork").Process(target=self._main, args=(os.getpid(),))
            self.process.start()
            self.started = time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _main(self, parent: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _early.stand()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            end_with_parent(signal.SIGTERM, parent)
            sys.exit(self.run())
        except Stopped:
            sys.exit(0)

    def ended(self) -> bool:
        """Whether it is not running."""
        return self.process is None or not self.process.is_alive()

    def end(self) -> None:
        """Ask it to end; returns at once."""
        if self.process is not None and self.process.is_alive():
            self.process.terminate()

    def kill_after(self, seconds: float) -> None:
        """Wait for its end, at most so long, then kill it."""
        if self.process is not None:
            self.process.join(seconds)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()

    def exit_code(self) -> int:
        """Its exit code, 1 when a signal ended it."""
        code = self.process.exitcode if self.process is not None else 0
        return code if code is not None and code >= 0 else 1


def queue_url(settings: Settings) -> str:
    """The URL of the Redis that holds the queue and the schedule."""
    return settings.queue_url or settings.redis_url


def told(exc_string: str) -> str:
    """What a traceback says happened, on one line; of a process that died under its job, that it did."""
    if exc_string.startswith("Work-horse terminated unexpectedly"):
        return KILLED
    # Some errors go on for several lines; the first of them is "Type: message", where a line of code is indented.
    lines = re.findall(r"^[A-Za-z_][\w.]*(?:: .*)?$", exc_string, re.MULTILINE)
    return lines[-1] if lines else exc_string.strip() or "it failed"


def end_with_parent(number: int, parent: int) -> None:
    """Have this process get that signal when its parent ends, be it by SIGKILL; only Linux can do this."""
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), number)


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
