"""The worker against a real Redis: it runs what it may and nothing else, and no fault ends it or its jobs for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from rq import Queue, Retry
from rq.job import Callback, Job
from rq.serializers import JSONSerializer

from pathhits.hits import HITS
from pathhits.jobs.clock import clock_alive, workers_alive
from pathhits.jobs.worker import PathHitsWorker, Stopped, build_worker
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.pending import PendingStore
from tests.integration.jobs.counting import MODULE, NAMESPACE, environment, id_of
from tests.servers.base import Server
from tests.servers.processes import Process, alive, children, wait_until
from tests.servers.redis import RedisServer

S = TypeVar("S", bound=Server)
Start = Callable[..., Process]
SLOW = id_of("slow")
#: Seconds for which a sign of life of a job holds; one comes each second, and a machine may stand still for some.
HOLDS = 6


def command(what: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", MODULE, what]


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout=5.0) as client:
        yield client


def queue(connection: redis.Redis) -> Queue:
    return Queue(NAMESPACE, connection=connection, serializer=JSONSerializer)


def number(connection: redis.Redis, key: str) -> int:
    """The value of a counter; 0 while Redis is away."""
    try:
        return int(connection.get(key) or 0)
    except redis.RedisError:
        return 0


def burst(redis_url: str, start_process: Start, **env: str) -> Process:
    """A worker that has emptied the queue and ended."""
    process = start_process(command("burst"), env=environment(redis_url, {}) | env)
    assert process.wait() == 0, process.output()
    return process


def failure(connection: redis.Redis, id: str) -> str:
    """Why the job stands in the failed registry."""
    assert id in queue(connection).failed_job_registry
    result = Job.fetch(id, connection=connection, serializer=JSONSerializer).latest_result()
    assert result is not None
    return result.exc_string or ""


def _last_sign(connection: redis.Redis) -> float:
    """The Unix time of the last sign of life of any job that runs."""
    signs = [connection.hget(key, "last_heartbeat") for key in connection.scan_iter("rq:execution:*")]
    return max((float(sign or 0) for sign in signs), default=0.0)


# What may run.


def test_an_allowed_task_runs(redis_url: str, connection: redis.Redis, start_process: Start) -> None:
    job = queue(connection).enqueue(f"{MODULE}.quick")
    burst(redis_url, start_process)
    assert number(connection, "runs:quick") == 1
    assert job.return_value() == "done"


def test_what_a_job_counts_is_sent_although_its_process_ends_at_once(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    queue(connection).enqueue(f"{MODULE}.counting")
    burst(redis_url, start_process, PATHHITS_FLUSH_INTERVAL="3600")
    pending = PendingStore(connection, Keys(NAMESPACE)).snapshot([(HITS, "/from/a/job")])
    assert [one.counts for one in pending] == [(1,)]


def test_a_foreign_function_is_refused_and_the_next_job_runs(
    redis_url: str, connection: redis.Redis, start_process: Start, tmp_path: Path
) -> None:
    proof = tmp_path / "it ran"
    job = queue(connection).enqueue("os.system", f"touch '{proof}'", retry=Retry(max=3))
    queue(connection).enqueue(f"{MODULE}.quick")
    burst(redis_url, start_process)
    assert not proof.exists()
    assert "refused: 'os.system' is not among the tasks" in failure(connection, job.id)
    assert number(connection, "runs:quick") == 1
    assert connection.llen(f"rq:queue:{NAMESPACE}:intermediate") == 0


@pytest.mark.parametrize("name", ["trap.spring", f"{MODULE}.trap.spring", f"{MODULE}.main", f"{MODULE}.quick.__call__"])
def test_the_module_of_a_foreign_function_is_not_even_imported(
    redis_url: str, connection: redis.Redis, start_process: Start, tmp_path: Path, name: str
) -> None:
    proof = tmp_path / "it was imported"
    (tmp_path / "trap.py").write_text(f"open({str(proof)!r}, 'w').close()\ndef spring(): pass\n")
    job = queue(connection).enqueue(name)
    burst(redis_url, start_process, PYTHONPATH=str(tmp_path))
    assert not proof.exists()
    assert "refused" in failure(connection, job.id)


def test_callbacks_of_an_allowed_task_are_not_run(
    redis_url: str, connection: redis.Redis, start_process: Start, tmp_path: Path
) -> None:
    proof = tmp_path / "it was imported"
    (tmp_path / "trap.py").write_text(f"open({str(proof)!r}, 'w').close()\ndef spring(*arguments): pass\n")
    trap = Callback("trap.spring")
    for name in ("quick", "failing"):
        queue(connection).enqueue(f"{MODULE}.{name}", on_success=trap, on_failure=trap, on_stopped=trap)
    burst(redis_url, start_process, PYTHONPATH=str(tmp_path))
    assert (number(connection, "runs:quick"), number(connection, "runs:failing")) == (1, 1)
    assert not proof.exists()


def test_a_method_of_a_value_in_the_job_is_refused(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    job = Job.create("format", id="method", origin=NAMESPACE, connection=connection, serializer=JSONSerializer)
    job.instance = "a text"
    queue(connection).enqueue_job(job)
    burst(redis_url, start_process)
    assert "refused" in failure(connection, "method")


def test_pickled_data_is_refused(redis_url: str, connection: redis.Redis, start_process: Start, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    pickled = b"cposix\nsystem\n(S'touch " + str(proof).encode() + b"'\ntR."
    job = queue(connection).enqueue(f"{MODULE}.quick")
    connection.hset(job.key, "data", pickled)
    burst(redis_url, start_process)
    assert not proof.exists()
    assert "its data is not JSON" in failure(connection, job.id)


@pytest.mark.parametrize("poison", ["text", "garbage", "nothing"])
def test_a_job_that_cannot_be_read_does_not_end_the_worker(
    redis_url: str, connection: redis.Redis, start_process: Start, poison: str
) -> None:
    bad = queue(connection).enqueue(f"{MODULE}.quick")
    queue(connection).enqueue(f"{MODULE}.quick")
    if poison == "garbage":
        connection.hset(bad.key, mapping={"created_at": "yesterday", "status": b"\xff"})
    else:
        connection.delete(bad.key)
    if poison == "text":
        connection.set(bad.key, b"\xff")
    for _ in range(2):  # what the first leaves behind is in the way of the second
        process = burst(redis_url, start_process)
        assert "Traceback" not in process.output()
    assert number(connection, "runs:quick") == 1


# What is done to it.


def start_slow_job(
    redis_url: str, connection: redis.Redis, start_process: Start, holds: int = HOLDS
) -> tuple[Process, Process]:
    """A clock and a worker that runs the job ``slow``, which waits for the key ``go``."""
    env = environment(redis_url, {"slow": 1.0}, interval=0.1, heartbeat_ttl=holds)
    clock = start_process(command("clock"), env=env)
    worker = start_process(command("worker"), env=env)
    wait_until(lambda: number(connection, "runs:slow") == 1)
    return clock, worker


def test_a_job_whose_process_was_killed_runs_again_soon(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    _, worker = start_slow_job(redis_url, connection, start_process)
    for kill in range(1, 4):
        [horse] = wait_until(lambda: children(worker.pid))
        os.kill(horse, signal.SIGKILL)
        wait_until(lambda: number(connection, "runs:slow") > kill)  # noqa: B023  # called at once
    connection.set("go", 1)
    wait_until(lambda: number(connection, "finished:slow") > 0)
    assert worker.running


def test_a_job_whose_worker_was_killed_ends_with_it_and_runs_again_soon(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    holds = 3  # it is waited for
    _, worker = start_slow_job(redis_url, connection, start_process, holds)
    for kill in range(1, 4):
        [horse] = wait_until(lambda: children(worker.pid))  # noqa: B023  # called at once
        worker.kill()
        wait_until(lambda: not alive(horse), message="the job ended with its worker")  # noqa: B023  # called at once
        worker = start_process(command("worker"), env=environment(redis_url, {}, heartbeat_ttl=holds))
        began = time.monotonic()
        wait_until(lambda: number(connection, "runs:slow") > kill)  # noqa: B023  # called at once
        print(f"worker: run again {time.monotonic() - began:.1f} s after a kill, as signs of life hold for {holds} s")
    assert number(connection, "runs:slow") == 4
    connection.set("go", 1)


def test_a_long_job_is_not_run_beside_itself(redis_url: str, connection: redis.Redis, start_process: Start) -> None:
    start_slow_job(redis_url, connection, start_process)
    start_process(command("worker"), env=environment(redis_url, {}, heartbeat_ttl=HOLDS))
    wait_until(lambda: workers_alive(connection, NAMESPACE) == 2)
    over = time.time() + HOLDS + 1.0  # many periods, and longer than one sign of life holds
    wait_until(lambda: _last_sign(connection) > over, message="it is looked after")
    assert number(connection, "runs:slow") == 1
    connection.set("go", 1)
    wait_until(lambda: number(connection, "finished:slow") > 1, message="it goes on with its period")


def test_sigterm_lets_the_running_job_finish(redis_url: str, connection: redis.Redis, start_process: Start) -> None:
    _, worker = start_slow_job(redis_url, connection, start_process)
    [horse] = children(worker.pid)
    worker.send(signal.SIGTERM)
    os.kill(horse, signal.SIGTERM)  # Heroku sends it to every process
    worker.wait_for_line("warm shut down requested")
    connection.set("go", 1)
    assert worker.wait() == 0
    assert number(connection, "finished:slow") == 1


def test_sigterm_ends_an_idle_worker_promptly(redis_url: str, connection: redis.Redis, start_process: Start) -> None:
    worker = start_process(command("worker"), env=environment(redis_url, {}))
    wait_until(lambda: workers_alive(connection, NAMESPACE) == 1)
    assert worker.terminate() == 0, "it does not wait for a job"
    assert workers_alive(connection, NAMESPACE) == 0


def test_sigterm_in_the_middle_of_its_start_leaves_no_worker_on_the_list(
    redis_url: str, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        assert workers_alive(connection, NAMESPACE) == 1
        raise Stopped

    monkeypatch.setattr(PathHitsWorker, "set_state", stop)
    worker = build_worker(Settings(redis_url=redis_url, namespace=NAMESPACE), ())
    with pytest.raises(Stopped):
        worker.work()
    assert workers_alive(connection, NAMESPACE) == 0


#: A worker that is asked to stop where it is not heard: what is raised is passed over.
UNHEARD = """
import os, signal, sys
from pathhits.jobs import worker
from pathhits.settings import Settings

