"""How the runs of jobs went is written down, whatever ends them, and neither helps nor hurts the jobs themselves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from pathhits import PathHits
from pathhits.cli import group
from pathhits.jobs.clock import Clock
from pathhits.jobs.runs import KILLED, JobState, RunLog, read_schedule
from pathhits.jobs.schedule import SCHEDULE
from pathhits.jobs.worker import told
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import RUN_TTL, ClockKeys
from tests.integration.jobs.counting import NAMESPACE, environment, id_of, table
from tests.integration.jobs.test_worker import Start, burst, command, number
from tests.servers.processes import children, wait_until

LONG = 1e9  # seconds: comes round in 2033 and then in 2065
PERIODS = {"quick": LONG, "slow": LONG, "failing": LONG}
SETTINGS = Settings(namespace=NAMESPACE)
KEYS = ClockKeys(NAMESPACE)


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout=5.0) as client:
        yield client


def states(connection: redis.Redis) -> dict[str, JobState]:
    return {state.job: state for state in read_schedule(SETTINGS, connection, table(PERIODS))}


def ask(connection: redis.Redis, *names: str) -> None:
    """Have the clock queue these jobs now."""
    clock = Clock(table(PERIODS), SETTINGS, connection)
    clock.tick()
    connection.zadd(KEYS.schedule(), {id_of(name): 1.0 for name in names})
    found = clock.tick()
    assert {found[id_of(name)] for name in names} <= {"queued", "waiting"}, "waiting: its lost run is made up for"


def env(redis_url: str) -> dict[str, str]:
    return environment(redis_url, PERIODS, heartbeat_ttl=3)


# Written down by a worker.


def test_a_run_that_went_well_and_one_that_failed(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    before = datetime.now(UTC)
    assert all(state.last_run is None and state.next_run is None for state in states(connection).values())
    ask(connection, "quick", "failing")
    assert states(connection)["quick"].state == "waiting"
    burst(redis_url, start_process, **env(redis_url))
    found = states(connection)
    quick, failing = found["quick"], found["failing"]
    assert quick.last_run is not None
    assert before <= quick.last_run.replace(microsecond=999_999) <= datetime.now(UTC).replace(microsecond=999_999)
    assert quick.seconds is not None
    assert 0 <= quick.seconds < 30
    assert (quick.state, quick.failures, quick.error, quick.failed_at) == ("idle", 0, "", None)
    assert (failing.failures, failing.error) == (1, "RuntimeError: as it should")
    assert failing.failed_at is not None
    assert quick.next_run is not None
    assert quick.next_run.timestamp() % LONG == 0
    assert found["slow"].last_run is None


def test_failures_in_a_row_are_counted_and_what_is_written_outlives_what_rq_keeps(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    for _ in range(3):
        connection.delete("rq:scheduled:counting")  # the further attempts of the run before
        ask(connection, "failing")
        burst(redis_url, start_process, **env(redis_url))
    for key in connection.scan_iter("rq:*"):
        connection.delete(key)
    assert states(connection)["failing"].failures == 3
    assert RUN_TTL - 100 < connection.ttl(KEYS.run("failing")) <= RUN_TTL


def test_a_run_whose_process_was_killed_is_seen(redis_url: str, connection: redis.Redis, start_process: Start) -> None:
    ask(connection, "slow")
    worker = start_process(command("worker"), env=environment(redis_url, PERIODS, heartbeat_ttl=60))
    wait_until(lambda: number(connection, "runs:slow") == 1)
    assert states(connection)["slow"].state == "running"
    assert states(connection)["slow"].seconds is None
    [horse] = children(worker.pid)
    os.kill(horse, signal.SIGKILL)
    wait_until(lambda: states(connection)["slow"].failures == 1)
    assert states(connection)["slow"].error == KILLED
    connection.set("go", 1)


def test_a_run_whose_worker_was_killed_is_seen_and_counted_when_it_runs_again(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    ask(connection, "slow")
    worker = start_process(command("worker"), env=env(redis_url))
    wait_until(lambda: number(connection, "runs:slow") == 1)
    worker.kill()
    wait_until(lambda: states(connection)["slow"].state == "killed", message="its signs of life end")
    found = states(connection)["slow"]
    assert (found.failures, found.error, found.failed_at) == (1, KILLED, found.last_run)
    connection.set("go", 1)
    ask(connection, "slow")
    burst(redis_url, start_process, **env(redis_url))
    found = states(connection)["slow"]
    assert (found.state, found.failures, found.error) == ("idle", 0, KILLED)


def test_what_cannot_be_written_down_fails_no_job(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    connection.set(KEYS.run("quick"), "poison")
    ask(connection, "quick")
    worker = burst(redis_url, start_process, **env(redis_url))
    assert number(connection, "runs:quick") == 1
    assert connection.zcard(f"rq:finished:{NAMESPACE}") == 1
    assert "is not written down: ResponseError" in worker.output()


# What is written down.


class Watch:
    """A clock that is set by hand (s)."""

    def __init__(self) -> None:
        self.now = 1_795_238_063.25

    def __call__(self) -> float:
        return self.now


def test_failures_begin_anew_after_a_run_that_went_well_and_the_last_error_stays(connection: redis.Redis) -> None:
    watch, told = Watch(), list[tuple[str, int, str, int]]()
    log = RunLog(connection, NAMESPACE, watch, lambda *failure: told.append(failure))
    first, later = 1_795_238_065_750, 1_795_238_073_250
    counts = []
    for error in ("first", "second", "", "third"):
        log.began("quick")
        watch.now += 2.5
        counts.append(log.ended("quick", error))
    assert counts == [1, 2, 0, 1]
    assert told == [("quick", 1, "first", first), ("quick", 2, "second", first), ("quick", 1, "third", later)]
    failed_at = watch.now
    log.began("quick")  # and its worker is killed
    log.began("quick")
    assert told[3:] == [("quick", 2, KILLED, later)]
    log.ended("quick")
    found = states(connection)["quick"]
    assert (found.failures, found.error, found.failed_at) == (0, KILLED, datetime.fromtimestamp(failed_at, UTC))


def test_an_error_is_one_line_without_a_password(connection: redis.Redis) -> None:
    RunLog(connection, NAMESPACE).ended(
        "quick", "OperationalError: postgresql://shop:se/cret@db/x\nis \x00 away \ud800"
    )
    assert states(connection)["quick"].error == "OperationalError: postgresql://shop:***@db/x is   away"
    RunLog(connection, NAMESPACE).ended("quick", "E" * 100_000)
    assert len(states(connection)["quick"].error) == 500


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (
            'Traceback:\n  File "a.py", line 1\n    raise X\nshop.errors.Broken: no paper\n',
            "shop.errors.Broken: no paper",
        ),
        ("ValueError\n", "ValueError"),
        (
            "x.OperationalError: (1) lost\n[SQL: SELECT 1]\n(Background on this error at: https)\n",
            "x.OperationalError: (1) lost",
        ),
        ("KeyError: 1\n\nDuring handling of it:\n\nTypeError: 2\n", "TypeError: 2"),
        ("refused: 'os.system' is not among the tasks", "refused: 'os.system' is not among the tasks"),
        ("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", KILLED),
        ("", "it failed"),
    ],
)
def test_of_a_traceback_the_line_that_says_what_happened_is_kept(trace: str, line: str) -> None:
    assert told(trace) == line


# Shown.


@pytest.fixture
def hits(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=30.0)
    hits.migrate()
    yield hits
    hits.close()


def run(hits: PathHits, *arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(group, arguments, obj=hits, env={"COLUMNS": "300"})
    assert result.exit_code == exit_code, result.output
    return result.output


def findings(hits: PathHits) -> list[tuple[str, str, str]]:
    return [(one.what, one.state, one.says) for one in hits.doctor() if one.what in ("job", "jobs")]


def test_the_schedule_shows_every_job_of_the_table(hits: PathHits) -> None:
    told = run(hits, "schedule")
    lines = {line.split()[0]: line for line in told.splitlines()[2:]}
    assert list(lines) == [job.id for job in SCHEDULE]
    assert "not run yet" in lines["sync"]
    assert "30 s" in lines["sync"]
    assert "1 day" in lines["prune"]
    log = RunLog(hits.queue_connection(), "pathhits")
    log.began("sync")
    log.ended("sync", "StoreUnavailable: SQL is away")
    log.began("items")
    log.ended("items")
    lines = {line.split()[0]: line for line in run(hits, "schedule").splitlines()[2:]}
    assert "failed 1x in a row" in lines["sync"]
    assert lines["sync"].rstrip().endswith(": StoreUnavailable: SQL is away")
    assert " ok " in lines["items"]


def test_the_schedule_as_json(hits: PathHits) -> None:
    found: list[dict[str, Any]] = json.loads(run(hits, "schedule", "--json"))
    assert [one["job"] for one in found] == [job.id for job in SCHEDULE]
    assert {one["every"] for one in found if one["job"] == "sync"} == {30.0}
    assert all(one["state"] == "idle" and one["last_run"] is None for one in found)


def test_without_redis_the_schedule_is_one_clear_line() -> None:
    hits = PathHits(redis_url="redis://127.0.0.1:1/0", database_url="sqlite:///none.db")
    assert "127.0.0.1:1" in run(hits, "schedule", exit_code=1)


def test_the_doctor_warns_of_a_job_whose_last_runs_failed(hits: PathHits) -> None:
    log = RunLog(hits.queue_connection(), "pathhits")
    assert findings(hits) == [("jobs", "ok", f"0 of {len(SCHEDULE)} have run, none failed the last time")]
    log.ended("sync")
    log.ended("items", "Broken: no paper")
    log.ended("items", "Broken: no ink")
    [(what, state, says)] = findings(hits)
    assert (what, state) == ("job", "warning")
    assert "the last 2 runs of items failed (Broken: no ink)" in says
    log.ended("items")
    assert findings(hits) == [("jobs", "ok", f"2 of {len(SCHEDULE)} have run, none failed the last time")]
