"""The clock against a real Redis: each job once a period, none lost and none piled up, whatever is done to it."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest
import redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from pathhits.core.backoff import RETRY_WAITS, back_off
from pathhits.hits import Batch
from pathhits.jobs import clock as clock_module
from pathhits.jobs.clock import FIRST_PAUSE, LONGEST_PAUSE, Clock, clock_alive
from pathhits.jobs.schedule import OWN_RETRY, ScheduledJob
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import CLOCK_SEEN_TTL, ClockKeys, Keys
from pathhits.storage.redis.pending import OVERDUE, PendingStore
from pathhits.storage.redis.scripts import source
from tests.integration.jobs.counting import MODULE, NAMESPACE, environment, id_of, table
from tests.servers.base import Server
from tests.servers.processes import Process, wait_until
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer

S = TypeVar("S", bound=Server)
Start = Callable[..., Process]
KEYS = ClockKeys(NAMESPACE)
QUICK = id_of("quick")
LONG = 1e9  # seconds: a period that comes round in 2033 and then in 2065, and so not during a test
CLOCK = [sys.executable, "-W", "error", "-m", MODULE, "clock"]


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout=5.0) as client:
        yield client


def make_clock(connection: redis.Redis, periods: dict[str, float], namespace: str = NAMESPACE, **options: Any) -> Clock:
    return Clock(table(periods), Settings(namespace=namespace), connection, **options)


def queue(connection: redis.Redis, namespace: str = NAMESPACE) -> Queue:
    return Queue(namespace, connection=connection, serializer=JSONSerializer)


def due_now(connection: redis.Redis, id: str = QUICK) -> None:
    connection.zadd(KEYS.schedule(), {id: 1.0})


#: Takes the first job out of the queue; its id, and which time it is for: of a job taken before, that may change.
TAKE = """
local id = redis.call('LPOP', KEYS[1])
return id and {id, redis.call('HGET', 'rq:job:' .. id, 'pathhits_due') or '0'}
"""


class Taker:
    """Takes every job out of the queue at once, like an infinitely fast worker, and notes which time it was for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.times: dict[str, list[float]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take)

    def _take(self) -> None:
        with connect(self.url, timeout=2.0) as client:
            while not self._stop.wait(0.005):
                try:
                    while taken := client.eval(TAKE, 1, f"rq:queue:{NAMESPACE}"):
                        id, due = taken
                        self.times[id.decode()].append(float(due))
                except redis.RedisError:  # the outage under test
                    self._stop.wait(0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


# One pass.


class Early:
    """A clock with one job that takes in events, and the store in which they wait."""

    def __init__(self, connection: redis.Redis) -> None:
        self.store = PendingStore(connection, Keys(NAMESPACE))
        self.sequence = 0
        (line,) = table({"quick": LONG})
        self.clock = Clock(
            [replace(line, early=True), *table({"slow": LONG})],
            Settings(namespace=NAMESPACE),
            connection,
            events_wait=self.store.events_wait,
        )

    def happen(self) -> None:
        """An event comes to wait."""
        self.sequence += 1
        self.store.add(Batch("client", self.sequence, f"g{self.sequence}", {}, {}, (), ("{}",)), "")


def test_while_events_wait_an_early_job_does_not_wait_for_its_time_and_is_queued_once(connection: redis.Redis) -> None:
    early = Early(connection)
    assert early.clock.tick()[QUICK] == early.clock.tick()[QUICK] == "early"
    early.happen()
    assert early.clock.tick() == {QUICK: "queued", id_of("slow"): "early"}
    assert [early.clock.tick()[QUICK] for _ in range(3)] == ["waiting"] * 3
    assert queue(connection).job_ids == [QUICK]
    connection.delete(queue(connection).key)  # a worker took it, and all is in SQL
    for generation in early.store.seal():
        early.store.settle(generation)
    assert early.clock.tick()[QUICK] == "early"
    assert (connection.zscore(KEYS.schedule(), QUICK) or 0) % LONG == 0


def test_events_that_sql_cannot_take_in_do_not_hasten_anything(connection: redis.Redis) -> None:
    early = Early(connection)
    early.clock.tick()
    early.happen()
    early.store.seal()
    early.happen()
    connection.zadd(early.store.keys.sealed(), {"g1": time.time() - OVERDUE - 1})
    assert early.clock.tick()[QUICK] == "early"


def test_counts_that_cannot_be_looked_at_hold_up_no_job(
    connection: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    early = Early(connection)
    with connect("redis://127.0.0.1:1/0", timeout=0.2) as away:
        early.clock.events_wait = PendingStore(away, Keys(NAMESPACE)).events_wait
        due_now(connection)
        assert early.clock.tick()[QUICK] == "queued"
    assert "cannot see whether events wait" in caplog.text


def test_a_new_job_waits_for_the_next_point_of_its_grid(connection: redis.Redis) -> None:
    assert make_clock(connection, {"quick": LONG}).tick() == {QUICK: "early"}
    assert connection.zcard(KEYS.schedule()) == 1
    due = connection.zscore(KEYS.schedule(), QUICK) or 0
    assert due % LONG == 0
    assert 0 < due - time.time() <= LONG


def test_a_due_job_is_queued_as_json_and_its_next_time_is_on_the_grid(connection: redis.Redis) -> None:
    due_now(connection)
    assert make_clock(connection, {"quick": LONG}).tick() == {QUICK: "queued"}
    job = Job.fetch(QUICK, connection=connection, serializer=JSONSerializer)
    assert (job.func_name, job.args, job.kwargs) == (f"{MODULE}.quick", [], {})
    assert (job.origin, job.get_status()) == (NAMESPACE, "queued")
    assert queue(connection).job_ids == [QUICK]
    assert (connection.zscore(KEYS.schedule(), QUICK) or 0) % LONG == 0


def test_a_clock_that_was_away_for_many_periods_catches_up_with_one_run(connection: redis.Redis) -> None:
    due_now(connection)
    clock = make_clock(connection, {"quick": LONG})
    assert [clock.tick()[QUICK] for _ in range(3)] == ["queued", "waiting", "waiting"]
    assert queue(connection).job_ids == [QUICK]


def test_jobs_do_not_pile_up_while_no_worker_runs(connection: redis.Redis) -> None:
    clock = make_clock(connection, {"quick": 0.1, "slow": 0.1})
    found = [clock.tick() for _ in _every(0.05, 40)]
    assert sum(one[QUICK] == "waiting" for one in found) > 30
    assert sorted(queue(connection).job_ids) == [QUICK, id_of("slow")]


def test_a_running_job_is_not_queued_beside_itself(connection: redis.Redis) -> None:
    due_now(connection)
    connection.zadd(
        f"rq:wip:{NAMESPACE}", {f"{QUICK}:e1": time.time() - 100}
    )  # the clock of that worker's machine is late
    connection.set(f"rq:execution:{QUICK}:e1", 1)
    assert make_clock(connection, {"quick": LONG}).tick() == {QUICK: "running"}
    assert queue(connection).job_ids == []
    assert (connection.zscore(KEYS.schedule(), QUICK) or 0) > time.time()


def test_a_run_whose_worker_died_is_repeated_at_once_but_not_forever(connection: redis.Redis) -> None:
    clock = make_clock(connection, {"quick": LONG})
    found = []
    for number in range(5):
        connection.zadd(f"rq:wip:{NAMESPACE}", {f"{QUICK}:e{number}": time.time() + 100})
        found.append(clock.tick()[QUICK])
        connection.delete(f"rq:queue:{NAMESPACE}")
    assert found == ["again", "again", "again", "early", "early"]
    due_now(connection)
    assert clock.tick()[QUICK] == "queued"
    assert connection.zcard(f"rq:wip:{NAMESPACE}") == 0


def test_a_job_that_was_taken_and_never_begun_is_queued_again(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "PATIENCE", 0.3)
    clock = make_clock(connection, {"quick": LONG})
    due_now(connection)
    clock.tick()
    connection.lmove(f"rq:queue:{NAMESPACE}", f"rq:queue:{NAMESPACE}:intermediate")
    assert clock.tick()[QUICK] == "running"
    wait_until(lambda: clock.tick()[QUICK] == "again")
    assert queue(connection).job_ids == [QUICK]
    assert connection.llen(f"rq:queue:{NAMESPACE}:intermediate") == 0


def test_a_failed_job_is_queued_again_and_leaves_the_failed_registry(connection: redis.Redis) -> None:
    due_now(connection)
    clock = make_clock(connection, {"quick": LONG})
    clock.tick()
    job = Job.fetch(QUICK, connection=connection, serializer=JSONSerializer)
    connection.delete(f"rq:queue:{NAMESPACE}")
    job.set_status("failed")  # type: ignore[arg-type]  # what a worker writes
    queue(connection).failed_job_registry.add(job, exc_string="it failed")
    due_now(connection)
    assert clock.tick() == {QUICK: "queued"}
    assert len(queue(connection).failed_job_registry) == 0
    assert not connection.hexists(job.key, "exc_info")


@pytest.mark.parametrize(("period", "waits"), [(OWN_RETRY, None), (OWN_RETRY * 2, list(RETRY_WAITS))])
def test_only_a_rare_job_is_retried_before_its_next_time(
    connection: redis.Redis, period: float, waits: list[int] | None
) -> None:
    due_now(connection)
    make_clock(connection, {"quick": period}).tick()
    assert Job.fetch(QUICK, connection=connection, serializer=JSONSerializer).retry_intervals == waits


def test_a_retry_is_queued_when_its_wait_is_over_and_not_before(connection: redis.Redis) -> None:
    clock = make_clock(connection, {})
    for name, moment in (("over", time.time() - 1), ("waits", time.time() + 100)):
        job = Job.create(f"{MODULE}.quick", id=name, origin=NAMESPACE, connection=connection, serializer=JSONSerializer)
        job.save()
        connection.zadd(f"rq:scheduled:{NAMESPACE}", {name: moment})
    connection.zadd(f"rq:scheduled:{NAMESPACE}", {"gone": 1})
    clock.tick()
    assert queue(connection).job_ids == ["over"]
    assert connection.zrange(f"rq:scheduled:{NAMESPACE}", 0, -1) == [b"waits"]


# The table is the truth.


def test_a_missing_entry_is_put_back_and_an_unknown_one_removed(connection: redis.Redis) -> None:
    clock = make_clock(connection, {"quick": LONG, "slow": LONG})
    clock.tick()
    connection.zrem(KEYS.schedule(), QUICK)
    connection.zadd(KEYS.schedule(), {"counting-from_an_older_release": 1.0})
    clock.tick()
    assert sorted(connection.zrange(KEYS.schedule(), 0, -1)) == [QUICK.encode(), id_of("slow").encode()]


def test_a_shorter_period_holds_at_once(connection: redis.Redis) -> None:
    connection.zadd(KEYS.schedule(), {QUICK: time.time() + 10 * LONG})
    make_clock(connection, {"quick": 30.0}).tick()
    assert (connection.zscore(KEYS.schedule(), QUICK) or 0) <= time.time() + 30


# Bad jobs.


@pytest.mark.parametrize("poison", ["text", "list", "garbage"])
def test_a_job_that_cannot_be_read_is_replaced_and_stops_no_other(connection: redis.Redis, poison: str) -> None:
    key = f"rq:job:{QUICK}"
    if poison == "text":
        connection.set(key, b"\xff")
    elif poison == "list":
        connection.rpush(key, 1)
    else:
        for field in (b"data", b"created_at", b"status", b"\xff", b"pathhits_lost", b"pathhits_taken"):
            connection.hset(key, field, b"\xff")
    due_now(connection)
    due_now(connection, id_of("slow"))
    clock = make_clock(connection, {"quick": LONG, "slow": LONG})
    assert clock.tick() == {QUICK: "queued", id_of("slow"): "queued"}
    assert Job.fetch(QUICK, connection=connection, serializer=JSONSerializer).func_name == f"{MODULE}.quick"


def test_a_line_of_the_table_that_cannot_be_made_a_job_stops_no_other(
    connection: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ScheduledJob(id="bad", task=None, period=lambda settings: LONG, description="")  # type: ignore[arg-type]
    clock = Clock([bad, *table({"quick": LONG})], Settings(namespace=NAMESPACE), connection)
    due_now(connection)
    assert clock.tick() == {QUICK: "queued"}
    clock.tick()
    assert len([record for record in caplog.records if "bad" in record.getMessage()]) == 1


# Several clocks.


def test_the_lock_of_a_killed_clock_opens_by_itself_and_only_its_owner_opens_it(connection: redis.Redis) -> None:
    dead, living = (make_clock(connection, {"quick": LONG}, lock_ttl=60.0) for _ in range(2))
    assert dead.acquire_lock()
    assert living.tick() == {}
    assert 0 < connection.pttl(KEYS.lock()) <= 60_000
    connection.delete(KEYS.lock())  # as it does by itself
    assert living.tick()
    assert living.acquire_lock()
    dead.remove_lock()
    assert connection.exists(KEYS.lock())
    living.remove_lock()
    assert not connection.exists(KEYS.lock())


def test_without_the_lock_two_passes_at_once_still_queue_a_job_once(redis_url: str, connection: redis.Redis) -> None:
    """The script decides; a clock that was paused for longer than its lock lives does no harm."""
    clocks = [make_clock(connect(redis_url, timeout=5.0), {"quick": LONG}) for _ in range(4)]
    for _ in range(25):
        due_now(connection)
        with ThreadPoolExecutor(len(clocks)) as pool:
            found = list(pool.map(lambda clock: clock.enqueue_job(QUICK), clocks))
        assert sorted(found) == ["queued", "waiting", "waiting", "waiting"]
        connection.delete(f"rq:queue:{NAMESPACE}")


def test_two_apps_on_one_redis_never_meet(connection: redis.Redis) -> None:
    clocks = {name: make_clock(connection, {"quick": LONG}, name) for name in ("shop", "shop.blog", "shop-blog")}
    for name, clock in clocks.items():
        [id] = clock.table
        connection.zadd(ClockKeys(name).schedule(), {id: 1.0})
        assert clock.acquire_lock(), "the lock of one holds up another"
    for clock in clocks.values():
        clock.remove_lock()
        assert list(clock.tick().values()) == ["queued"]
    queued = [queue(connection, name).job_ids for name in clocks]
    assert len({id for ids in queued for id in ids}) == 3


def test_the_age_of_the_last_pass_is_known(connection: redis.Redis) -> None:
    assert clock_alive(connection, NAMESPACE) is None
    make_clock(connection, {}).tick()
    assert 0.0 <= (clock_alive(connection, NAMESPACE) or 0.0) < 60.0
    connection.expire(KEYS.seen(), CLOCK_SEEN_TTL - 100)
    assert 100.0 <= (clock_alive(connection, NAMESPACE) or 0.0) < 160.0


# Processes.


def test_two_clocks_at_once_queue_each_job_once_a_period(redis_url: str, start_process: Start) -> None:
    periods = {"quick": 0.5, "slow": 1.0}
    with Taker(redis_url) as taker:
        for _ in range(2):
            start_process(CLOCK, env=environment(redis_url, periods, interval=0.05))
        wait_until(lambda: len(taker.times[id_of("slow")]) >= 6)
    for name, period in periods.items():
        assert_once_a_period(taker.times[id_of(name)], period)


@pytest.mark.parametrize("period", [0.2, 0.3, 0.7, 1.0, 30.0, 86_400.0])
def test_the_point_after_one_of_the_grid_is_the_next(connection: redis.Redis, period: float) -> None:
    after = source("grid", "pathhits.jobs") + "return next_point(tonumber(ARGV[1]), tonumber(ARGV[2]))"
    first = int(1_795_238_063 / period)
    for number in range(first, first + 200):
        moments = (number * period, number * period + 0.000_001, (number + 1) * period - 0.001)
        found = [float(connection.eval(after, 0, f"{moment:.6f}", period)) for moment in moments]
        assert found == [pytest.approx((number + 1) * period, abs=0.001)] * 3


@pytest.mark.slow
def test_lost_requests_and_replies_lose_and_double_nothing(redis_url: str, start_process: Start) -> None:
    """Slow: the clock pauses after each failure."""
    with Taker(redis_url) as taker, FaultProxy.to(redis_url) as proxy:
        proxy.at_random(0.05)
        env = environment(proxy.url_for(redis_url), {"quick": 0.2, "slow": 0.3}, interval=0.02, lock_ttl=0.3)
        process = start_process(CLOCK, env=env)
        wait_until(lambda: sum(proxy.counts.values()) >= 12, 120.0)
        proxy.calm()
        for name in ("quick", "slow"):
            _wait_for_more(taker, name)
    print(f"clock: cut {sum(proxy.counts.values())} times; runs { {id: len(taker.times[id]) for id in taker.times} }")
    assert process.running
    assert_once_a_period(taker.times[QUICK], 0.2)
    assert_once_a_period(taker.times[id_of("slow")], 0.3)


@pytest.mark.slow
def test_kill_9_at_random_steps_loses_no_schedule_and_doubles_no_run(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    """Slow: a clock is killed at least 20 times, once it has queued something."""
    periods = {"quick": 0.2, "slow": 1.0, "failing": 0.3}
    env = environment(redis_url, periods, interval=0.001, lock_ttl=0.3)
    nursery = start_process([*CLOCK[:-1], "nursery"], env=env)
    pid = kills = inside = 0
    with Taker(redis_url) as taker:

        def taken() -> int:
            return sum(map(len, list(taker.times.values())))

        while kills < 20 or (inside == 0 and kills < 100):
            pid = wait_until(lambda: _other(connection, pid), message="the next clock")  # noqa: B023  # called at once
            before = taken()
            wait_until(lambda: taken() > before, message="it queues")  # noqa: B023  # called at once
            time.sleep(random.uniform(0.0, 0.02))  # the moment of the kill is meant to be luck
            os.kill(pid, signal.SIGKILL)
            kills += 1
            inside += bool(connection.exists(KEYS.lock()))
            assert connection.zcard(KEYS.schedule()) == len(periods)
        before = len(taker.times[id_of("slow")])
        wait_until(lambda: len(taker.times[id_of("slow")]) > before + 2)
    deaths = nursery.output().count("ended by signal 9")
    print(
        f"clock: {deaths} kills, {inside} inside of a pass; runs { {id: len(taker.times[id]) for id in taker.times} }"
    )
    assert deaths == kills
    assert inside > 0, "no kill hit a pass"
    for name, period in periods.items():
        assert_once_a_period(taker.times[id_of(name)], period)


@pytest.mark.slow
def test_a_clock_outlives_a_hung_redis_and_a_restarted_one(
    own_server: Callable[[Callable[[], S]], S], start_process: Start
) -> None:
    """Slow: the outages last 4 and 10 s."""
    server: RedisServer = own_server(RedisServer)  # type: ignore[assignment, arg-type]  # S is RedisServer here
    with Taker(server.url) as taker:
        process = start_process(CLOCK, env=environment(server.url, {"quick": 0.5}, interval=0.1))
        _wait_for_more(taker)
        server.pause()
        time.sleep(4.0)  # the length of the outage
        server.resume()
        _wait_for_more(taker)
        server.stop()
        time.sleep(10.0)  # the length of the outage
        server.start()
        _wait_for_more(taker)
        server.kill()  # and now it comes back without its data
        server.rdb.unlink()
        server.start()
        _wait_for_more(taker)
    assert process.running
    complaints = [line for line in process.output().splitlines() if "trying again" in line]
    print(f"clock: 3 outages, {len(complaints)} lines about them")
    assert 1 <= len(complaints) <= 4, process.output()
    assert process.terminate() == 0
    assert_once_a_period(taker.times[QUICK], 0.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clock_ends_promptly_when_asked_and_leaves_no_lock(
    redis_url: str, connection: redis.Redis, start_process: Start, number: signal.Signals
) -> None:
    process = start_process(CLOCK, env=environment(redis_url, {"quick": LONG}, interval=LONG))
    wait_until(lambda: clock_alive(connection, NAMESPACE) is not None)
    process.send(number)
    assert process.wait() == 0, "it does not wait for its next pass"
    assert not connection.exists(KEYS.lock())


def test_a_clock_may_be_started_before_redis(own_server: Callable[[Callable[[], S]], S], start_process: Start) -> None:
    server: RedisServer = own_server(RedisServer)  # type: ignore[assignment, arg-type]  # S is RedisServer here
    server.stop()
    process = start_process(CLOCK, env=environment(server.url, {"quick": 0.5}, interval=0.1))
    process.wait_for_line("trying again")
    server.start()
    with Taker(server.url) as taker:
        _wait_for_more(taker)


def test_the_longest_pause_of_the_clock_is_short_enough_to_be_back_soon() -> None:
    assert max(back_off(failures, FIRST_PAUSE, LONGEST_PAUSE) for failures in range(1, 200)) <= 5.0


def _other(connection: redis.Redis, pid: int) -> int | None:
    """The pid of the clock that the nursery started last, when it is not that one."""
    newest = int(connection.get("newest") or 0)
    return newest if newest != pid else None


def _every(seconds: float, times: int) -> Iterator[int]:
    for number in range(times):
        yield number
        time.sleep(seconds)


def _wait_for_more(taker: Taker, name: str = "quick") -> None:
    id = id_of(name)
    taken = len(taker.times[id])
    wait_until(lambda: len(taker.times[id]) >= taken + 3, message="the clock goes on")


def assert_once_a_period(times: list[float], period: float) -> None:
    """Each point of the grid at most once, in order; where something stood still, some are left out."""
    steps = [round((after - before) / period, 2) for before, after in pairwise(times)]
    assert len(steps) > 1
    assert all(step >= 1 and step == int(step) for step in steps), str(steps)
