"""The command line on a real Redis and real databases: what it prints, its JSON, exit codes and one-line errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import FlaskGroup
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from rq import Queue
from rq.serializers import JSONSerializer

from pathhits import PathHits, Rules, tasks
from pathhits.cli import Moment, group, main
from pathhits.jobs.clock import Clock
from pathhits.jobs.schedule import SCHEDULE
from pathhits.jobs.worker import build_worker
from pathhits.storage.sql.tables import dead_letters
from pathhits.tasks import ALLOWED
from tests.faults.writer import BROWSER, page, request
from tests.servers.processes import free_port, wait_until
from tests.servers.redis import RedisServer

PASSWORD = "hunter2"
#: Commands that ask Redis and SQL, and those that only ask SQL.
ASK_BOTH = (
    ["sync"],
    ["sync", "--force"],
    ["stats"],
    ["top"],
    ["top", "--items", "product"],
    ["item", "product", "1"],
    ["prune"],
)
ASK_SQL = (["verify"], ["recount"], ["months"], ["db", "upgrade"], ["db", "current"])
WITH_JSON = (
    "sync",
    "stats",
    "top",
    "item",
    "doctor",
    "verify",
    "recount",
    "prune",
    "months",
    "items",
    "listeners",
    "schedule",
    "snapshot",
    "popularity",
    "also-viewed",
    "clicks",
    "recommend",
    "forget",
    "searches",
    "explain",
    "notify",
    "import",
)

Run = Callable[..., Result]


@pytest.fixture
def run(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``pathhits ...`` in this process, on a Redis and a database of this test, before any migration."""
    return _runner(redis_url, database_url, monkeypatch)


