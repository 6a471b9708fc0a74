"""The schedule survives kill -9 of a clock at every step, and all faults at once: nothing is lost, nothing piles up."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import redis

from pathhits.storage.redis.client import connect
from tests.integration.jobs.counting import MODULE, NAMESPACE, STEPS, environment, id_of
from tests.integration.jobs.test_clock import KEYS, QUICK, Taker, assert_once_a_period
from tests.servers.base import Server
from tests.servers.processes import Process, wait_until
from tests.servers.redis import RedisServer

S = TypeVar("S", bound=Server)
Start = Callable[..., Process]


def command(what: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", MODULE, what]


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout=5.0) as client:
        yield client


@pytest.mark.slow
def test_kill_9_before_and_after_every_command_of_a_clock(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    """Slow: a clock is killed at each of its first commands, twice, and the lock of each has to open by itself."""
    periods = {"quick": 0.2, "slow": 0.5, "failing": 0.3}
    env = environment(redis_url, periods, interval=0.001, lock_ttl=0.2)
    with Taker(redis_url) as taker:
        clocks = start_process(command("steps"), env=env)
        assert clocks.wait(120) == 0
        assert connection.zcard(KEYS.schedule()) == len(periods)
        before = {name: len(taker.times[id_of(name)]) for name in periods}
        start_process(command("clock"), env=env)
        for name in periods:
            wait_until(lambda: len(taker.times[id_of(name)]) >= before[name] + 3, message=f"{name} goes on")  # noqa: B023  # called at once
    died = Counter(re.findall(r"^killed (\w+ \w+)", clocks.output(), re.MULTILINE))
    print(f"clock: died {dict(died)}; runs { {name: len(taker.times[id_of(name)]) for name in periods} }")
    assert sum(died.values()) == 2 * STEPS
    for step in ("SET", "EVALSHA", "ZRANGE"):
        assert died[f"before {step}"] > 0
        assert died[f"after {step}"] > 0
    for name, period in periods.items():
        assert_once_a_period(taker.times[id_of(name)], period)


@pytest.mark.slow
def test_two_clocks_an_outage_of_ten_seconds_kills_and_poison_at_once(
    own_server: Callable[[Callable[[], S]], S], start_process: Start
) -> None:
    """Slow: the outage lasts 10 s. A worker runs the jobs all the while."""
    server: RedisServer = own_server(RedisServer)  # type: ignore[assignment, arg-type]  # S is RedisServer here
    env = environment(server.url, {"timed": 0.5, "failing": 0.7}, interval=0.05, lock_ttl=0.5)
    worker = start_process(command("worker"), env=env)
    clocks = [start_process(command("clock"), env=env) for _ in range(2)]
    with server.client() as connection:
        wait_for_more(connection)
        poison(connection)
        wait_for_more(connection)
        clocks[0].kill()
        wait_for_more(connection)
        clocks[0] = start_process(command("clock"), env=env)
        server.stop()
        clocks[1].kill()
        time.sleep(10.0)  # the length of the outage
        server.start()
        clocks[1] = start_process(command("clock"), env=env)
        wait_for_more(connection)
        poison(connection)
        wait_for_more(connection)
        assert connection.llen(f"rq:queue:{NAMESPACE}") <= 2, "nothing piled up"
        assert connection.zcard(KEYS.schedule()) == 2, "nothing was lost"
        failing = int(connection.get("runs:failing") or 0)
        wait_until(lambda: int(connection.get("runs:failing") or 0) > failing, message="the one that fails goes on too")
        times = [float(moment) for moment in connection.lrange("times:timed", 0, -1)]
    assert worker.running
    assert all(clock.running for clock in clocks)
    print(f"schedule: {len(times)} runs through two kills, an outage and poison")
    assert_once_a_period(times, 0.5)


def poison(connection: redis.Redis) -> None:
    """Spoil the job, its entry and the queue, as a bad release or a curious hand might."""
    connection.hset(f"rq:job:{id_of('failing')}", mapping={"data": b"\xff", "created_at": "never", "status": b"\xff"})
    connection.set("rq:job:poison", b"\xff")
    connection.rpush(f"rq:queue:{NAMESPACE}", "poison", b"\xff", "not-there")
    connection.zadd(KEYS.schedule(), {b"\xff": 1.0, b"unknown": 1.0})
    connection.delete(f"rq:job:{QUICK}")


def wait_for_more(connection: redis.Redis) -> None:
    """Until the job ran three times more."""
    ran = connection.llen("times:timed")
    wait_until(lambda: connection.llen("times:timed") >= ran + 3, 120.0, "the schedule goes on")
