"""Tasks that count their runs in Redis, and the processes of the tests: a clock, a worker, or both, with short periods.

``python -m tests.integration.jobs.counting clock|nursery|steps|worker|burst|both``; the rest comes from `environment`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import redis

from pathhits import PathHits
from pathhits.jobs import clock, worker
from pathhits.jobs.schedule import ScheduledJob
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import ClockKeys

MODULE = "tests.integration.jobs.counting"
NAMESPACE = "counting"
ALLOWED = tuple(f"{MODULE}.{name}" for name in ("quick", "counting", "timed", "slow", "failing"))


def environment(url: str, periods: Mapping[str, float], **knobs: float) -> dict[str, str]:
    """The environment of a process: the table as {task: period (s)}; knobs: INTERVAL, LOCK_TTL, HEARTBEAT_TTL (s)."""
    return {
        "REDIS_URL": url,
        "PATHHITS_NAMESPACE": NAMESPACE,
        "PATHHITS_REDIS_TIMEOUT": "0.5",
        "COUNTING_PERIODS": json.dumps(periods),
        **{f"COUNTING_{name.upper()}": str(value) for name, value in knobs.items()},
    }


def table(periods: Mapping[str, float]) -> tuple[ScheduledJob, ...]:
    """A line for each task of this module."""

    def line(name: str, period: float) -> ScheduledJob:
        return ScheduledJob(id=name, task=f"{MODULE}.{name}", period=lambda settings: period, description=name)

    return tuple(line(name, period) for name, period in periods.items())


def id_of(name: str) -> str:
    """The id RQ knows the job of that task by."""
    return f"{NAMESPACE}-{name}"


def client() -> redis.Redis:
    """The Redis of the process, as its environment names it."""
    return connect(os.environ["REDIS_URL"], timeout=5.0)


def quick() -> str:
    """Counts and ends."""
    client().incr("runs:quick")
    return "done"


def counting() -> None:
    """Counts a hit, as a listener may, and ends at once."""
    PathHits().track_hit("/from/a/job")


def timed(name: str = "timed") -> str:
    """Writes down which time of the schedule this run is for, unless it makes up for a lost one."""
    with client() as connection:
        due, lost = connection.hmget(f"rq:job:{id_of(name)}", "pathhits_due", "pathhits_lost")
        if not lost:
            connection.rpush(f"times:{name}", due or "0")
    return "done"


def slow() -> str:
    """Counts, waits until the key ``go`` exists, counts again."""
    with client() as connection:
        connection.incr("runs:slow")
        connection.set("horse", os.getpid())
        while True:
            try:
                if connection.exists("go"):
                    connection.incr("finished:slow")
                    return "done"
            except redis.RedisError:  # the outage under test
                pass
            time.sleep(0.05)


def failing() -> None:
    """Counts and fails."""
    client().incr("runs:failing")
    raise RuntimeError("as it should")


def nursery() -> None:
    """Returns in a child, and in another one as soon as that was killed; a child is much faster than a new Python."""
    while True:
        pid = os.fork()
        if pid == 0:
            worker.end_with_parent(signal.SIGKILL, os.getppid())
            return
        client().set("newest", pid)
        print("ended by signal", os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)


def steps(run: Callable[[], int]) -> None:
    """Run a clock that kills itself at its first command, then one that does at its second, and so on.

    Each step twice: before its command is sent, and when Redis has answered it. What it was is printed. Each clock
    waits until the lock of the one before it has opened, which it would do as well.
    """
    lock = ClockKeys(NAMESPACE).lock()
    for step in range(1, STEPS + 1):
        for after in (False, True):
            with client() as connection:
                while connection.exists(lock):
                    time.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                worker.end_with_parent(signal.SIGKILL, os.getppid())
                _die_at(step, after)
                run()
            os.waitpid(pid, 0)


#: Commands after which the last clock of `steps` dies: those of several passes.
STEPS = 24


def _die_at(step: int, after: bool) -> None:
    """Have this process get SIGKILL around the command with that number that it sends from now on."""
    sent, execute = 0, redis.Redis.execute_command

    def die(command: str) -> None:
        os.write(1, f"killed {'after' if after else 'before'} {command}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(self: redis.Redis, *words: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == step and not after:
            die(words[0])
        try:
            return execute(self, *words, **options)  # type: ignore[no-untyped-call]  # redis annotates only a part
        finally:
            if sent == step:
                die(words[0])

    redis.Redis.execute_command = counted  # type: ignore[method-assign]


def main(what: str) -> int:
    """Run one of the processes until it is told to end; returns its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s: %(message)s")
    settings = Settings.from_env()
    jobs = table(json.loads(os.environ["COUNTING_PERIODS"]))
    knobs = {name: float(os.environ.get(f"COUNTING_{name}", "0")) for name in ("INTERVAL", "LOCK_TTL", "HEARTBEAT_TTL")}
    if knobs["LOCK_TTL"]:
        vars(clock)["CLOCK_LOCK_TTL"] = knobs["LOCK_TTL"]
    if knobs["HEARTBEAT_TTL"]:
        worker.PathHitsWorker.heartbeat_ttl = int(knobs["HEARTBEAT_TTL"])
        worker.MONITOR_EVERY = 1
    if what == "nursery":
        nursery()
    if what == "steps":
        steps(lambda: worker.run_clock(settings, jobs, interval=knobs["INTERVAL"]))
        return 0
    if what in ("clock", "nursery"):
        return worker.run_clock(settings, jobs, interval=knobs["INTERVAL"] or 1.0)
    if what == "both":
        return worker.run_both(settings, ALLOWED, jobs)
    return worker.run_worker(settings, ALLOWED, jobs, burst=what == "burst")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