class Collected:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def in_a_pool():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Exception:
        pass

def in_a_collected_object():
    Collected()

def while_idle(self, timeout=None, pipeline=None):
    if pipeline is None:
        Collected()

place, url = sys.argv[1:]
worker.WORKER_TTL = 16  # RQ waits 15 s less
if place == "idle":
    worker.PathHitsWorker.heartbeat, prepare = while_idle, lambda: None
else:
    prepare = in_a_pool if "pool" in place else in_a_collected_object
sys.exit(worker.run_worker(Settings(redis_url=url), (), prepare=prepare))
"""


@pytest.mark.parametrize("place", ["in a pool of connections", "in a collected object", "idle"])
def test_sigterm_is_not_forgotten_where_its_error_is_passed_over(redis_url: str, place: str) -> None:
    done = subprocess.run([sys.executable, "-c", UNHEARD, place, redis_url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("outage", ["stopped", "hung", "emptied"])
def test_a_worker_and_its_job_outlive_a_redis_outage(
    own_server: Callable[[Callable[[], S]], S], start_process: Start, outage: str
) -> None:
    """Slow: the outage lasts 4 s, and RQ notices a stopped server late."""
    server: RedisServer = own_server(RedisServer)  # type: ignore[assignment, arg-type]  # S is RedisServer here
    with server.client() as connection:
        env = environment(server.url, {}, heartbeat_ttl=10)
        worker = start_process(command("worker"), env=env)
        queue(connection).enqueue(f"{MODULE}.slow", job_id=SLOW)
        wait_until(lambda: number(connection, "runs:slow") == 1)
        [horse] = children(worker.pid)
        if outage == "hung":
            server.pause()
            time.sleep(4.0)  # the length of the outage
            server.resume()
        else:
            server.stop()
            if outage == "emptied":
                server.rdb.unlink()
            time.sleep(4.0)  # the length of the outage
            server.start()
        over = time.time()
        wait_until(lambda: _last_sign(connection) > over, message="the worker still looks after its job")
        assert alive(horse)
        connection.set("go", 1)
        wait_until(lambda: number(connection, "finished:slow") == 1)
        wait_until(lambda: not alive(horse))
        queue(connection).enqueue(f"{MODULE}.quick")
        wait_until(lambda: number(connection, "runs:quick") == 1, message="the worker goes on")
        wait_until(lambda: workers_alive(connection, NAMESPACE) == 1)
        assert number(connection, "runs:slow") == (0 if outage == "emptied" else 1)
    assert worker.running


@pytest.mark.slow
def test_an_idle_worker_outlives_a_redis_outage(
    own_server: Callable[[Callable[[], S]], S], start_process: Start
) -> None:
    """Slow: the outage lasts 4 s."""
    server: RedisServer = own_server(RedisServer)  # type: ignore[assignment, arg-type]  # S is RedisServer here
    with server.client() as connection:
        worker = start_process(command("worker"), env=environment(server.url, {}))
        wait_until(lambda: workers_alive(connection, NAMESPACE) == 1)
        server.kill()
        time.sleep(4.0)  # the length of the outage
        server.start()
        queue(connection).enqueue(f"{MODULE}.quick")
        wait_until(lambda: number(connection, "runs:quick") == 1, message="the worker goes on")
        wait_until(lambda: workers_alive(connection, NAMESPACE) == 1)
    assert worker.running


# Both in one.


def processes(both: Process) -> set[int]:
    return set(children(both.pid))


def test_worker_and_clock_are_started_again_when_killed_and_end_together(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    both = start_process(command("both"), env=environment(redis_url, {"quick": 0.5}))
    wait_until(lambda: number(connection, "runs:quick") >= 2)
    for _ in range(2):
        wait_until(lambda: len(processes(both)) == 2)
        for victim in processes(both):
            os.kill(victim, signal.SIGKILL)
        runs = number(connection, "runs:quick")
        wait_until(lambda: number(connection, "runs:quick") >= runs + 2)  # noqa: B023  # called at once
    last = processes(both)
    assert both.terminate() == 0
    assert not any(alive(pid) for pid in last)


def test_ctrl_c_ends_everything(redis_url: str, connection: redis.Redis, start_process: Start) -> None:
    both = start_process(command("both"), env=environment(redis_url, {"quick": 0.5}))
    wait_until(lambda: number(connection, "runs:quick") >= 1 and clock_alive(connection, NAMESPACE) is not None)
    last = processes(both)
    both.send_to_group(signal.SIGINT)
    assert both.wait() == 0
    assert not any(alive(pid) for pid in last)
    assert "Traceback" not in both.output()


def test_worker_and_clock_end_when_their_parent_is_killed(
    redis_url: str, connection: redis.Redis, start_process: Start
) -> None:
    both = start_process(command("both"), env=environment(redis_url, {"quick": 0.5}))
    wait_until(lambda: number(connection, "runs:quick") >= 1)
    last = processes(both)
    assert len(last) == 2
    both.kill()
    wait_until(lambda: not any(alive(pid) for pid in last))


# worker.py


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--no-clock", "--clock-only"], {}, "not allowed with argument"),
        ([], {"PATHHITS_SYNC_EVERY": "-1"}, "SYNC_EVERY=-1: give a number above 0"),
    ],
)
def test_misuse_ends_with_one_clear_line(
    start_process: Start, arguments: list[str], env: dict[str, str], said: str
) -> None:
    process = start_process([sys.executable, "worker.py", *arguments], env=env)
    assert process.wait() == 2
    assert said in process.output().splitlines()[-1]
    assert "Traceback" not in process.output()