@pytest.fixture
def run_sqlite(redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same on SQLite only, for what does not depend on the database."""
    return _runner(redis_url, sqlite_url, monkeypatch)


def _runner(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, exit_code: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(group, arguments, **options)
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result

    return run


def count(*labels: str) -> None:
    """Count one hit of each label in the Redis of this test."""
    with closing(PathHits()) as hits:
        for label in labels:
            hits.track_hit(label)
        assert hits.flush()


def migrate() -> None:
    with closing(PathHits()) as hits:
        hits.migrate()


def one_line(result: Result) -> str:
    """What a failed command wrote: one line on stderr, nothing on stdout, no password."""
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("pathhits: ")
    assert PASSWORD not in result.output
    return line


# --- every command, on each database ---


def test_a_hit_is_seen_by_every_command(run: Run) -> None:
    run("db", "current", exit_code=1)
    assert "The database is at revision" in run("db", "upgrade").stdout
    assert "this version needs" in run("db", "current").stdout
    count("/a", "/a", "/b [bold]")

    assert json.loads(run("top", "--json").stdout)[0] == {"path": "/a", "hits": 2, "visitors": 0}
    synced = json.loads(run("sync", "--json").stdout)
    assert (synced["batches"], synced["hits"], synced["paths"], synced["errors"]) == (1, 3, 2, 0)
    assert json.loads(run("top", "--json", "--limit", "1").stdout) == [{"path": "/a", "hits": 2, "visitors": 0}]

    lines = [line.split() for line in run("top").stdout.splitlines()]
    assert ["/a", "2", "0"] in lines
    assert ["/b", "[bold]", "1", "0"] in lines, "what a path holds is text, not markup"

    stats = json.loads(run("stats", "--json").stdout)
    assert (stats["hits"], stats["pending_hits"], stats["requests"], stats["drops"]) == (3, 0, 3, {})
    assert stats["syncs"][0]["hits"] == 3
    shown = run("stats").stdout
    assert "requests seen" in shown
    assert "Last syncs" in shown

    verified = json.loads(run("verify", "--json").stdout)
    assert verified["ok"] is True
    assert all(check["holds"] for check in verified["checks"])
    assert "differs" not in run("verify").stdout

    run("db", "downgrade", "base", "--yes")
    run("top", exit_code=1)


def test_the_revision_of_the_database_can_be_taken_back_after_asking(run: Run) -> None:
    run("db", "upgrade")
    assert "Aborted" in run("db", "downgrade", "base", input="n\n", exit_code=1).stderr
    run("db", "current")
    assert "nothing" in run("db", "downgrade", "base", input="y\n").stdout
    run("db", "current", exit_code=1)
    assert "nowhere" in one_line(run("db", "upgrade", "nowhere", exit_code=1))


# --- sync ---


def test_sync_says_what_it_moved_and_with_nothing_to_move_nothing(run_sqlite: Run) -> None:
    migrate()
    count("/a", "/b", "/b")
    assert run_sqlite("sync").stdout.startswith("3 hits of 2 paths in 1 batches, 0 errors, ")
    assert run_sqlite("sync").stdout.startswith("0 hits of 0 paths in 0 batches, 0 errors, ")


def test_sync_stats_adds_the_totals(run_sqlite: Run) -> None:
    migrate()
    count("/a")
    shown = run_sqlite("sync", "--stats").stdout
    assert shown.startswith("1 hits of 1 paths")
    assert "requests seen" in shown
    both = json.loads(run_sqlite("sync", "--stats", "--json").stdout)
    assert both["hits"] == 0
    assert both["stats"]["hits"] == 1


def test_sync_leaves_the_work_to_another_and_force_does_not(run_sqlite: Run) -> None:
    migrate()
    count("/a")
    with closing(PathHits()) as other, other.pending.sync_lock() as mine:
        assert mine
        assert "Another sync is running" in run_sqlite("sync").stdout
        assert json.loads(run_sqlite("sync", "--json").stdout)["skipped"] is True
        assert json.loads(run_sqlite("sync", "--force", "--json").stdout)["hits"] == 1


def test_sync_with_a_field_that_cannot_be_stored_is_done_with_errors(run_sqlite: Run) -> None:
    migrate()
    count("/a")
    with closing(PathHits()) as hits:
        (generation,) = hits.pending.live()
        hits.redis.hset(hits.keys.generation(generation), "nonsense", "x")
        shown = run_sqlite("sync", exit_code=1).stdout
        assert shown.startswith("1 hits of 1 paths in 1 batches, 1 errors, ")
        with hits.engine.connect() as connection:
            assert len(connection.execute(dead_letters.select()).all()) == 1
    assert "1 dead letters stand aside" in run_sqlite("verify").stdout
    assert "dead letters" in run_sqlite("doctor", exit_code=1).stdout


# --- top ---


def test_top_says_where_hits_came_from(run_sqlite: Run) -> None:
    migrate()
    hits = PathHits(route_label="path")
    app = hits.wsgi(page)
    for path, referrer in (
        ("/a", "https://one.example/x"),
        ("/a", "https://two.example/"),
        ("/b", "https://one.example/"),
    ):
        request(app, path, BROWSER, "203.0.113.1", HTTP_REFERER=referrer)
    assert hits.close()
    assert json.loads(run_sqlite("top", "--by", "referrer", "--json").stdout) == [
        {"value": "one.example", "hits": 2}, {"value": "two.example", "hits": 1},
    ]  # fmt: skip
    of_label = run_sqlite("top", "--by", "referrer", "--label", "/b", "--since", "1h").stdout
    assert of_label.split()[:4] == ["Top", "referrer", "of", "/b"]
    assert "one.example" in of_label
    assert "two.example" not in of_label
    found = json.loads(run_sqlite("top", "--where", "referrer=one.example", "--json").stdout)
    assert [(row["path"], row["hits"], row["visitors"]) for row in found] == [("/a", 1, None), ("/b", 1, None)]
    for wrong, says in (
        (["--by", "colour"], "'colour' is not one of"),
        (["--where", "colour=blue"], "'colour=blue' is no value: give browser=Firefox"),
        (["--where", "browser="], "is no value"),
        (["--label", "/a"], "--label goes with --by"),
        (["--by", "browser", "--items", "product"], "give one of --items, --by and --where"),
    ):
        assert says in run_sqlite("top", *wrong, exit_code=2).stderr


def test_top_takes_a_period_and_a_limit(run_sqlite: Run) -> None:
    migrate()
    assert "Nothing was counted yet" in run_sqlite("top").stdout
    assert json.loads(run_sqlite("top", "--json").stdout) == []
    count("/a", "/b", "/b")
    recent = json.loads(run_sqlite("top", "--since", "24h", "--json").stdout)
    assert [(row["path"], row["hits"]) for row in recent] == [("/b", 2), ("/a", 1)]
    assert json.loads(run_sqlite("top", "--until", "2020-01-01", "--json").stdout) == []
    assert len(json.loads(run_sqlite("top", "--limit", "1", "--json").stdout)) == 1


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T14:00", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("2026-11-20T14:00+01:00", datetime(2026, 11, 20, 13, tzinfo=UTC)),
    ],
)
def test_a_moment_is_an_iso_time_in_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    assert Moment().convert(text, None, None) == moment


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_moment_is_how_long_ago(text: str, ago: timedelta) -> None:
    assert abs(datetime.now(UTC) - ago - Moment().convert(text, None, None)) < timedelta(minutes=1)


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,9}[mhdw]", fullmatch=True))
def test_whatever_is_given_as_a_moment_is_one_or_is_misuse(text: str) -> None:
    result = CliRunner().invoke(group, ["top", "--since", text, "--limit", "0"])
    assert result.exit_code == 2, result.exception


# --- items ---

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


def view(*views: tuple[str, str, str]) -> None:
    """Count views in the Redis of this test: type, id and address, under the rules `SHOP` declares."""
    with closing(PathHits()) as hits:
        hits.register_item("product", rules=Rules.strict())
        for item_type, item_id, address in views:
            hits.track_view(item_type, item_id, ip=address, user_agent=FIREFOX)
        assert hits.flush()


def test_item_and_top_show_views_stored_and_pending_with_their_visitors(run: Run) -> None:
    run("db", "upgrade")
    view(("product", "a [b]", "203.0.113.1"), ("product", "a [b]", "203.0.113.2"), ("film", "a [b]", "203.0.113.1"))
    run("sync")
    view(("product", "a [b]", "203.0.113.3"), ("product", "c", "203.0.113.3"))

    found = json.loads(run("item", "product", "a [b]", "--json").stdout)
    assert (found["item_type"], found["item_id"]) == ("product", "a [b]")
    assert (found["views"], found["stored"], found["pending"]) == (3, 2, 1)
    assert (found["visitors"], found["recent_visitors"], found["visitors_today"]) == (2, 2, 2)
    assert found["recent_views"] == 3
    assert (found["is_hot"], found["partial"], found["average_duration"]) == (False, False, None)
    days = found["days"]
    assert len(days) == 7
    assert [day["day"] for day in days] == sorted(day["day"] for day in days)
    assert (days[-1]["views"], days[-1]["visitors"], sum(day["views"] for day in days)) == (3, 2, 3)
    shown = [line.split() for line in run("item", "product", "a [b]").stdout.splitlines()]
    assert ["views", "3"] in shown
    assert ["hot", "no"] in shown
    assert [days[-1]["day"], "3", "2", "0", "0"] in shown

    row = {"item_type": "product", "item_id": "a [b]", "views": 3, "visitors": 2}
    assert json.loads(run("top", "--items", "product", "--json").stdout) == [
        row, row | {"item_id": "c", "views": 1, "visitors": 0}
    ]  # fmt: skip
    assert json.loads(run("top", "--items", "product", "--limit", "1", "--since", "24h", "--json").stdout) == [row]
    assert json.loads(run("top", "--items", "product", "--until", "2020-01-01", "--json").stdout) == []
    assert ["a", "[b]", "3", "2"] in [line.split() for line in run("top", "--items", "product").stdout.splitlines()]


def test_items_does_at_once_what_the_job_does(run_sqlite: Run) -> None:
    migrate()
    view(("product", "a", "203.0.113.1"), ("product", "b", "203.0.113.2"))
    run_sqlite("sync")
    assert json.loads(run_sqlite("items", "--json").stdout)["items"] == 2
    assert json.loads(run_sqlite("items", "--json").stdout)["items"] == 0
    assert run_sqlite("items", "--all").stdout.startswith("2 items: 0 became hot, 0 cooled")


def test_recount_and_prune_say_what_they_did(run_sqlite: Run) -> None:
    migrate()
    assert "The event log is empty" in run_sqlite("recount").stdout
    view(("product", "a", "203.0.113.1"), ("product", "b", "203.0.113.2"))
    run_sqlite("sync")
    assert json.loads(run_sqlite("recount", "--json").stdout) | {"since": "", "seconds": 0} == {
        "since": "", "items": 2, "corrected": 0, "views_differ": 0, "seconds": 0,
    }  # fmt: skip
    assert "2 items recounted from the log" in run_sqlite("recount").stdout
    assert json.loads(run_sqlite("prune", "--json").stdout) | {"seconds": 0} == {
        "events": 0, "ledger": 0, "seconds": 0, "deliveries": 0, "search_visitors": 0, "values": 0,
    }  # fmt: skip
    assert "0 events, 0 values of labels, 0 deliveries and 0 rows of the ledger deleted" in run_sqlite("prune").stdout


def test_an_item_without_views_has_none_and_a_type_that_cannot_be_is_misuse(run_sqlite: Run) -> None:
    migrate()
    assert json.loads(run_sqlite("item", "product", "7", "--json").stdout)["views"] == 0
    for command in (["item", "No type", "7"], ["top", "--items", "No type"]):
        assert "item type 'No type'" in one_line(run_sqlite(*command, exit_code=2))


SHOP = """
    from pathhits import PathHits, Rules, tasks

    hits = PathHits()
    hits.register_item("product", rules=Rules.strict())
"""


def test_stats_and_sync_stats_show_the_limits_in_force_live_keys_and_refusals(
    run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    assert "No item types are declared here" in run_sqlite("stats").stdout
    _module(tmp_path, monkeypatch, SHOP)
    monkeypatch.setenv("PATHHITS_APP", "counted_app:hits")
    view(*[("product", "1", "203.0.113.1")] * 3)
    strict = {"cooldown": 300, "per_session": 3, "session": 86_400, "per_day": 100, "once_per_day": 1}
    for command in (["stats", "--json"], ["sync", "--stats", "--json"], ["sync", "--stats", "--json"]):
        printed = json.loads(run_sqlite(*command).stdout)
        assert printed.get("stats", printed)["rules"] == {
            "limits": {"product": strict},
            "live_keys": {"views": 2, "sessions": 1, "daily_limits": 1},
            "refusals": {"product:cooldown": 2},
        }
    for command in (["stats"], ["sync", "--stats"]):
        lines = [line.split() for line in run_sqlite(*command).stdout.splitlines()]
        assert ["product", "300", "3", "86,400", "100", "yes"] in lines
        assert ["live", "keys:", "daily", "limits", "1"] in lines
        assert ["refused:", "product:cooldown", "2"] in lines


# --- doctor ---


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


def test_doctor_says_which_setting_to_look_at(run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no tables of pathhits yet" in findings(run_sqlite)["SQL"][1]
    monkeypatch.setenv("PATHHITS_QUEUE_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert findings(run_sqlite)["queue"][1].endswith("check QUEUE_URL")
    monkeypatch.delenv("PATHHITS_QUEUE_URL")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert "check REDIS_URL" in findings(run_sqlite)["queue"][1]


# --- stores that are away ---


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch, run_sqlite: Run) -> Run:
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0")
    return run_sqlite


@pytest.fixture
def no_sql(monkeypatch: pytest.MonkeyPatch, run_sqlite: Run) -> Run:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://shop:{PASSWORD}@127.0.0.1:{free_port()}/shop")
    return run_sqlite


@pytest.mark.parametrize("command", ASK_BOTH, ids=" ".join)
def test_without_redis_a_command_ends_with_one_line(command: list[str], no_redis: Run) -> None:
    migrate()
    line = one_line(no_redis(*command, exit_code=1))
    assert "Redis at redis://" in line
    assert "did not answer" in line


@pytest.mark.parametrize("command", [*ASK_BOTH, *ASK_SQL], ids=" ".join)
def test_without_sql_a_command_ends_with_one_line(command: list[str], no_sql: Run) -> None:
    count("/a")
    line = one_line(no_sql(*command, exit_code=1))
    assert "postgresql" in line
    assert "shop:***@127.0.0.1" in line


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_an_option_of_the_database_url_that_its_driver_does_not_know_is_one_line(
    scheme: str, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://shop:{PASSWORD}@127.0.0.1:{free_port()}/shop?colour=red"
    monkeypatch.setenv("DATABASE_URL", url)
    for command in ASK_SQL:
        assert "colour" in one_line(run_sqlite(*command, exit_code=1 if scheme == "postgresql" else 2))


def test_a_database_without_its_driver_says_what_to_install(run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    monkeypatch.setenv("DATABASE_URL", f"mysql://shop:{PASSWORD}@127.0.0.1/shop")
    for command in ASK_SQL:
        assert "pip install" in one_line(run_sqlite(*command, exit_code=2))


def test_a_sqlite_file_in_no_folder_is_one_line(run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/at/all.db")
    for command in ASK_SQL:
        assert "unable to open database file" in one_line(run_sqlite(*command, exit_code=1))


def test_what_could_not_be_synced_is_still_there(no_sql: Run, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count("/a")
    no_sql("sync", exit_code=1)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    migrate()
    assert json.loads(no_sql("sync", "--json").stdout)["hits"] == 1


@pytest.mark.parametrize("command", [["sync"], ["sync", "--force"], ["sync", "--json"]], ids=" ".join)
def test_a_sync_of_nothing_says_that_sql_could_not_take_anything(command: list[str], no_sql: Run) -> None:
    assert "shop:***@127.0.0.1" in one_line(no_sql(*command, exit_code=1))


def test_a_sync_of_nothing_says_that_the_tables_are_missing_or_old(run: Run) -> None:
    line = one_line(run("sync", exit_code=1))
    assert "has no tables of pathhits: run 'pathhits db upgrade'" in line
    run("db", "upgrade", "0001")
    assert "is at revision 0001, this version needs" in one_line(run("sync", exit_code=1))
    run("db", "upgrade")
    run("sync")
    with closing(PathHits()) as hits, hits.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE pathhits_alembic_version SET version_num = '9999'")
    run("sync")  # a newer version has migrated, while this one still runs


def test_doctor_finds_both_stores_away_without_failing_itself(no_redis: Run, no_sql: Run) -> None:
    result = no_redis("doctor", "--json", exit_code=1)
    states = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert (states["Redis"], states["queue"], states["SQL"]) == ("error", "error", "error")
    assert PASSWORD not in result.output
    assert result.stderr == ""


@pytest.mark.parametrize("command", [["sync"], ["stats"], ["top"], ["item", "product", "1"], ["verify"]], ids=" ".join)
def test_before_the_migration_a_command_says_how_to_migrate(command: list[str], run: Run) -> None:
    count("/a")
    line = one_line(run(*command, exit_code=1))
    assert "run 'pathhits db upgrade'" in line
    assert "path_counters" in line


def test_clock_and_worker_without_redis_end_with_one_line_where_they_end_at_all(no_redis: Run) -> None:
    assert "sync" in no_redis("clock", "--list").stdout, "the schedule is known without Redis"


# --- misuse ---


@pytest.mark.parametrize("command", [*ASK_BOTH, *ASK_SQL, ["doctor"], ["worker"], ["clock"]], ids=" ".join)
@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("PATHHITS_FLUSH_INTERVAL", "-1", "give a number above 0"),
        ("PATHHITS_SYNCEVERY", "5", "PATHHITS_SYNCEVERY: unknown setting; known are"),
        ("REDIS_URL", f"http://:{PASSWORD}@localhost", "give a URL that starts with redis://"),
        ("DATABASE_URL", f"oracle://u:{PASSWORD}@localhost/d", "give a URL that starts with sqlite://"),
        ("PATHHITS_TRUSTED_PROXIES", "0.0.0.0/0", "name the proxies' own networks or a number of hops"),
        ("PATHHITS_APP", "no.such.module:hits", "give module:attribute of your PathHits object"),
    ],
)
def test_a_wrong_setting_is_misuse_and_one_line(
    name: str, value: str, advice: str, command: list[str], run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert advice in one_line(run_sqlite(*command, exit_code=2))


@pytest.mark.parametrize(
    "arguments",
    [
        ["tops"],
        ["top", "--limit", "0"],
        ["top", "--limit", "x"],
        ["top", "--since", "soon"],
        ["item", "product"],
        ["sync", "--no"],
        ["db"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_or_option_is_misuse(arguments: list[str], run_sqlite: Run) -> None:
    result = run_sqlite(*arguments, exit_code=2)
    assert "Usage:" in result.output


@pytest.mark.parametrize("command", [[], ["db", "upgrade"], *([name] for name in group.commands)], ids=" ".join)
def test_every_command_explains_itself_without_any_store(command: list[str], no_redis: Run) -> None:
    inner: click.Command = group
    for name in command:
        assert isinstance(inner, click.Group)
        inner = inner.commands[name]
    # By itself first, as another group may hold it.
    assert "Usage:" in CliRunner().invoke(inner, ["--help"]).stdout
    for flag in ("-h", "--help"):
        assert "Usage:" in no_redis(*command, flag).stdout


def test_clock_list_prints_the_schedule(run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHHITS_SYNC_EVERY", "900")
    lines = [line.split() for line in run_sqlite("clock", "--list").stdout.splitlines()]
    assert ["sync", "900", "s"] in [line[:3] for line in lines]
    assert len(lines) == 2 + len(SCHEDULE)


def test_json_is_offered_by_every_command_that_reports() -> None:
    offered = {name for name, command in group.commands.items() if any("--json" in p.opts for p in command.params)}
    assert offered == set(WITH_JSON)


# --- whose PathHits it is ---


def _module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "counted_app.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "counted_app", raising=False)


APP = """
    from flask import Flask
    from pathhits import PathHits

    hits = PathHits(namespace="elsewhere")
    other = "not one"

    def make():
        return hits

    def create_app():
        app = Flask(__name__)
        hits.init_app(app)
        return app

    def create_bare_app():
        return Flask(__name__)
"""


@pytest.mark.parametrize("path", ["counted_app", "counted_app:hits", "counted_app:make", "counted_app:create_app"])
def test_pathhits_app_names_the_object_to_ask(
    path: str, run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, monkeypatch, APP)
    migrate()
    with closing(PathHits(namespace="elsewhere")) as hits:
        hits.track_hit("/there")
    count("/here")
    assert [row["path"] for row in json.loads(run_sqlite("top", "--json").stdout)] == ["/here"]
    monkeypatch.setenv("PATHHITS_APP", path)
    assert [row["path"] for row in json.loads(run_sqlite("top", "--json").stdout)] == ["/there"]


@pytest.mark.parametrize(
    "path", ["counted_app:other", "counted_app:nothing", "counted_app:create_bare_app", ":", "a b"]
)
def test_a_pathhits_app_that_is_none_is_misuse(
    path: str, run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, monkeypatch, APP)
    monkeypatch.setenv("PATHHITS_APP", path)
    assert "give module:attribute of your PathHits object" in one_line(run_sqlite("top", exit_code=2))


def _flask(app: Flask, *arguments: str) -> Result:
    return CliRunner().invoke(FlaskGroup(create_app=lambda: app), ["pathhits", *arguments])


def test_flask_pathhits_asks_the_apps_own_object(run_sqlite: Run) -> None:
    migrate()
    app = Flask("shop")
    app.add_url_rule("/", "home", lambda: "x")
    PathHits(namespace="shop").init_app(app)
    app.test_client().get("/")
    app.extensions["pathhits"].flush()
    result = _flask(app, "top", "--json")
    assert (result.exit_code, json.loads(result.stdout)[0]["path"]) == (0, "home")
    assert run_sqlite("top", "--json").stdout == "[]\n", "the other namespace knows nothing of it"


def test_flask_pathhits_of_an_app_that_is_not_counted_says_how_to_count_it(run_sqlite: Run) -> None:
    result = _flask(Flask("shop"), "top")
    assert result.exit_code == 2
    assert "call hits.init_app(app) first" in one_line(result)


def test_main_asks_the_object_it_is_given(run_sqlite: Run, capsys: pytest.CaptureFixture[str]) -> None:
    migrate()
    hits = PathHits(namespace="given")
    hits.track_hit("/given")
    assert hits.flush()
    with pytest.raises(SystemExit) as ended:
        main(["top", "--json"], hits)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["path"] == "/given"


# --- real processes ---


def _process(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_python_m_pathhits_and_the_script_are_the_same(run_sqlite: Run, tmp_path: Path) -> None:
    migrate()
    count("/a")
    script = str(Path(sys.executable).parent / "pathhits")
    for command in ([sys.executable, "-m", "pathhits"], [script]):
        done = _process(*command, "top", "--json", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == [{"path": "/a", "hits": 1, "visitors": 0}]
        assert _process(*command, "tops", cwd=tmp_path).returncode == 2


def test_flask_pathhits_is_found_by_its_entry_point(
    run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path, monkeypatch, APP)
    migrate()
    with closing(PathHits(namespace="elsewhere")) as hits:
        hits.track_hit("/there")
    flask = str(Path(sys.executable).parent / "flask")
    done = _process(flask, "--app", "counted_app", "pathhits", "sync", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["hits"] == 1


def test_a_failing_process_writes_one_line_and_no_traceback(no_redis: Run, tmp_path: Path) -> None:
    migrate()
    done = _process(sys.executable, "-m", "pathhits", "sync", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize(
    "command",
    [["worker.py"], ["worker.py", "--clock-only"], ["worker.py", "--no-clock"]]
    + [["-m", "pathhits", *one] for one in (["worker"], ["worker", "--with-clock"], ["clock"])],
    ids=" ".join,
)
def test_a_process_that_stays_ends_at_once_on_a_url_that_cannot_work(
    command: list[str], run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1/0?colour=red")
    done = _process(sys.executable, *command, cwd=Path(__file__).resolve().parents[2])
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "look at what follows ?" in line
    assert PASSWORD not in line


def test_jobs_find_the_object_that_its_own_settings_name(
    run_sqlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    count("/a")
    with closing(PathHits()) as hits, hits.queue_connection() as connection:
        Queue("pathhits", connection=connection, serializer=JSONSerializer).enqueue(tasks.sync)
        (tmp_path / "shop.py").write_text(
            "from flask import Flask\nfrom pathhits import PathHits\n"
            f"hits = PathHits(redis_url={hits.settings.redis_url!r}, database_url={hits.settings.database_url!r}, "
            "app='shop:hits')\napp = Flask(__name__)\nhits.init_app(app)\n"
        )
        for name in ("REDIS_URL", "DATABASE_URL"):
            monkeypatch.delenv(name)
        done = _process(sys.executable, "-m", "flask", "--app", "shop", "pathhits", "worker", "--burst", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert hits.stats.hit_counts(["/a"])["/a"].stored == 1, done.stderr


def test_a_worker_that_an_error_ends_is_no_misuse(run_sqlite: Run, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "shop.py").write_text("from pathhits import StoreUnavailable\nraise StoreUnavailable('SQL is away')\n")
    monkeypatch.setenv("PATHHITS_APP", "shop:hits")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = _process(sys.executable, "worker.py", "--burst", cwd=Path(__file__).resolve().parents[2])
    assert (done.returncode, done.stderr) == (1, "worker.py: SQL is away\n")


@pytest.mark.parametrize("command", [["worker.py", "--burst", "--no-clock"], ["-m", "pathhits", "worker", "--burst"]])
def test_a_worker_keeps_the_talk_of_others_to_itself(command: list[str], run_sqlite: Run) -> None:
    migrate()
    with closing(PathHits()) as hits, hits.queue_connection() as connection:
        Queue("pathhits", connection=connection, serializer=JSONSerializer).enqueue(tasks.sync)
    done = _process(sys.executable, *command, cwd=Path(__file__).resolve().parents[2])
    assert "pathhits: sync: 0 batches" in done.stderr
    assert "rq.worker" not in done.stderr


def test_a_burst_of_the_worker_ends_when_the_queue_is_empty(run_sqlite: Run, tmp_path: Path) -> None:
    done = _process(sys.executable, "-m", "pathhits", "worker", "--burst", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
