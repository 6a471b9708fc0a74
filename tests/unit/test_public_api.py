"""The public face: importing pathhits costs next to nothing, and the names others build on keep their signatures."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import pathhits
from pathhits import Event, PathHits, Settings
from pathhits.cli import group
from pathhits.core.counts import Count
from pathhits.core.itemstats import ItemStats
from pathhits.core.searches import SearchRow
from pathhits.jobs.sync import SyncReport
from pathhits.jobs.verify import VerifyReport
from pathhits.stats import ItemRow, PathRow, Point, Visits

HEAVY = (
    "alembic", "asgiref", "click", "django", "fastapi", "flask", "gunicorn", "redis", "rich", "rq", "rq_scheduler",
    "sqlalchemy", "starlette", "uvicorn", "werkzeug",
)  # fmt: skip
#: What a process that counts does not load: somebody else's framework, the queue, the terminal.
NOT_FOR_COUNTING = tuple(sorted(set(HEAVY) - {"alembic", "redis", "sqlalchemy"}))

#: Parameters of the contract, in order; a default is written as it is, none as "required". Adding is free.
CONTRACT: dict[str, dict[str, object]] = {
    "wsgi": {"app": "required"},
    "asgi": {"app": "required", "has_lifespan": True, "as_request": None},
    "init_app": {"app": "required", "identify": None, "dashboard": "", "authorize": None},
    "dashboard": {"authorize": None},
    "track_hit": {"label": "required"},
    "hit_count": {"label": "required"},
    "hit_counts": {"labels": "required"},
    "stored_hit_count": {"label": "required"},
    "pending_hit_count": {"label": "required"},
    "top_paths": {"since": None, "until": None, "limit": 10},
    "series": {
        "metric": "required",
        "since": "required",
        "until": "required",
        "by": "hour",
        "tz": "UTC",
        "label": None,
        "item": None,
    },
    "drops": {"since": None, "until": None},
    "visits": {"since": None, "until": None},
    "active_visitors": {},
    "track_view": {
        "item_type": "required",
        "item_id": "required",
        "ip": None,
        "user_agent": None,
        "user_id": None,
    },
    "atrack_view": {"item_type": "required", "item_id": "required"},
    "event_type": {"name": "required", "counter": "", "value": 1},
    "track": {
        "name": "required",
        "item_id": None,
        "properties": None,
        "value": 1,
        "key": None,
        "ip": None,
        "user_agent": None,
        "user_id": None,
    },
    "forget_on": {"pattern": "required"},
    "track_change": {"name": "required", "item_id": None, "properties": None},
    "track_search": {
        "query": "required",
        "filters": None,
        "result_count": None,
        "entity_type": "",
        "properties": None,
        "key": None,
        "ip": None,
        "user_agent": None,
        "user_id": None,
    },
    "also_viewed": {"item_type": "required", "item_id": "required", "limit": 10},
    "recommend": {},
    "track_recommendations_shown": {"item_type": "required", "reason": "also_viewed", "count": 1},
    "track_recommendation_clicked": {
        "item_type": "required",
        "item_id": "required",
        "reason": "also_viewed",
        "position": None,
    },
    "click_rates": {"since": None, "until": None, "item_type": None},
    "popular_searches": {"since": None, "limit": 10, "until": None, "entity_type": None},
    "failed_searches": {"since": None, "limit": 10, "until": None, "entity_type": None},
    "counter": {"item_type": "required", "item_id": "required", "name": "required"},
    "counters": {"item_type": "required", "ids": "required", "names": "required"},
    "view_count": {"item_type": "required", "item_id": "required"},
    "view_counts": {"item_type": "required", "ids": "required"},
    "stored_view_count": {"item_type": "required", "item_id": "required"},
    "pending_view_count": {"item_type": "required", "item_id": "required"},
    "item_stats": {"item_type": "required", "item_id": "required"},
    "aitem_stats": {"item_type": "required", "item_id": "required"},
    "hot_items": {"item_type": "required", "limit": 10},
    "top_items": {"item_type": "required", "since": None, "until": None, "limit": 10},
    "rule_stats": {},
    "flush": {"timeout": 5.0},
    "sync": {"force": False},
    "refresh_items": {},
    "on": {"pattern": "required", "name": ""},
    "deliver": {},
    "dead_deliveries": {"listener": "", "limit": 100},
    "retry_dead": {"listener": ""},
    "mirror": {"item_type": "required", "model": "required", "id": "required", "views": None, "hot": None},
    "order_by_views": {"statement": "required", "column": "required", "item_type": None},
    "recount": {},
    "prune": {},
    "roll_months": {},
    "explain": {"url": "required", "method": "GET", "status": 200},
    "forget": {"user_id": None, "ip": None, "user_agent": None},
    "popularity_rule": {"item_type": "", "weights": None, "half_life": None},
    "popularity_sink": {"sink": "required"},
    "mirror_popularity": {"item_type": "required", "model": "required", "id": "required", "popularity": "required"},
    "refresh_popularity": {"now": None, "all_items": False, "sink": ""},
    "snapshot": {},
    "refresh_snapshot": {},
    "verify": {},
    "doctor": {},
    "prepare_worker": {},
    "schedule": {},
    "look_for_spikes": {},
    "close": {"timeout": 5.0},
}


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after ``code``."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(run.stdout.split())


def test_importing_pathhits_loads_nothing_else() -> None:
    assert loaded_after("import pathhits").isdisjoint(HEAVY)


def test_settings_and_errors_load_nothing_else() -> None:
    assert loaded_after("from pathhits import Settings, SettingsError; Settings()").isdisjoint(HEAVY)


def test_a_process_that_counts_loads_no_framework_and_no_queue() -> None:
    code = (
        "from pathhits import PathHits\n"
        "hits = PathHits(redis_url='redis://127.0.0.1:1/0')\n"
        "hits.wsgi(lambda environ, start_response: [])\n"
        "hits.asgi(None)\n"
        "hits.track_hit('here')\n"
        "hits.flush(0.1)\n"
    )
    assert loaded_after(code).isdisjoint(NOT_FOR_COUNTING)


def test_every_public_name_is_there_and_listed() -> None:
    assert {
        "PathHits",
        "Settings",
        "PathHitsError",
        "SettingsError",
        "StoreUnavailable",
        "NotMigrated",
        "Rules",
        "Verdict",
    } <= set(pathhits.__all__)
    for name in pathhits.__all__:
        assert getattr(pathhits, name) is not None
    assert pathhits.__all__ == sorted(pathhits.__all__, key=lambda name: (name.startswith("__"), name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'PathHit'"):
        pathhits.PathHit  # noqa: B018  # the access is the test


def test_an_item_is_declared_by_type_route_id_and_rules() -> None:
    found = list(inspect.signature(PathHits.register_item).parameters)[1:]
    assert found == ["item_type", "route", "id", "rules", "hot_at", "cold_below"]


@pytest.mark.parametrize("name", CONTRACT)
def test_a_method_takes_what_the_contract_says(name: str) -> None:
    parameters = list(inspect.signature(getattr(PathHits, name)).parameters.values())[1:]
    found = {one.name: "required" if one.default is one.empty else one.default for one in parameters}
    wanted = CONTRACT[name]
    assert list(found.items())[: len(wanted)] == list(wanted.items())
    more = [one for one in parameters[len(wanted) :] if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    assert all(one.default is not one.empty for one in more), "what is added must be optional"


def test_pathhits_is_made_of_settings_or_keywords() -> None:
    assert PathHits(namespace="shop").settings.namespace == "shop"
    assert PathHits(Settings(namespace="shop")).settings.namespace == "shop"
    parameters = list(inspect.signature(PathHits).parameters.values())
    assert (parameters[0].name, parameters[0].default) == ("settings", None)
    assert parameters[-1].kind is inspect.Parameter.VAR_KEYWORD


def test_what_is_returned_has_the_fields_of_the_contract() -> None:
    assert {"batches", "paths", "hits", "events", "errors", "seconds"} <= set(SyncReport().as_dict())
    assert {"ok", "checks"} <= set(VerifyReport((), 0).as_dict())
    assert {"path", "hits", "visitors"} <= set(PathRow.__slots__)
    assert {"item_type", "item_id", "views", "visitors"} <= set(ItemRow.__slots__)
    assert {"query", "searches", "visitors", "average_results", "last_at"} <= set(SearchRow.__slots__)
    assert {"start", "value"} <= set(Point.__slots__)
    assert {
        "views", "visitors", "visits", "recent_views", "average_duration", "is_hot", "days", "partial", "first_seen",
        "last_seen", "hot_changed_at",
    } <= set(ItemStats.__slots__)  # fmt: skip
    assert Event.__slots__ == (
        "id", "name", "item_type", "item_id", "visitor", "user_id", "user_agent", "referrer", "properties", "moment"
    )  # fmt: skip
    means = {"average_duration", "average_duration_without_bounces"}
    assert {"visits", "bounces", "seconds"} | means == set(Visits(1, 1, 0).as_dict())
    count = Count(40, 2)
    assert (count, count.stored, count.pending, count.partial) == (42, 40, 2, False)
    assert isinstance(count, int)
    assert Count(1, 1, partial=True).partial


def test_the_commands_of_the_contract_are_there() -> None:
    commands = {
        "db", "sync", "stats", "top", "item", "worker", "clock", "doctor", "verify", "recount", "prune", "items",
        "months", "schedule", "forget", "explain", "searches", "snapshot", "also-viewed", "recommend", "clicks",
    }  # fmt: skip
    assert commands <= set(group.commands)
    assert {"--force", "--stats", "--json"} <= {o for p in group.commands["sync"].params for o in p.opts}
    assert "--items" in {o for p in group.commands["top"].params for o in p.opts}
    assert "--burst" in {o for p in group.commands["worker"].params for o in p.opts}
    assert "--list" in {o for p in group.commands["clock"].params for o in p.opts}


def test_the_public_methods_say_what_they_do() -> None:
    public = [name for name in dir(PathHits) if not name.startswith("_")]
    undocumented = [name for name in public if not inspect.getdoc(getattr(PathHits, name))]
    assert not undocumented


def test_a_count_that_is_not_known_in_time_waits_for_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = PathHits(Settings())
    monkeypatch.setitem(sys.modules, "pathhits.stats", None)  # an import of it fails at once
    assert hits.hit_count("/").partial
    monkeypatch.setitem(sys.modules, "pathhits.itemstats", None)
    assert hits.item_stats("product", 1).partial
