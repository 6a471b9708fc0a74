"""Without Redis or SQL, or before the migration, a command ends with one line and loses nothing."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import pytest

from pathhits import PathHits
from tests.integration.cli.running import ASK_BOTH, ASK_SQL, PASSWORD, Run, count, migrate, one_line
from tests.servers.processes import free_port


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


def test_a_read_of_older_tables_names_some_that_are_missing(run: Run) -> None:
    run("db", "upgrade", "0001")
    line = one_line(run("stats", exit_code=1))
    assert " more tables: run 'pathhits db upgrade'" in line
    assert len(line) < 300


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
    assert line.endswith("has no tables of pathhits: run 'pathhits db upgrade'")


def test_clock_and_worker_without_redis_end_with_one_line_where_they_end_at_all(no_redis: Run) -> None:
    assert "sync" in no_redis("clock", "--list").stdout, "the schedule is known without Redis"
