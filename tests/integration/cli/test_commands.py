"""The command line on a real Redis and real databases: what its commands print, and their JSON."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pathhits import PathHits, Rules
from pathhits.cli import Moment, group
from pathhits.storage.sql.tables import dead_letters
from tests.faults.writer import BROWSER, page, request
from tests.integration.cli.running import Run, count, migrate, module, one_line

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
    assert "Nothing was counted in this time" in run_sqlite("top", "--until", "2020-01-01").stdout
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
    module(tmp_path, monkeypatch, SHOP)
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
