"""A worker that is killed while it tells somebody: it is told at least once, or stands in the failed registry."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits import Event, PathHits
from pathhits.notify import queueing, verify
from pathhits.notify.channels import channels
from pathhits.storage.redis.client import connect
from tests.faults.teller import POINTS, later
from tests.servers.processes import Process
from tests.servers.receivers import Hook

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret of some length"
MOMENT = datetime(2026, 11, 21, tzinfo=UTC)
EVENT = Event("0" * 32, "product.updated", "product", "7", 0, "", "", "", {}, MOMENT)
#: After the others it may be told twice: it was done and nobody wrote it down, or RQ finds the job in two places.
TOLD_ONCE = ("before start", "before tell", "after note")

Start = Callable[..., Process]


class Scene:
    """Somebody to be told by webhook and by a mail that is added to a file, and workers that tell."""

    def __init__(self, redis_url: str, database_url: str, hook: Hook, mails: Path, start: Start) -> None:
        told: dict[str, Any] = {
            "notify_webhooks": hook.url,
            "notify_secret": SECRET,
            "notify_file": str(mails),
            "notify_to": "a@b.org",
        }
        self.hits = PathHits(redis_url=redis_url, database_url=database_url, **told)
        self.hits.migrate()
        self.env = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "no_proxy": "*", "PYTHONPATH": str(ROOT)}
        self.env |= {f"PATHHITS_{name.upper()}": value for name, value in told.items()}
        self.connection: redis.Redis = connect(redis_url, timeout=5.0)
        self._hook = hook
        self._mails = mails
        self._start = start

    def die(self, *points: str) -> None:
        """Have a worker die at each of these, one after the other, on the first job that waits."""
        process = self._start([sys.executable, "-m", "tests.faults.teller", *points], env=self.env)
        assert process.wait(120) == 0, process.output()
        died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
        assert died == list(points), process.output()

    def work(self) -> None:
        """A worker that lives does what is left, when it may."""
        later(self.connection)
        process = self._start([sys.executable, str(ROOT / "worker.py"), "--burst", "--no-clock"], env=self.env)
        assert process.wait(120) == 0, process.output()

    def posted(self) -> Counter[str]:
        """How often each event was posted."""
        return Counter(verify(one.headers, one.body, SECRET)["id"] for one in self._hook.requests)

    def mailed(self) -> Counter[str]:
        """How often each product was mailed about."""
        lines = self._mails.read_text().splitlines() if self._mails.exists() else []
        return Counter(line for line in lines if line.startswith("Subject:"))

    def left(self) -> int:
        """Jobs that wait, run or wait to be taken over."""
        queue = Queue("pathhits", connection=self.connection, serializer=JSONSerializer)
        return len([*queue.job_ids, *queue.started_job_registry.get_job_ids(), *queue.intermediate_queue.get_job_ids()])


@pytest.fixture
def scene(
    redis_url: str, sqlite_url: str, tmp_path: Path, start_process: Start, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(queueing, "RETRY_WAITS", (0, 0, 0))
    with Hook() as hook:
        scene = Scene(redis_url, sqlite_url, hook, tmp_path / "mails.txt", start_process)
        yield scene
        scene.connection.close()
        scene.hits.close(0.1)


def test_whoever_is_told_when_a_worker_dies_is_told_all_the_same(scene: Scene) -> None:
    events = {point: replace(EVENT, id=f"{n:032x}", item_id=point) for n, point in enumerate(POINTS)}
    for event in events.values():
        assert scene.hits.notifier(event) == 2
    # Each death is that of the first job that waits; there are two of an event.
    scene.die(*(point for point in POINTS for _ in range(2)))
    scene.work()
    posted, mailed = scene.posted(), scene.mailed()
    for point, event in events.items():
        times = posted[event.id], mailed[f"Subject: [pathhits] product {point} was changed"]
        assert times == (1, 1) if point in TOLD_ONCE else all(n in (1, 2) for n in times), point
    assert max(posted.values()) == max(mailed.values()) == 2, "a death between sending and writing it down is seen"
    assert (scene.left(), scene.hits.notifier.failed()) == (0, [])


def test_one_whose_worker_dies_each_time_stands_in_the_failed_registry_and_is_sent_anew_when_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "channels", lambda settings: channels(settings)[1:])  # the webhook will do
    assert scene.hits.notifier(EVENT) == 1
    scene.die(*["before tell"] * 4)
    scene.work()
    [failed] = scene.hits.notifier.failed()
    assert (failed.subject, failed.channel) == ("product 7 was changed", "127.0.0.1")
    assert "AbandonedJobError" in failed.error
    assert (scene.posted(), scene.left()) == ({}, 0)
    assert scene.hits.notifier.retry() == 1
    scene.work()
    assert scene.posted() == {EVENT.id: 1}
    assert scene.hits.notifier.failed() == []
