"""Listeners are called with every event, at least once and apart from each other, whoever syncs and whatever dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from pathhits import Event, PathHits
from pathhits.cli import group
from pathhits.jobs import deliver as job
from pathhits.jobs.clock import Clock
from pathhits.jobs.schedule import SCHEDULE
from pathhits.storage.redis.keys import ClockKeys
from pathhits.storage.sql import tables
from tests.faults.writer import BROWSER
from tests.integration.logbook import rows_of
from tests.servers.processes import Process, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def view(hits: PathHits, *ids: object, item_type: str = "product") -> None:
    """Views of these items, in the log."""
    _count(hits, *ids, item_type=item_type)
    hits.sync()


def _count(hits: PathHits, *ids: object, item_type: str = "product") -> None:
    if item_type not in {declared.name for declared in hits.items}:
        hits.register_item(item_type)
    for number, one in enumerate(ids):
        address = f"203.0.{number // 250}.{number % 250 + 1}"
        assert hits.track_view(item_type, one, ip=address, user_agent=BROWSER)
    assert hits.flush(30)


def after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def deliveries(hits: PathHits) -> list[dict[str, Any]]:
    return rows_of(hits, tables.deliveries)


def run(hits: PathHits, *arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(group, arguments, obj=hits, env={"COLUMNS": "300"})
    assert result.exit_code == exit_code, result.output
    return result.output


class Broken(Exception):
    """What a listener of these tests fails with."""


def test_a_listener_gets_the_event_as_it_is_in_the_log(hits: PathHits) -> None:
    seen: list[Event] = []
    hits.on("product.viewed")(seen.append)
    view(hits, "ü 42")
    report = hits.deliver()
    assert (report.done, report.failed, report.dead) == (1, 0, 0)
    [event] = seen
    [row] = rows_of(hits, tables.events)
    assert event.id == bytes(row["id"]).hex()
    assert (event.name, event.item_type, event.item_id) == ("product.viewed", "product", "ü 42")
    assert (event.visitor, event.user_agent, event.properties) == (row["visitor"], BROWSER, {})
    assert event.moment == datetime.fromtimestamp(row["moment"] / 1000, UTC)
    assert hits.deliver().done == 0, "what was delivered is not delivered again"


def test_listeners_get_what_their_patterns_take_in(hits: PathHits) -> None:
    seen: Counter[str] = Counter()
    for pattern in ("product.viewed", "product.*", "*.viewed", "*", "story.viewed", "product.liked"):
        hits.on(pattern, name=pattern)(lambda event, pattern=pattern: seen.update([pattern]))
    view(hits, 1, 2)
    view(hits, 3, item_type="story")
    hits.deliver()
    assert seen == {"product.viewed": 2, "product.*": 2, "*.viewed": 3, "*": 3, "story.viewed": 1}


def test_a_listener_that_fails_twice_is_called_three_times_with_the_waits(hits: PathHits) -> None:
    calls, others = list[str](), list[str]()

    @hits.on("product.viewed", name="frail")
    def frail(event: Event) -> None:
        calls.append(event.id)
        if len(calls) < 3:
            raise Broken("not yet")

    hits.on("product.viewed", name="sound")(lambda event: others.append(event.id))
    view(hits, 1)
    start = after(0)
    done = [hits.deliver(start + timedelta(seconds=s)).failed for s in (0, 9.9, 10, 39.9, 40, 1000)]
    assert done == [1, 0, 1, 0, 0, 0]
    assert len(calls) == 3
    assert len(others) == 1
    assert {row["state"] for row in deliveries(hits)} == {tables.DONE}


def test_all_waits_of_the_seeds_are_waited_when_there_are_as_many_retries(redis_url: str, database_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url, listener_attempts=5, request_deadline=60.0)
    hits.migrate()

    def fails(event: Event) -> None:
        raise Broken

    hits.on("*", name="bad")(fails)
    view(hits, 1)
    start = after(0)
    at = (0, 9.9, 10, 39.9, 40, 99.9, 100, 159.9, 160)
    done = [hits.deliver(start + timedelta(seconds=seconds)) for seconds in at]
    assert [(one.failed, one.dead) for one in done] == [(n % 2 == 0, n == 8) for n in range(9)]
    hits.close()


def test_one_that_always_fails_leaves_one_dead_letter_that_can_be_made_anew(hits: PathHits) -> None:
    broken, calls, others = [True], list[str](), list[str]()

    @hits.on("product.viewed", name="shop.broken")
    def listener(event: Event) -> None:
        calls.append(event.id)
        if broken:
            raise Broken("no more\npaper \0")

    for name in ("one", "two"):
        hits.on("product.*", name=name)(lambda event: others.append(event.id))
    view(hits, 1)
    for seconds in (0, 10, 40, 100, 1000):
        hits.deliver(after(seconds))
    assert len(calls) == 3
    assert len(others) == 2
    [dead] = hits.dead_deliveries()
    assert (dead.listener, dead.event, dead.item, dead.attempts) == ("shop.broken", "product.viewed", "product:1", 3)
    assert dead.error == "Broken: no more paper  "
    assert hits.dead_deliveries("one") == []
    assert "no more paper" in run(hits, "dead", "list")
    assert "1 deliveries failed for good" in run(hits, "doctor", exit_code=1)
    assert '"dead": 1' in run(hits, "stats", "--json")
    broken.clear()
    assert "0 deliveries" in run(hits, "dead", "retry", "--listener", "one")
    assert "1 deliveries are due again" in run(hits, "dead", "retry")
    assert hits.deliver().done == 1
    assert len(calls) == 4
    assert "No delivery is dead." in run(hits, "dead", "list")


def test_a_listener_that_is_switched_off_waits_and_then_has_all(hits: PathHits, database_url: str) -> None:
    seen: list[str] = []

    def listening(**settings: Any) -> PathHits:
        other = PathHits(redis_url=hits.settings.redis_url, database_url=database_url, **settings)
        other.on("product.viewed", name="shop.mail")(lambda event: seen.append(event.item_id))
        return other

    off, on = listening(listeners_off="shop.*"), listening()
    off.deliver()  # makes it known
    view(hits, 1, 2)
    assert off.deliver().done == 0
    assert seen == []
    assert {one.state for one in off.doctor() if one.what == "listener"} == {"warning"}
    assert on.deliver().done == 2
    assert sorted(seen) == ["1", "2"]
    off.close()
    on.close()


def test_a_process_that_knows_no_listeners_misses_none_for_those_who_do(hits: PathHits, database_url: str) -> None:
    seen: list[str] = []
    worker = PathHits(redis_url=hits.settings.redis_url, database_url=database_url)
    worker.on("*.viewed", name="far")(lambda event: seen.append(event.item_id))
    worker.deliver()  # as the worker's job, and so it is known
    _count(hits, 1, 2, 3)
    env = {**os.environ, "REDIS_URL": hits.settings.redis_url, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "pathhits", "sync", "--json"]
    told = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert '"deliveries": 3' in told
    assert worker.deliver().done == 3
    assert sorted(seen) == ["1", "2", "3"]
    worker.close()


def test_one_that_is_no_more_has_its_events_wait_until_it_is_forgotten(hits: PathHits) -> None:
    hits.deliveries.register({"gone": "*"})
    view(hits, 1)
    assert hits.deliver().done == 0
    assert "gone" in run(hits, "listeners")
    with hits.engine.begin() as connection:
        connection.execute(update(tables.listeners).values(seen_at=0))
    assert "gone is in no worker, 1 events wait" in run(hits, "doctor", exit_code=1)
    assert "1 deliveries" in run(hits, "listeners", "--forget", "gone")
    view(hits, 2)
    assert deliveries(hits) == []


def test_hot_items_are_events_too(redis_url: str, database_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url, hot_at=2, cold_below=1, request_deadline=60.0)
    hits.migrate()
    seen: list[tuple[str, str, Any]] = []
    hits.on("*.became_hot", name="hot")(
        lambda event: seen.append((event.name, event.item_id, event.properties["recent_views"]))
    )
    view(hits, 7, 7)
    hits.refresh_items()
    hits.refresh_items()
    assert hits.deliver().done == 1
    assert seen == [("product.became_hot", "7", 2)]
    hits.close()


def test_two_jobs_at_once_take_no_delivery_twice(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "LOT", 3)
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    @hits.on("*", name="slow")
    def listener(event: Event) -> None:
        with lock:
            seen[event.id] += 1
        time.sleep(0.005)

    view(hits, *range(60))
    with ThreadPoolExecutor(2) as pool:
        done = sum(one.done for one in pool.map(lambda _: hits.deliver(), range(2)))
    while more := hits.deliver().done:  # a job may end when it sees all that is left in the other's hands
        done += more
    assert done == 60
    assert set(seen.values()) == {1}


def test_a_slow_listener_keeps_its_delivery(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "LEASE", 9_000)
    began, end, calls = threading.Event(), threading.Event(), list[str]()

    @hits.on("*", name="slow")
    def listener(event: Event) -> None:
        calls.append(event.id)
        began.set()
        end.wait(120)

    def leased() -> int:
        return int(deliveries(hits)[0]["taken_until"])

    view(hits, 1)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hits.deliver)
        assert began.wait(60)
        first = leased()
        wait_until(lambda: leased() > first, message="the lease is renewed")
        assert hits.deliver(datetime.fromtimestamp((first + 1) / 1000, UTC)).done == 0, "the lease that it had is over"
        assert hits.deliver().done == 0
        end.set()
        assert running.result(60).done == 1
    assert len(calls) == 1


class Watch:
    """The clock of a run, which goes on only while a listener is slow: the machine has no part in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(job, "time", SimpleNamespace(monotonic=lambda: self.now, time_ns=time.time_ns))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def test_a_slow_listener_holds_up_no_other(hits: PathHits, watch: Watch) -> None:
    calls: list[tuple[str, str]] = []

    @hits.on("*", name="a.slow")
    def slow(event: Event) -> None:
        calls.append(("slow", event.item_id))
        if [name for name, _ in calls].count("slow") == 2:
            view(hits, "meanwhile")
        watch.pass_by(1.1 * job.TURN)

    hits.on("*", name="b.quick")(lambda event: calls.append(("quick", event.item_id)))
    view(hits, *range(10))
    report = hits.deliver()
    assert (report.done, report.failed, report.dead) == (22, 0, 0)
    assert len(set(calls)) == len(calls) == 22
    fifth = [place for place, (name, _) in enumerate(calls) if name == "slow"][4]
    early = [item for name, item in calls[:fifth] if name == "quick"]
    assert sorted(early) == sorted([*map(str, range(10)), "meanwhile"])
    assert {(row["state"], row["attempts"], row["taken_until"]) for row in deliveries(hits)} == {(tables.DONE, 1, 0)}


