"""The buttons of the page of health: what failed for good is tried anew, as if it were new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rq import Queue, Retry
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from pathhits import PathHits
from tests.integration.dashboard.reader import PASSWORD, Reader


@pytest.fixture
def reader(redis_url: str, sqlite_url: str) -> Iterator[Reader]:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, flush_interval=3600, dashboard_password=PASSWORD)
    hits.migrate()
    reader = Reader(hits.dashboard(), home="", hits=hits)
    reader.log_in()
    yield reader
    hits.close(0.1)


@pytest.mark.parametrize(
    ("retry", "left"), [(Retry(max=3, interval=[10, 30, 60]), 3), (None, None)], ids=["notification", "sync"]
)
def test_a_job_that_is_retried_has_all_its_attempts_again(
    reader: Reader, retry: Retry | None, left: int | None
) -> None:
    with reader.hits.queue_connection() as connection:
        queue = Queue(reader.hits.settings.namespace, connection=connection, serializer=JSONSerializer)
        job = queue.enqueue_call("pathhits.tasks.sync", job_id="one", retry=retry)
        queue.remove(job)
        job.retries_left = 0 if retry else None
        job.set_status(JobStatus.FAILED)
        job.save()
        queue.failed_job_registry.add(job, ttl=1_000)
        assert reader.post("/retry", job="one").location == "/health?done=1"
        again = Job.fetch("one", connection=connection, serializer=JSONSerializer)
        assert (again.get_status(), again.retries_left) == (JobStatus.QUEUED, left)
        # It is failed no more.
        assert reader.post("/retry", job="one").location == "/health?done=0"
        assert reader.post("/retry", job="nobody").location == "/health?done=0"
