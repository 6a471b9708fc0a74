"""From an event to everybody who is to know: through the worker, once for an event, and seen where it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from click.testing import CliRunner
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from pathhits import Event, PathHits, Settings, SettingsError, notify
from pathhits.cli import group
from pathhits.jobs.clock import Clock
from pathhits.jobs.schedule import SCHEDULE
from pathhits.jobs.worker import build_worker
from pathhits.notify import queueing, verify
from pathhits.notify.messages import News
from pathhits.notify.queueing import JOB_FAILING
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import MAILS_TTL, ClockKeys
from pathhits.tasks import ALLOWED
from tests.faults.writer import BROWSER
from tests.servers.receivers import PASSWORD, USER, Hook, Mailbox

ROOT = Path(__file__).resolve().parents[3]
SECRET = "a secret of some length"
TO = "anna@example.org"
EVENT = Event(
    "0190" * 8, "product.updated", "product", "7", 4711, "keyed-user", BROWSER, "example.com", {"by": "ä"},
    datetime(2026, 11, 21, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout=5.0) as client:
        yield client


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("no_proxy", "*")
    with Hook() as hook:
        yield hook


def telling(redis_url: str, database_url: str, hook: Hook, **more: Any) -> PathHits:
    """A PathHits that tells the hook, as its environment would have it."""
    told: dict[str, Any] = {"notify_webhooks": hook.url, "notify_secret": SECRET, "request_deadline": 60.0}
    hits = PathHits(redis_url=redis_url, database_url=database_url, **(told | more))
    hits.migrate()
    return hits


def environment(hits: PathHits) -> dict[str, str]:
    """What a worker needs to know to tell the same."""
    of = hits.settings
    env = {"REDIS_URL": of.redis_url, "DATABASE_URL": of.database_url, "no_proxy": "*", "PYTHONPATH": str(ROOT)}
    env |= {"PATHHITS_NOTIFY_WEBHOOKS": ",".join(of.notify_webhooks), "PATHHITS_NOTIFY_SECRET": of.notify_secret}
    return env | {"PATHHITS_NOTIFY_TO": ",".join(of.notify_to), "PATHHITS_NOTIFY_FILE": of.notify_file}


def burst(env: dict[str, str], *, exit_code: int = 0) -> str:
    """A worker without an app that does what waits; what it said."""
    command = [sys.executable, str(ROOT / "worker.py"), "--burst", "--no-clock"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == exit_code, done.stderr
    return done.stderr


def jobs(connection: redis.Redis) -> list[Job]:
    queue = Queue("pathhits", connection=connection, serializer=JSONSerializer)
    return [job for job in queue.get_jobs() if job.id.startswith("notify-")]


def run(hits: PathHits, *arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(group, arguments, obj=hits, env={"COLUMNS": "300"})
    assert result.exit_code == exit_code, result.output
    return result.output


def findings(hits: PathHits) -> list[tuple[str, str]]:
    return [(one.state, one.says) for one in hits.doctor() if one.what == "notifications"]


# The whole way.


def test_an_admins_change_and_a_hot_item_are_told_by_a_worker_without_an_app(
    redis_url: str, database_url: str, hook: Hook, tmp_path: Path
) -> None:
    """Settings alone: the web process and the commands know nothing of it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    shop = PathHits(redis_url=redis_url, database_url=database_url, hot_at=2, cold_below=1, request_deadline=60.0)
    shop.migrate()
    shop.register_item("product")
    with Mailbox(authority) as box:
        env = environment(telling(redis_url, database_url, hook)) | {
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            "PATHHITS_NOTIFY_TO": TO,
            "PATHHITS_NOTIFY_SMTP_HOST": "127.0.0.1",
            "PATHHITS_NOTIFY_SMTP_PORT": str(box.port),
            "PATHHITS_NOTIFY_SMTP_USER": USER,
            "PATHHITS_NOTIFY_SMTP_PASSWORD": PASSWORD,
        }
        said = burst(env)  # it makes the listeners known
        shop.track("product.updated", 7, properties={"price": 12}, user_id="the admin")
        for number in (1, 2):
            assert shop.track_view("product", 8, ip=f"203.0.113.{number}", user_agent=BROWSER)
        shop.flush(30)
        assert shop.sync().deliveries == 1, "views are nobody's business"
        assert shop.refresh_items().became_hot == 1
        with connect(redis_url, timeout=5.0) as client:
            Queue("pathhits", connection=client, serializer=JSONSerializer).enqueue("pathhits.tasks.deliver")
        said += burst(env)
    subjects = sorted(mail["Subject"].strip() for mail in box.mails)
    assert subjects == [
        "[pathhits] product 7 was changed",
        "[pathhits] product 8 became hot: 2 views in the last 7 days",
    ], said
    told = [verify(posted.headers, posted.body, SECRET) for posted in hook.requests]
    assert sorted(one["type"] for one in told) == ["product.became_hot", "product.updated"]
    [updated] = [one["data"] for one in told if one["type"] == "product.updated"]
    assert updated == {"item_type": "product", "item_id": "7", "properties": {"price": 12}}
    for text in (said, *(json.dumps(one) for one in told), *(mail.as_string() for mail in box.mails)):
        for secret in (PASSWORD, "nobody-should-read", "203.0.113", "the admin", BROWSER):
            assert secret not in text
    shop.close()


