"""What ``pathhits doctor`` finds, and what it says one should do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from pathhits import PathHits
from pathhits.jobs.clock import Clock
from pathhits.jobs.schedule import SCHEDULE
from pathhits.jobs.worker import build_worker
from pathhits.tasks import ALLOWED
from tests.integration.cli.running import PASSWORD, Run, count, migrate
from tests.servers.processes import free_port, wait_until
from tests.servers.redis import RedisServer


def findings(run: Run, exit_code: int = 1) -> dict[str, tuple[str, str]]:
    """State and sentence of each thing that doctor looked at."""
    found = json.loads(run("doctor", "--json", exit_code=exit_code).stdout)
    return {one["what"]: (one["state"], one["says"]) for one in found}


def test_doctor_reads_the_database_of_countries(
    run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "countries" not in findings(run_sqlite)
    path = tmp_path / "countries.mmdb"
    monkeypatch.setenv("PATHHITS_GEOIP_PATH", str(path))
    state, says = findings(run_sqlite)["countries"]
    assert state == "warning"
    assert says.startswith(f"GEOIP_PATH={path} cannot be read: ")
    writer = MMDBWriter(4, "Test-Country")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "DE"}})
    writer.to_db_file(str(path))
    assert findings(run_sqlite)["countries"] == ("ok", f"Test-Country in {path}")


def test_doctor_names_what_is_missing_and_what_to_do(run_sqlite: Run) -> None:
    found = findings(run_sqlite)
    assert found["SQL"][0] == "error"
    assert "run 'pathhits db upgrade'" in found["SQL"][1]
    assert "start 'pathhits clock'" in found["clock"][1]
    assert "start 'pathhits worker'" in found["worker"][1]
    assert found["eviction"][0] == "ok"
    assert "pathhits clock" in run_sqlite("doctor", exit_code=1).stdout


@pytest.fixture
def worker_and_clock() -> Iterator[Callable[[], None]]:
    """Signs of life of a worker and a clock, as the real ones leave them in Redis."""
    born: list[Any] = []

    def start() -> None:
        settings = PathHits().settings
        worker = build_worker(settings, ALLOWED)
        worker.register_birth()  # type: ignore[no-untyped-call]  # rq annotates only a part
        born.append(worker)
        Clock(SCHEDULE, settings, worker.connection).tick()

    yield start
    for worker in born:
        worker.register_death()


def test_doctor_is_content_when_everything_runs(run_sqlite: Run, worker_and_clock: Callable[[], None]) -> None:
    migrate()
    worker_and_clock()
    found = findings(run_sqlite, exit_code=0)
    assert {what for what, (state, _) in found.items() if state == "error"} == set()
    looked_at = {"Redis", "eviction", "persistence", "writes", "backlog", "clock", "worker", "SQL", "client address"}
    assert looked_at <= set(found)


def test_doctor_refuses_a_redis_that_may_evict_counts(
    run_sqlite: Run, own_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server(RedisServer)
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    queue = os.environ["REDIS_URL"]
    monkeypatch.setenv("REDIS_URL", server.url)
    assert "set 'maxmemory-policy noeviction'" in run_sqlite("doctor", exit_code=1).stdout
    monkeypatch.setenv("REDIS_URL", queue)
    assert "queue eviction" not in findings(run_sqlite)
    monkeypatch.setenv("PATHHITS_QUEUE_URL", server.url)
    found = findings(run_sqlite)
    assert found["eviction"][0] == "ok"
    assert found["queue eviction"][0] == "warning"
    assert "it may delete jobs" in found["queue eviction"][1]


def test_doctor_refuses_a_replica(run_sqlite: Run, own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = own_server(RedisServer)
    replica = own_server(lambda: RedisServer(replica_of=primary))
    replica.wait_for_replica()
    monkeypatch.setenv("REDIS_URL", replica.url)
    state, says = findings(run_sqlite)["writes"]
    assert (state, f"read-only replica of 127.0.0.1:{primary.port}" in says) == ("error", True), says
    with replica.client() as client:
        client.config_set("replica-read-only", "no")
    state, says = findings(run_sqlite)["writes"]
    assert (state, "its next resync deletes" in says) == ("error", True), says
    monkeypatch.setenv("REDIS_URL", primary.url)
    assert findings(run_sqlite)["writes"] == ("ok", "taken")


def test_doctor_says_that_redis_is_full(run_sqlite: Run, own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = own_server(lambda: RedisServer(options={"maxmemory": "1mb"}))
    with server.client() as client:
        client.config_set("maxmemory", "1")
    monkeypatch.setenv("REDIS_URL", server.url)
    state, says = findings(run_sqlite)["writes"]
    assert (state, "maxmemory" in says) == ("error", True), says


def test_doctor_says_that_redis_could_not_save(
    run_sqlite: Run, own_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server(RedisServer)
    server.rdb.mkdir()  # nothing can be renamed to it
    with server.client() as client:
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", message="the save failed")
    monkeypatch.setenv("REDIS_URL", server.url)
    found = findings(run_sqlite)
    assert found["persistence"][0] == "warning"
    assert "rdb_last_bgsave_status" in found["persistence"][1]
    assert "MISCONF" in found["writes"][1]


def test_doctor_names_the_weaker_promise_where_info_is_refused(
    run_sqlite: Run, own_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server(RedisServer)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "shop", "on", f">{PASSWORD}", "~*", "+@all", "-info")
    monkeypatch.setenv("REDIS_URL", server.url.replace("://", f"://shop:{PASSWORD}@"))
    migrate()
    count("/a")
    found = findings(run_sqlite)
    assert found["Redis"][0] == "warning"
    assert "may count twice or lose" in found["Redis"][1]
    assert found["writes"] == ("ok", "taken")
    assert found["backlog"][0] == "ok"
    assert json.loads(run_sqlite("sync", "--json").stdout)["hits"] == 1, "counting works all the same"


def test_doctor_takes_no_wrong_database_for_a_user_that_may_not_ask(
    run_sqlite: Run, own_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", own_server(RedisServer).url_of(999_999))
    state, says = findings(run_sqlite)["Redis"]
    assert state == "error"
    assert "DB index is out of range; check REDIS_URL" in says


def test_doctor_says_which_setting_to_look_at(run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no tables of pathhits yet" in findings(run_sqlite)["SQL"][1]
    monkeypatch.setenv("PATHHITS_QUEUE_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert findings(run_sqlite)["queue"][1].endswith("check QUEUE_URL")
    monkeypatch.delenv("PATHHITS_QUEUE_URL")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert "check REDIS_URL" in findings(run_sqlite)["queue"][1]
