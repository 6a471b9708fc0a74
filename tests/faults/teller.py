"""Workers that die while they tell somebody of something: ``python -m tests.faults.teller POINT ...``, one for each."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import cast

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits.jobs.worker import PathHitsWorker, run_worker
from pathhits.notify.channels import Channel
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect
from pathhits.tasks import ALLOWED
from tests.faults.dying import die_at_each, points_of
from tests.faults.syncer import around

#: The steps of a run, in their order: the worker takes the job, performs it, tells, and writes down that it did.
STEPS = ("start", "job", "tell", "note")
#: Where a worker can die: before and after each step.
POINTS = tuple(point for point in points_of(STEPS) if point != "after job")
#: Seconds that pass between a death and the next worker, as far as RQ is concerned.
LATER = 600.0


def later(connection: redis.Redis, namespace: str = "pathhits") -> None:
    """Make what a dead worker left look as old as it is when somebody else may take it."""
    queue = Queue(namespace, connection=connection, serializer=JSONSerializer)
    started = queue.started_job_registry.key
    for member in cast("list[bytes]", connection.zrange(started, 0, -1)):
        connection.zincrby(started, -LATER, member)
    between = queue.intermediate_queue
    for job in between.get_job_ids():
        connection.set(between.get_first_seen_key(job), time.time() - LATER)


def main(points: Sequence[str]) -> None:
    """Print the points where a worker really died."""
    settings = Settings.from_env()

    def run(point: str, reached: Callable[[str], None]) -> None:
        worker = os.getpid()

        def die_together(at: str) -> None:
            if at == point:
                # Where the process of the job is, its worker dies first.
                os.kill(worker, signal.SIGKILL)
            reached(at)

        around(PathHitsWorker, "prepare_execution", "start", die_together)
        around(PathHitsWorker, "perform_job", "job", die_together)
        around(Channel, "send", "tell", die_together)
        around(PathHitsWorker, "handle_job_success", "note", die_together)
        with closing(connect(settings.redis_url, timeout=5.0)) as connection:
            later(connection)
        run_worker(settings, ALLOWED, burst=True)

    die_at_each(points, run)


if __name__ == "__main__":
    main(sys.argv[1:])