# One job a recipient.


def test_an_event_is_one_job_for_each_recipient_however_often_the_listener_is_called(
    redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis
) -> None:
    hits = telling(redis_url, sqlite_url, hook, notify_to=f"{TO},ben@example.org", notify_smtp_host="127.0.0.1")
    assert [hits.notifier(EVENT) for _ in range(3)] == [3, 0, 0]
    waiting = jobs(connection)
    assert len({job.id for job in waiting}) == len(waiting) == 3
    for job in waiting:
        assert (job.retries_left, job.retry_intervals) == (3, [10, 30, 60])
        assert job.failure_ttl == 7 * 86_400
    stored = "".join(f"{connection.hgetall(job.key)} {job.id} {job.args}" for job in waiting)
    for secret in (TO, "hooks", SECRET, BROWSER, "4711", "keyed-user", "example.com"):
        assert secret not in stored


def test_an_import_of_many_products_is_no_flood_of_mails(
    redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis
) -> None:
    hits = telling(redis_url, sqlite_url, hook, notify_most=3, notify_to=TO, notify_smtp_host="127.0.0.1")
    counts = [hits.notifier(replace(EVENT, id=f"{number:032x}")) for number in range(5)]
    assert counts == [2, 2, 2, 1, 1], "webhooks get them all"
    assert hits.notifier(replace(EVENT, id="f" * 32, name="product.cooled")) == 2
    mails = [News.parse(job.args[1]) for job in jobs(connection) if job.args[0].startswith("mail-")]
    told = [news.text() for news in mails if news.name == EVENT.name]
    assert ["not sent until midnight UTC" in text for text in told] == [False, False, True]
    assert [hits.notifier(EVENT) for _ in range(2)] == [1, 0]
    [key] = connection.scan_iter("{pathhits}:notify:*product.updated")
    assert 0 < connection.ttl(key) <= MAILS_TTL
    assert hits.notifier(replace(EVENT, id=f"{0:032x}")) == 0


def test_what_was_told_is_not_told_again(redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis) -> None:
    hits = telling(redis_url, sqlite_url, hook)
    hits.notifier(EVENT)
    burst(environment(hits))
    assert len(hook.requests) == 1
    assert hits.notifier(EVENT) == 0
    burst(environment(hits))
    assert len(hook.requests) == 1


def test_a_recipient_that_is_no_more_is_not_told(redis_url: str, sqlite_url: str, hook: Hook) -> None:
    hits = telling(redis_url, sqlite_url, hook)
    hits.notifier(EVENT)
    env = environment(hits) | {"PATHHITS_NOTIFY_WEBHOOKS": "http://127.0.0.1:1/other"}
    burst(env)
    assert hook.requests == []
    assert findings(hits)[0][0] == "ok"


# Failing.


def test_one_that_fails_is_tried_four_times_then_seen_and_sent_anew_when_asked(
    redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "RETRY_WAITS", (0, 0, 0))
    hits = telling(redis_url, sqlite_url, hook, notify_file="mails.txt")
    hook.statuses = [503] * 4
    hits.notifier(EVENT)
    env = environment(hits) | {"PATHHITS_NOTIFY_FILE": ""}
    said = burst(env)
    assert len(hook.requests) == 4
    assert {verify(one.headers, one.body, SECRET)["id"] for one in hook.requests} == {EVENT.id}
    [failed] = hits.notifier.failed()
    assert (failed.channel, failed.subject) == ("127.0.0.1", "product 7 was changed")
    assert failed.error.endswith("NotificationFailed: the webhook at 127.0.0.1 answered 503")
    [(state, says)] = findings(hits)
    assert state == "warning"
    assert "1 failed for good, the last one to 127.0.0.1" in says
    told = run(hits, "notify")
    assert "answered 503" in told
    assert json.loads(run(hits, "notify", "--json"))["failed"][0]["id"] == failed.id
    assert "nobody-should-read" not in said + says + told
    assert "1 notifications are in the queue again" in run(hits, "notify", "--retry")
    assert jobs(connection)[0].retries_left == 3
    burst(env)
    assert len(hook.requests) == 5
    assert hits.notifier.failed() == []


