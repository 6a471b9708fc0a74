"""A person who asks for it is taken out of the event log; what was counted stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from pathhits import PathHits, PathHitsError
from pathhits.cli import group
from pathhits.storage.sql import forgetting, tables
from tests.integration.logbook import rows_of

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@pytest.fixture(params=["keyed", "plain"])
def hits(request: pytest.FixtureRequest, redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, user_ids=request.param, request_deadline=60.0)
    hits.migrate()
    hits.register_item("product")
    yield hits
    hits.close(0.1)


def visit(hits: PathHits, last: int, user_id: str | None = None) -> None:
    """A view and a like; the second of them as a user, if there is one."""
    who: dict[str, Any] = {"ip": f"198.51.100.{last}", "user_agent": AGENT}
    assert hits.track_view("product", last % 3, **who)
    assert hits.track("product.liked", last % 3, properties={"note": f"by {last}"}, user_id=user_id, **who)


def events(hits: PathHits) -> list[dict[str, Any]]:
    return [dict(row) for row in rows_of(hits, tables.events)]


def figures(hits: PathHits) -> list[Any]:
    counters = hits.counters("product", range(3), ["likes"])
    return [counters, *((r["item"], r["view_count"], r["visitors"]) for r in rows_of(hits, tables.items))]


def test_a_user_is_nobody_afterwards_and_every_figure_stays(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "STEP", 2)
    for last in range(1, 8):
        visit(hits, last, user_id="anna" if last in (2, 5) else f"user-{last}")
    hits.flush(30.0)
    hits.sync()
    before, kept = figures(hits), {row["id"]: row for row in events(hits)}
    theirs = {row["visitor"] for row in kept.values() if row["properties"] in ('{"note":"by 2"}', '{"note":"by 5"}')}
    assert len(theirs) == 2

    report = hits.forget("anna")

    assert report.events == 4, "the two views that were made without a user id are theirs as well"
    after = {row["id"]: row for row in events(hits)}
    assert len(after) == len(kept) == 14
    changed = [one for one in after if after[one] != kept[one]]
    assert {kept[one]["visitor"] for one in changed} == theirs
    for one in changed:
        assert (after[one]["user_id"], after[one]["user_agent"], after[one]["referrer"], after[one]["properties"]) == (
            ("",) * 4
        )
        assert (after[one]["name"], after[one]["item_id"], after[one]["moment"]) == (
            kept[one]["name"],
            kept[one]["item_id"],
            kept[one]["moment"],
        )
    assert len({row["visitor"] for row in after.values()}) == len({row["visitor"] for row in kept.values()})
    assert not theirs & {row["visitor"] for row in after.values()}
    assert figures(hits) == before
    assert hits.recount().corrected == 0
    assert hits.verify().ok
    assert hits.forget("anna").events == 0


def test_a_visitor_is_found_by_address_and_agent_also_where_it_is_pending(hits: PathHits) -> None:
    visit(hits, 1)
    visit(hits, 2)
    hits.flush(30.0)
    assert hits.forget(ip="198.51.100.1", user_agent="another").events == 0
    with pytest.raises(PathHitsError, match="give user_agent= too"):
        hits.forget(ip="198.51.100.1")
    with pytest.raises(PathHitsError, match="give an address"):
        hits.forget(ip="the office", user_agent=AGENT)
    assert hits.forget(ip="198.51.100.1", user_agent=AGENT).events == 2
    assert [row["user_agent"] for row in events(hits)].count("") == 2


def test_nobody_is_left_who_searched_and_visitors_of_a_query_stay_as_many(hits: PathHits) -> None:
    for last in (1, 1, 2):
        hits.track_search("jug", ip=f"198.51.100.{last}", user_agent=AGENT)
    hits.flush(30.0)
    hits.sync()
    before = {row["visitor"] for row in rows_of(hits, tables.search_visitors)}
    assert hits.forget(ip="198.51.100.1", user_agent=AGENT).events == 2
    after = {row["visitor"] for row in rows_of(hits, tables.search_visitors)}
    assert (len(before), len(after), len(before & after)) == (2, 2, 1)
    assert hits.popular_searches()[0].visitors == 2


@pytest.mark.parametrize("nobody", [{}, {"user_id": ""}, {"user_id": "\0"}, {"ip": ""}, {"user_agent": AGENT}])
def test_without_a_name_nobody_is_forgotten(hits: PathHits, nobody: dict[str, str]) -> None:
    visit(hits, 1)
    hits.flush(30.0)
    with pytest.raises(PathHitsError, match="say who is to be forgotten"):
        hits.forget(**nobody)


def test_the_command_asks_first(hits: PathHits) -> None:
    visit(hits, 1, user_id="anna")
    hits.flush(30.0)
    refused = CliRunner().invoke(group, ["forget", "anna"], obj=hits, input="n\n")
    assert refused.exit_code == 1
    assert "Go on?" in refused.output
    done = CliRunner().invoke(group, ["forget", "anna", "--yes"], obj=hits)
    assert (done.exit_code, done.output) == (0, "2 events are nobody's now.\n")
    assert CliRunner().invoke(group, ["forget"], obj=hits).exit_code == 2