def test_what_a_run_has_no_time_for_is_as_it_was(hits: PathHits, watch: Watch) -> None:
    hits.on("*", name="slow")(lambda event: watch.pass_by(2 * job.LONGEST_RUN))
    view(hits, *range(5))
    before = {row["id"]: row for row in deliveries(hits)}
    report = hits.deliver()
    assert (report.done, report.more) == (1, True)
    left = [row for row in deliveries(hits) if row["state"] == tables.DUE]
    assert len(left) == 4
    assert all(row == before[row["id"]] for row in left)


def test_what_a_run_has_no_time_for_is_the_next_ones_however_rare_they_are(
    redis_url: str, sqlite_url: str, watch: Watch
) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0, deliver_every=86_400)
    hits.migrate()
    hits.on("*", name="slow")(lambda event: watch.pass_by(2 * job.LONGEST_RUN))
    view(hits, 1, 2)
    clock = Clock([job for job in SCHEDULE if job.id == "deliver"], hits.settings, hits.redis)
    clock.tick()
    before = time.time()
    assert hits.deliver().more
    asked = float(hits.redis.zscore(ClockKeys("pathhits").schedule(), "pathhits-deliver") or 0)
    assert before + 0.9 < asked < time.time() + 2
    hits.close(0.1)


@pytest.mark.parametrize(("chance", "first"), [(1, "young"), (0, "old")])
def test_the_last_ones_to_wait_come_first_but_in_some_runs(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch, watch: Watch, chance: int, first: str
) -> None:
    monkeypatch.setattr(random, "randrange", lambda _: chance)
    calls: list[str] = []

    def hear(name: str, event: Event) -> None:
        calls.append(name)
        watch.pass_by(2 * job.LONGEST_RUN)

    for name, pattern in (("old", "product.viewed"), ("young", "story.viewed")):
        hits.on(pattern, name=name)(partial(hear, name))
    view(hits, 1, 2, 3)
    time.sleep(0.002)  # moments are told in milliseconds
    view(hits, 1, item_type="story")
    hits.deliver()
    assert calls == [first]