def test_the_command_says_who_is_told_and_tells_them(
    redis_url: str, sqlite_url: str, hook: Hook, tmp_path: Path
) -> None:
    hits = telling(redis_url, sqlite_url, hook, notify_file=str(tmp_path / "mails.txt"), notify_to=TO)
    told = run(hits, "notify")
    assert "Recipients" in told
    assert TO in told
    assert "127.0.0.1" in told
    assert "nobody-should-read" not in told
    assert run(hits, "notify", "--test").count("  ok\n") == 2
    assert len(hook.requests) == 1
    assert "This is a test" in (tmp_path / "mails.txt").read_text()
    hook.statuses = [500]
    assert "answered 500" in run(hits, "notify", "--test", exit_code=1)
    assert [bool(one["error"]) for one in json.loads(run(hits, "notify", "--test", "--json"))] == [False, False]
    nobody = PathHits(redis_url=redis_url, database_url=sqlite_url)
    assert "Nobody is told" in run(nobody, "notify")
    assert findings(nobody) == []


# A job of the schedule that fails again and again.


def test_a_sync_that_fails_again_and_again_is_told_once_while_it_lasts(
    redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis
) -> None:
    hits = telling(redis_url, sqlite_url, hook, notify_failures=3)
    runs = build_worker(hits.settings, ALLOWED).runs
    assert runs is not None
    for _ in range(2):
        runs.ended("sync", "StoreUnavailable: postgresql://shop:secret@db/x is away")
    assert jobs(connection) == []
    for _ in range(3):
        runs.ended("sync", "StoreUnavailable: postgresql://shop:secret@db/x is away")
    [job] = jobs(connection)
    burst(environment(hits))
    [posted] = hook.requests
    told = verify(posted.headers, posted.body, SECRET)
    assert (told["type"], told["subject"]) == (JOB_FAILING, "The job sync failed 3 times in a row")
    assert told["data"]["properties"]["error"] == "StoreUnavailable: postgresql://shop:***@db/x is away"
    runs.ended("sync")
    for _ in range(3):
        runs.ended("sync", "Other: trouble")
    assert len(jobs(connection)) == 1, "another time is another story"
    assert jobs(connection)[0].id != job.id


def test_a_sync_that_cannot_reach_its_tables_is_told_of_by_the_worker_that_runs_it(
    redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis
) -> None:
    told = {"notify_webhooks": hook.url, "notify_secret": SECRET, "notify_failures": "2", "sync_every": "3600"}
    env = {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "no_proxy": "*", "PYTHONPATH": str(ROOT)}
    env |= {f"PATHHITS_{name.upper()}": value for name, value in told.items()}
    clock = Clock([job for job in SCHEDULE if job.id == "sync"], Settings.from_env(env), connection)
    for _ in range(3):
        connection.delete("rq:scheduled:pathhits")  # the further attempts of the run before
        connection.zadd(ClockKeys("pathhits").schedule(), {"pathhits-sync": 1.0})
        assert clock.tick() == {"pathhits-sync": "queued"}
        burst(env)
    [posted] = hook.requests
    told = verify(posted.headers, posted.body, SECRET)["data"]["properties"]
    assert (told["job"], told["failures"]) == ("sync", 2)
    assert "NotMigrated: The database" in told["error"]


@pytest.mark.parametrize("settings", [{"notify_failures": 0}, {"notify_events": "*.updated"}, {"notify_webhooks": ""}])
def test_who_does_not_want_to_know_of_failures_is_not_told(
    redis_url: str, sqlite_url: str, hook: Hook, connection: redis.Redis, settings: dict[str, Any]
) -> None:
    hits = telling(redis_url, sqlite_url, hook, **settings)
    runs = build_worker(hits.settings, ALLOWED).runs
    assert runs is not None
    for _ in range(10):
        runs.ended("sync", "trouble")
    assert jobs(connection) == []


# Declaring.


def test_own_events_are_told_when_they_are_installed(redis_url: str, sqlite_url: str, hook: Hook) -> None:
    hits = telling(redis_url, sqlite_url, hook)
    notify.install(hits, "order.*", "*.updated")
    notify.install(hits, "order.*")
    assert sorted(hits.listeners.patterns().values()) == ["*.became_hot", "*.cooled", "*.updated", "order.*", "site.*"]
    hits.event_type("order.placed")
    hits.deliver()
    hits.track("order.placed", 1)
    hits.flush(30)
    hits.sync()
    assert hits.deliver().done == 1
    with connect(redis_url, timeout=5.0) as client:
        [job] = jobs(client)
        assert job.args[1]["name"] == "order.placed"
    hits.close()


def test_installing_without_anybody_to_tell_is_an_error() -> None:
    with pytest.raises(SettingsError, match="set NOTIFY_TO"):
        notify.install(PathHits())
    with pytest.raises(SettingsError, match="give an event such as"):
        notify.install(PathHits(notify_file="x"), "updated")


def test_without_the_queue_a_delivery_waits_for_its_next_attempt(sqlite_url: str, redis_url: str, hook: Hook) -> None:
    hits = telling(redis_url, sqlite_url, hook, queue_url="redis://127.0.0.1:1/0")
    hits.deliver()
    hits.track("product.updated", 7)
    hits.flush(30)
    hits.sync()
    report = hits.deliver()
    assert (report.done, report.failed) == (0, 1)
    hits.close()