def test_a_listener_that_hangs_is_ended_by_the_worker(
    hits: PathHits, database_url: str, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    (tmp_path / "shop.py").write_text(HANGING)
    hits.deliveries.register({"hangs": "*", "quick": "*"})
    view(hits, "a", "b")
    env = {"REDIS_URL": hits.settings.redis_url, "DATABASE_URL": database_url, "HEARD": str(tmp_path / "heard")}
    env |= {"PATHHITS_APP": "shop", "PYTHONPATH": f"{ROOT}:{tmp_path}", "PATHHITS_LISTENER_TIMEOUT": "0.5"}
    env |= {"PATHHITS_LISTENER_WAITS": "0.1", "PATHHITS_DELIVER_EVERY": "1", "PATHHITS_SYNC_EVERY": "1"}
    worker = start_process([sys.executable, str(ROOT / "worker.py")], env=env)
    heard = tmp_path / "heard"
    wait_until(lambda: heard.exists() and set(heard.read_text().split()) >= {"a", "b"}, 60.0, "others are called")
    _count(hits, "c")
    wait_until(lambda: "c" in heard.read_text().split(), 60.0, "syncs and others go on")
    wait_until(lambda: hits.deliveries.counts() == {"due": 0, "dead": 3}, 90.0, "the attempts are over")
    worker.terminate()
    assert {(one.listener, one.attempts) for one in hits.dead_deliveries()} == {("hangs", 3)}
    assert {one.error for one in hits.dead_deliveries()} == {
        "TimeoutError: it was ended after 0.5 s (LISTENER_TIMEOUT)"
    }
    assert sorted(heard.read_text().split()) == ["a", "b", "c"]


#: An app with a listener that hangs, whatever an Exception says, and one that writes down what it hears.
HANGING = """
import os, time
from pathhits import PathHits

hits = PathHits()


@hits.on("*", name="hangs")
def hangs(event):
    while True:
        try:
            time.sleep(600)
        except Exception:
            pass


@hits.on("*", name="quick")
def quick(event):
    with open(os.environ["HEARD"], "a") as file:
        print(event.item_id, file=file)
"""


def test_an_event_that_kills_its_worker_holds_up_no_other_and_ends_as_dead(hits: PathHits) -> None:
    names = ["deadly"]
    seen: list[str] = []
    hits.on("*", name="deadly")(lambda event: seen.append(event.item_id))
    view(hits, 1, 2)
    start = time.time_ns() // 1_000_000
    [first, second] = hits.deliveries.take(names, start, 1_000, 2)  # and the worker dies
    assert (first.lost, second.lost) == (0, 0)
    assert hits.deliveries.take(names, start + 999, 1_000, 2) == []
    view(hits, 3)
    [fresh] = hits.deliveries.take(names, start + 600_000, 1_000, 2)
    assert fresh.event is not None
    assert fresh.event.item_id == "3", "what never killed anyone comes first"
    for step in range(1, 4):
        [one] = hits.deliveries.take(names, start + 700_000 + step * 3_000, 1_000, 2)
        [other] = hits.deliveries.take(names, start + 700_000 + step * 3_000, 1_000, 2)
        assert one.id != other.id
    report = hits.deliver(after(10_000))
    assert report.done + report.dead == 3
    assert {row["error"] for row in deliveries(hits) if row["state"] == tables.DEAD} == {job.KILLED}


def test_a_delivery_of_an_event_that_was_pruned_is_dead(hits: PathHits) -> None:
    hits.on("*", name="late")(print)
    view(hits, 1)
    with hits.engine.begin() as connection:
        connection.execute(tables.events.delete())
    assert hits.deliver().dead == 1
    assert [one.error for one in hits.dead_deliveries()] == [job.PRUNED]


def test_deliveries_made_are_pruned_after_a_day_and_dead_ones_stay(hits: PathHits) -> None:
    def fails(event: Event) -> None:
        raise Broken

    hits.on("*", name="good")(lambda event: None)
    hits.on("*", name="bad")(fails)
    view(hits, 1, 2)
    for seconds in (0, 10, 40):
        hits.deliver(after(seconds))
    assert hits.prune(after(80_000)).deliveries == 0
    assert hits.prune(after(90_000)).deliveries == 2
    assert [row["listener"] for row in deliveries(hits)] == ["bad", "bad"]


def test_a_sync_and_a_failure_move_the_job_forward(hits: PathHits) -> None:
    def fails(event: Event) -> None:
        raise Broken

    clock = Clock([job for job in SCHEDULE if job.id == "deliver"], hits.settings, hits.redis)
    clock.tick()
    hits.redis.zadd(ClockKeys("pathhits").schedule(), {"pathhits-deliver": time.time() + 9})
    hits.on("*", name="bad")(fails)
    view(hits, 1)
    assert clock.tick() == {"pathhits-deliver": "queued"}
    hits.redis.zadd(ClockKeys("pathhits").schedule(), {"pathhits-deliver": time.time() + 60})
    hits.deliver()
    wait = float(hits.redis.zscore(ClockKeys("pathhits").schedule(), "pathhits-deliver") or 0) - time.time()
    assert 0 < wait <= 10


def test_no_listener_misses_an_event_when_workers_are_killed(
    redis_url: str, database_url: str, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    hits.deliveries.register({"one": "*.viewed", "two": "product.*"})
    env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}
    env |= {"HEARD": str(tmp_path / "heard")}
    _count(hits, *range(1_000))
    hits.sync()
    heard = tmp_path / "heard"

    def calls() -> int:
        return heard.stat().st_size // HEARD_BYTES if heard.exists() else 0

    for kills in range(1, 6):
        worker = start_process([sys.executable, "-m", "tests.integration.heard"], env=env, cwd=ROOT)
        wait_until(lambda n=kills * 250: calls() >= n, 60.0, "some were heard")  # type: ignore[misc]  # mypy reads no defaults
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    hear = [sys.executable, "-m", "tests.integration.heard"]
    wait_until(lambda: _all_heard(hits, hear, env), 120.0, "all was heard")
    logged = {bytes(row["id"]).hex() for row in rows_of(hits, tables.events)}
    assert len(logged) == 1_000
    told = [line.split() for line in heard.read_text().splitlines()]
    for name in ("one", "two"):
        assert {identity for listener, identity in told if listener == name} == logged
    print(f"\n{len(told)} calls for 2000 deliveries")
    assert hits.deliveries.counts() == {"due": 0, "dead": 0}
    assert sum(row["view_count"] for row in rows_of(hits, tables.items)) == 1_000
    hits.close()


#: Bytes of one line that tests.integration.heard writes.
HEARD_BYTES = len("one ") + 32 + 1


def _all_heard(hits: PathHits, hear: list[str], env: dict[str, str]) -> bool:
    subprocess.run(hear, env=env, cwd=ROOT, timeout=120, check=True)
    return hits.deliveries.counts()["due"] == 0
