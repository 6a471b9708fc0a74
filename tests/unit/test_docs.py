"""The documentation is complete and true: what is there is documented and the reverse; examples run, links resolve."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from pathhits.cli import group
from pathhits.core.clicks import ClickRate
from pathhits.core.dashboard import Snapshot
from pathhits.core.itemstats import HotRow, ItemDay, ItemStats
from pathhits.core.recommending import Recommended
from pathhits.core.rules import REFUSALS, Rules
from pathhits.core.searches import SearchRow
from pathhits.core.statuses import REASONS
from pathhits.hits import Sketch
from pathhits.jobs.doctor import Finding
from pathhits.jobs.items import ItemsReport
from pathhits.jobs.months import MonthsReport
from pathhits.jobs.popularity import PopularityReport, SinkReport
from pathhits.jobs.prune import PruneReport
from pathhits.jobs.recommend import RecommendReport
from pathhits.jobs.recount import RecountReport
from pathhits.jobs.runs import JobState
from pathhits.jobs.schedule import SCHEDULE
from pathhits.jobs.snapshot import parts_of
from pathhits.jobs.sync import SyncReport
from pathhits.jobs.verify import Check, VerifyReport
from pathhits.notify.queueing import Failed
from pathhits.settings import ENV_PREFIX, Settings, names
from pathhits.stats import ItemRow, PathRow
from pathhits.storage import redis as redis_storage
from pathhits.storage.redis import keys
from pathhits.storage.sql.tables import VERSION_TABLE, metadata

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")])
PAGE_IDS = [page.stem for page in PAGES]
FENCE = re.compile(r"^```(\S*)(?: run=(\w+)| preset=\w+)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

#: What is run after an example, in the same process: that it does what its page says.
CHECKS = {
    "testing_listeners": """
        assert told == ["42", "43"]
    """,
    "dashboard": """
        answer = app.test_client().get("/_pathhits/")
        assert answer.status_code == 403
        assert "PATHHITS_DASHBOARD_PASSWORD" in answer.text
    """,
    "asking": """
        app.add_url_rule("/lookup", "lookup", lambda: "x")
        from pathhits.testing import counting
        with counting(app) as counted:
            for user in ("ann", "bob", "ann"):
                headers = {"X-User": user, "User-Agent": "Mozilla/5.0 Firefox/130"}
                app.test_client().get("/lookup?isbn=3", headers=headers)
            assert counted.hits("lookup") == 3
            assert hits.view_count("book", 3) == 2
    """,
    "flask": """
        app.add_url_rule("/products/<int:number>", "product", lambda number: "x")
        from pathhits.testing import assert_counted, counting
        with counting(app):
            app.test_client().get("/products/7")
            assert_counted(hits, "product")
        assert app.extensions["pathhits"] is hits
    """,
    "flask_template": """
        from pathhits.testing import counting
        with counting(hits) as counted:
            app.test_client().get("/")
            assert counted.hits("home") == 1
            assert app.test_client().get("/").text == "<p>Read 1 times.</p>"
    """,
    "django": """
        import sys
        import django
        from django.conf import settings
        from django.http import HttpResponse
        from django.urls import path
        from django.template import engines
        given = {"PATHHITS": PATHHITS} if "PATHHITS" in globals() else {}
        processors = ["django.template.context_processors.request"]
        backend = {"BACKEND": "django.template.backends.django.DjangoTemplates",
                   "OPTIONS": {"context_processors": processors}}
        settings.configure(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE, INSTALLED_APPS=INSTALLED_APPS,
                           ALLOWED_HOSTS=["*"], TEMPLATES=[backend], **given)
        django.setup()
        page = (
            "{% load pathhits %}{% hit_count %} {% hit_count 'product' %} {% view_count 'product' number %}"
            "{% item_stats 'product' number as stats %} {{ stats.recent_views }}"
        )
        def view(request, number):
            return HttpResponse(engines["django"].from_string(page).render({"number": number}, request))
        urlpatterns = [path("products/<int:number>/", view, name="product")]
        from django.test import Client
        from pathhits.integrations.django import hits
        from pathhits.testing import assert_counted, assert_dropped, counting
        with counting(hits) as counted:
            client = Client(headers={"user-agent": "Mozilla/5.0"})
            client.get("/products/7/")
            assert_counted(hits, "product")
            hits.track_view("product", 8)
            assert client.get("/products/8/").content == b"1 1 1 1"
            Client().get("/products/9/")
            assert_dropped(hits, "bot")
        if given:
            assert hits.settings.sync_every == 60
    """,
    "fastapi": """
        app.add_api_route("/products/{number}", lambda number: number)
        import asyncio
        import httpx
        from pathhits.testing import counting
        async def visit():
            headers = {"User-Agent": "Mozilla/5.0"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                assert (await client.get("/products/7", headers=headers)).status_code == 200
        hits = hits if "hits" in globals() else app.user_middleware[0].kwargs["hits"]
        with counting(hits) as counted:
            asyncio.run(visit())
            assert counted.labels() == {"/products/{number}": 1}
    """,
    "wsgi": """
        from werkzeug.test import Client
        from pathhits.testing import counting
        with counting(hits) as counted:
            Client(application).get("/products/7", headers={"User-Agent": "Mozilla/5.0"})
            assert counted.labels() == {"/products/{int}": 1}
    """,
    "asgi": """
        import asyncio
        import httpx
        from pathhits.testing import counting
        async def visit():
            headers = {"User-Agent": "Mozilla/5.0"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://x") as client:
                assert (await client.get("/products/7", headers=headers)).text == "hello"
        with counting(hits) as counted:
            asyncio.run(visit())
            assert counted.labels() == {"/products/{int}": 1}
    """,
    "reading": """
        from pathhits.testing import counting
        with counting(hits):
            hits.track_hit("product")
            assert hits.hit_count("product") == 1
    """,
    "items": """
        if "product_detail" not in app.view_functions:
            app.add_url_rule("/products/<slug>", "product_detail", lambda slug: "x")
        from pathhits.testing import counting
        with counting(hits) as counted:
            client = app.test_client()
            for _ in range(2):
                client.get("/products/stoneware-jug")
            assert counted.views("product", "stoneware-jug") == 1
            assert counted.refusals() == {"product:cooldown": 1}
            assert counted.hits("product_detail") == 2
    """,
    "items_fastapi": """
        import asyncio
        import httpx
        from pathhits.testing import counting
        async def visit():
            headers = {"User-Agent": "Mozilla/5.0"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                return [(await client.get("/products/jug", headers=headers)).json() for _ in range(2)]
        with counting(hits) as counted:
            assert asyncio.run(visit()) == [{"views": 0}, {"views": 1}]
            assert counted.refusals() == {"product:cooldown": 1}
    """,
    "items_django": """
        import sys
        import types
        import django
        from django.conf import settings
        from django.http import HttpResponse
        from django.urls import path
        shop = sys.modules["shop"] = types.ModuleType("shop")
        shop.apps = sys.modules["shop.apps"] = types.ModuleType("shop.apps")
        shop.apps.ShopConfig, ShopConfig.path = ShopConfig, "."
        settings.configure(ROOT_URLCONF=__name__, INSTALLED_APPS=["shop.apps.ShopConfig"], ALLOWED_HOSTS=["*"],
                           MIDDLEWARE=["pathhits.integrations.django.PathHitsMiddleware"])
        django.setup()
        urlpatterns = [path("products/<slug:slug>/", lambda request, slug: HttpResponse("x"), name="product")]
        from django.test import Client
        from pathhits.integrations.django import hits
        from pathhits.testing import counting
        with counting(hits) as counted:
            for _ in range(2):
                Client(headers={"user-agent": "Mozilla/5.0"}).get("/products/jug/")
            assert counted.views("product", "jug") == 1
            assert counted.refusals() == {"product:cooldown": 1}
    """,
    "track_view": """
        from pathhits.testing import counting
        with counting(hits) as counted:
            assert [read(7, 1), read(7, 1), read(7, None)] == ["counted", "cooldown", "counted"]
            assert counted.views("story", 7) == 2
    """,
    "reading_items": """
        from pathhits.testing import counting
        with counting(hits):
            hits.track_view("product", "iron-pan")
            assert hits.view_count("product", "iron-pan") == 1
            stats = hits.item_stats("product", "iron-pan")
            assert (stats.views, stats.recent_views, stats.days[-1].views, stats.partial) == (1, 1, 1, False)
            assert hits.hot_items("product") == []
    """,
    "popularity": """
        assert [outlet.sink.name for outlet in hits._outlets.values()] == ["products.popularity"]
        assert hits._popularity_rule_of("product").weights["likes"] == 5
    """,
    "popularity_sink": 'Ranking().send([ItemPopularity("product", "pan", 2.0, {"views": 1})])',
    "cache": """
        assert (all_featured(), featured("summer")) == (["iron-pan", "stoneware-jug"], ["iron-pan"])
        assert [pattern for pattern in hits.listeners.patterns().values()] == [
            "product.featured", "product.updated", "product.unfeatured"
        ]
        feature("oak-board", "summer")
        assert featured("summer") == ["iron-pan", "oak-board"]
        assert not featured.forget("summer"), "there is no Redis here"
    """,
    "reading_snapshot": 'assert (snapshot.source, snapshot.parts["totals"]["hits"]) == ("live", 0)',
    "reading_events": 'assert hits.event_types["product.shared"].counter == "shares"',
    "reading_clicks": """
        from pathhits.testing import counting
        with counting(hits):
            hits.track_recommendations_shown("product", "also_viewed", count=4)
            hits.track_recommendation_clicked("product", 43)
            assert [row.rate for row in hits.click_rates()] == [0.25]
    """,
    "reading_recommendations": """
        from pathhits.testing import counting
        with counting(hits):
            assert hits.also_viewed("product", 42) == []
    """,
    "reading_searches": """
        from pathhits.testing import counting
        with counting(hits):
            hits.track_search("Blue jug", result_count=4)
            assert [row.query for row in hits.popular_searches()] == ["blue jug"]
    """,
    "notify": """
        assert {name for name in hits.listeners.patterns().values()} >= {"order.placed", "*.updated", "site.*"}
    """,
    "notify_verify": """
        headers = notify.sign("1", b'{"type": "a.b", "data": {"item_id": "7"}}', "at-least-sixteen-characters")
        assert receive(headers, b'{"type": "a.b", "data": {"item_id": "7"}}') == 204
        assert receive(headers, b'{"type": "a.b", "data": {"item_id": "8"}}') == 400
    """,
    "reading_visits": "assert found.average_duration is None",
    "host_tables": """
        from pathhits.testing import counting
        with counting(hits):
            hits.track_view("product", "iron-pan")
            assert Product(slug="iron-pan").view_count() == 1
        assert "pathhits_items" in str(most_viewed)
        assert [mirror.table.name for mirror in hits._mirrors] == ["products"]
    """,
    "testing_views": "",
    "testing": "test_product_pages_are_counted_together()",
    "clock": "",
    "dimensions": """
        from pathhits.testing import counting
        with counting(hits):
            hits.track_hit("home")
            found = week(hits)
            assert [(row.value, row.hits) for row in found["browsers of home"]] == [("(unknown)", 1)]
            assert (found["pages that Firefox saw"], sum(one.value for one in found["hits by phones"])) == ([], 0)
    """,
    "include_name": """
        assert not include_name("path_counters", "table")
        assert not include_name("pathhits_ledger", "table")
        assert include_name("users", "table")
    """,
    "falcon": """
        from types import SimpleNamespace
        exchange = SimpleNamespace(name=None, pattern=None)
        request = SimpleNamespace(env={"pathhits.exchange": exchange}, uri_template="/a/{b}")
        RouteLabels().process_resource(request, None, None, {})
        assert exchange.pattern == "/a/{b}"
        RouteLabels().process_resource(SimpleNamespace(env={}), None, None, {})
    """,
    "by_hand": """
        from werkzeug.test import Client
        from pathhits.testing import counting
        with counting(hits) as counted:
            Client(application).get("/shelf/7", headers={"User-Agent": "Mozilla/5.0"})
            assert counted.labels() == {"/shelf/{number}": 1}
    """,
}
#: Where the "reading" examples, which ask both stores, are answered from memory.
_IN_MEMORY = "from pathhits import PathHits\nfrom pathhits.testing import counting\n"


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The cells of all rows of Markdown tables."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code(cell: str) -> list[str]:
    """What a cell holds in code style."""
    return re.findall(r"`([^`]+)`", cell)


def reference() -> ModuleType:
    """docs/reference.py, which writes the generated parts."""
    spec = importlib.util.spec_from_file_location("docs_reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- generated parts ---


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_the_generated_parts_are_up_to_date(page: Path) -> None:
    assert reference().renewed(read(page)) == read(page), "run 'make docs'"


@pytest.mark.parametrize(
    ("name", "part"),
    [("settings", "settings"), ("commands", "commands"), ("troubleshooting", "drops"), ("items", "refusals")],
)
def test_the_generated_parts_are_where_they_belong(name: str, part: str) -> None:
    text = read(DOCS / f"{name}.md")
    assert text.count(f"<!-- begin {part} -->") == text.count(f"<!-- end {part} -->") == 1


def test_every_setting_is_documented_with_its_variable_and_default() -> None:
    documented = {code(row[0])[0]: row for row in rows(read(DOCS / "settings.md")) if len(row) == 5 and code(row[0])}
    assert list(documented) == list(names())
    for spec in dataclasses.fields(Settings):
        _, variables, default, unit, meaning = documented[spec.name]
        assert f"{ENV_PREFIX}{spec.name.upper()}" in code(variables)
        assert (unit, meaning) == (spec.metadata["unit"], spec.metadata["help"])
        if code(default):
            variable = {f"{ENV_PREFIX}{spec.name.upper()}": code(default)[0]}
            assert getattr(Settings.from_env(variable), spec.name) == spec.default


def test_every_reason_of_a_drop_is_documented() -> None:
    text = read(DOCS / "troubleshooting.md")
    assert {code(row[0])[0]: row[1] for row in rows(text) if len(row) == 2 and code(row[0])} == REASONS


def test_every_reason_of_a_refusal_is_documented() -> None:
    text = read(DOCS / "items.md")
    assert {code(row[0])[0]: row[1] for row in rows(text) if len(row) == 2 and code(row[0])} == REFUSALS


def test_the_presets_of_rules_are_documented_with_their_numbers() -> None:
    documented = {code(row[0])[0]: row[2:] for row in rows(read(DOCS / "items.md")) if len(row) == 5 and code(row[0])}
    presets = [Rules.none(), Rules.antispam(), Rules.strict()]
    written = {str(number): number for number in range(1_000)} | {"86400": 86_400, "no": False, "yes": True}
    assert {name: [written[cell] for cell in cells] for name, cells in documented.items()} == {
        spec.name: [getattr(rules, spec.name) for rules in presets] for spec in dataclasses.fields(Rules)
    }


def every_command(command: click.Command = group, name: str = "pathhits") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from every_command(child, f"{name} {child.name}")
    else:
        yield name, command


def test_every_command_and_option_is_documented() -> None:
    text = read(DOCS / "commands.md")
    commands = dict(every_command())
    sections = dict(re.findall(r"^### `(.+?)`\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    assert set(sections) == {"pathhits", *commands}
    for name, command in commands.items():
        documented = {option for row in rows(sections[name]) for option in re.findall(r"--[a-z-]+", row[0])}
        there = {option for one in command.params for option in one.opts if option.startswith("--")}
        assert documented == there, name


def test_the_json_of_the_commands_is_documented() -> None:
    documented = {code(row[0])[0]: set(code(row[1])) for row in rows(read(DOCS / "commands.md")) if code(row[0])}
    assert documented["sync"] >= set(SyncReport().as_dict())
    assert documented["top"] == set(PathRow.__slots__)
    assert documented["top --items"] == set(ItemRow.__slots__)
    assert documented["top --items --hot"] == set(HotRow.__slots__)
    assert documented["item"] >= {*ItemStats.__slots__, *ItemDay.__slots__, *ItemStats("product", "1").as_dict()}
    assert documented["items"] == set(ItemsReport().as_dict())
    assert documented["recount"] >= set(RecountReport().as_dict())
    nobody: Any = None
    snapshot = Snapshot(datetime.now(UTC), 0.0, dict.fromkeys(parts_of(nobody, nobody, nobody, ())), "live").as_dict()
    assert documented["snapshot"] == {*snapshot, "days", "redis", "sql", "live"}
    assert documented["popularity"] == {*PopularityReport().as_dict(), *SinkReport("").__slots__}
    assert documented["months"] == set(MonthsReport().as_dict())
    assert documented["prune"] == set(PruneReport().as_dict())
    assert documented["clicks"] == set(ClickRate("", "", 0, 0).as_dict())
    assert documented["also-viewed"] == set(Recommended.__slots__)
    assert documented["recommend"] == set(RecommendReport().as_dict())
    assert documented["searches"] == set(SearchRow.__slots__)
    assert documented["stats"] >= {"rules", "limits", "live_keys", "refusals"}
    assert documented["notify"] == {"recipients", "kind", "to", "failed", *Failed.__slots__}
    assert documented["schedule"] >= set(JobState.__slots__)
    assert documented["doctor"] >= set(Finding("", "ok", "").as_dict())
    assert documented["verify"] == {
        *VerifyReport((), 0).as_dict(),
        *(f.name for f in dataclasses.fields(Check)),
        "holds",
    }


# --- jobs ---


def test_every_job_is_documented_with_its_period_and_setting() -> None:
    documented = {code(row[0])[0]: row for row in rows(read(DOCS / "jobs.md")) if len(row) == 3 and code(row[0])}
    assert list(documented) == [job.id for job in SCHEDULE]
    for job in SCHEDULE:
        [variable] = code(documented[job.id][2])
        assert job.period(Settings.from_env({variable: "7200"})) == 7_200, f"{job.id} comes as often as it says"


def test_the_preset_of_the_seeds_parses_and_names_periods_of_jobs() -> None:
    [preset] = re.findall(r"^```sh preset=seeds\n(.*?)^```$", read(DOCS / "jobs.md"), re.DOTALL | re.MULTILINE)
    environment = dict(line.partition("#")[0].strip().split("=") for line in preset.splitlines())
    settings = Settings.from_env(environment)
    assert (settings.sync_every, settings.snapshot_every, settings.prune_every) == (300, 1_800, 86_400)
    periods = {job.period(settings) for job in SCHEDULE}
    assert {float(seconds) for seconds in environment.values()} <= periods
    of_jobs = {code(row[2])[0] for row in rows(read(DOCS / "jobs.md")) if len(row) == 3 and code(row[2])}
    assert set(environment) <= of_jobs


# --- every mention of a setting or a command, anywhere ---


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_variable_that_is_mentioned_exists(page: Path) -> None:
    mentioned = set(re.findall(rf"\b{ENV_PREFIX}([A-Z_]+)\b", read(page)))
    assert mentioned <= {name.upper() for name in names()}


def in_code(page: Path) -> Iterator[str]:
    """The lines of a page that stand in code: inline, or in a block without a language."""
    text = read(page)
    for language, _, block in FENCE.findall(text):
        if not language:
            yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_command_that_is_mentioned_exists(page: Path) -> None:
    groups = {"pathhits db", "pathhits dead", "pathhits key"}
    commands = dict(every_command())
    for line in in_code(page):
        found = re.match(r"(?:\w+: |flask |manage\.py |python -m )?(pathhits [a-z][^#]*)", line)
        if found is None:
            continue
        words = found[1].split()
        name = " ".join(words[:3] if " ".join(words[:2]) in groups else words[:2])
        assert name in commands, line
        options = {option for one in commands[name].params for option in one.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


# --- Redis keys ---

#: Times to live as the page writes them, from the constants that the code uses; methods that are not here have none.
TTLS = {
    "client": f"{keys.CLIENT_TTL // 86_400} days",
    "sketch": f"{keys.SKETCH_TTL // 3_600} hours",
    "salt": "until 48 hours after the period",
    "visit": "`PATHHITS_VISIT_TIMEOUT` + 1 hour",
    "active": f"{keys.ACTIVE // 60} minutes",
    "sync_lock": f"{keys.SYNC_LOCK_TTL} seconds",
    "snapshot": f"{keys.SNAPSHOT_TTL // 3_600} hours",
    "cached": "the `ttl`",
    "cache_lease": f"{keys.CACHE_LEASE} seconds",
    "cache_group": f"{keys.CACHE_GROUP_KEPT + keys.CACHE_LEASE} seconds",
    "dashboard_login": f"{keys.LOGIN_WINDOW} seconds",
    "dashboard_ended": f"{keys.SESSION_TTL // 86_400} days",
    "probe": f"{keys.PROBE_TTL // 1000} second",
    "lock": f"{keys.CLOCK_LOCK_TTL:g} seconds",
    "seen": f"{keys.CLOCK_SEEN_TTL} seconds",
    "run": f"{keys.RUN_TTL // 86_400} days",
    "mails": f"{keys.MAILS_TTL // 3_600} hours",
    "rule:cooldown": "the rule's `cooldown`",
    "rule:session": "the rule's `session`",
    "rule:daily": "48 hours",
    "rule:viewed": "48 hours",
    "rule:granted": "48 hours",
    "rule:once": "24 hours",
}
#: How the page writes the changing part of a key.
PLACES = {
    "identity": {
        "generation": "<id>",
        "generation_hours": "<id>",
        "generation_events": "<id>",
        "generation_traits": "<id>",
        "client": "<process>",
    },
    "period": {"salt": "<period>"},
    "viewer": {"visit": "<visitor>"},
    "who": {"dashboard_login": "<client>"},
    "session": {"dashboard_ended": "<session>"},
    "job": {"run": "<job>"},
    "whose": {"mails": "<day>:<recipient>:<event>"},
    "name": {"cached": "<name>", "cache_lease": "<name>"},
    "group": {"cache_group": "<group>"},
}


def every_rule() -> Iterator[tuple[str, str]]:
    """Name and type of each key that a rule makes, as the head of the script says, which is where they are made."""
    script = (Path(redis_storage.__file__).parent / "lua" / "rules.lua").read_text(encoding="utf-8")
    head = " ".join(line.lstrip("- ") for line in script.splitlines() if line.startswith("--"))
    found = re.findall(r"<prefix>(\S+) (string|hash)", head)
    assert {name.partition(":")[0] for name, _ in found} == set(re.findall(r"'(\w+):(?:%s)?'?", script))
    yield from found


def every_key() -> Iterator[tuple[str, str, str]]:
    """Of each key that the code makes: the method, the key as the page writes it, and the method's docstring."""
    classes: list[Any] = [found for _, found in inspect.getmembers(keys, inspect.isclass)]
    for made in [found("pathhits") for found in classes if found.__module__ == keys.__name__]:
        for name, method in inspect.getmembers(made, inspect.ismethod):
            if name == "rule":
                for rule, kind in every_rule():
                    yield f"rule:{rule.partition(':')[0]}", method(rule), f"{kind}, the rule's own time"
            elif not name.startswith("_"):
                parameters = inspect.signature(method).parameters
                arguments = [
                    Sketch("<day>", "<label>") if place == "sketch" else PLACES[place][name]  # type: ignore[arg-type]
                    for place in parameters
                ]
                yield name, method(*arguments), inspect.getdoc(method) or ""


def test_every_redis_key_is_documented_with_type_and_time_to_live() -> None:
    documented = {code(row[1])[0]: row for row in rows(read(DOCS / "redis-keys.md")) if len(row) == 5 and code(row[1])}
    for name, key, doc in every_key():
        assert key in documented, f"{name}: {key}"
        _, _, kind, ttl, content = documented[key]
        assert doc.lower().startswith(kind.split(",")[0]), f"{key} is: {doc}"
        assert ttl.startswith(TTLS.get(name, "none")), f"{key} lives: {doc}"
        assert content


def test_every_redis_key_of_ours_on_the_page_is_made_by_the_code() -> None:
    made = {key for _, key, _ in every_key()}
    text = read(DOCS / "redis-keys.md")
    for row in rows(text):
        for key in code(row[1]) if len(row) == 5 else ():
            assert key in made or key.startswith("rq:"), key


# --- tables ---


def test_every_table_and_column_is_documented() -> None:
    documented = {
        code(row[0])[0]: code(row[1]) for row in rows(read(DOCS / "sql.md")) if len(row) == 3 and code(row[0])
    }
    there = {table.name: [column.name for column in table.columns] for table in metadata.sorted_tables}
    assert documented == there | {VERSION_TABLE: ["version_num"]}


# --- links ---


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", read(page))):
        path, _, anchor = target.partition("#")
        assert "://" not in target, "pages link to each other; the outside world moves"
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md|CHANGELOG\.md)", read(ROOT / "README.md")))
    assert linked == {str(page.relative_to(ROOT)) for page in PAGES if page.name != "README.md"}


# --- examples ---

BLOCKS = [(page, *found) for page in PAGES for found in FENCE.findall(read(page))]
PYTHON = [(page, run, text) for page, language, run, text in BLOCKS if language == "python"]
RUN = [(page, run, text) for page, run, text in PYTHON if run]


@pytest.mark.parametrize(("page", "run", "text"), PYTHON, ids=[f"{page.stem}-{run}" for page, run, _ in PYTHON])
def test_python_examples_compile(page: Path, run: str, text: str) -> None:
    compile(text, str(page), "exec")


def test_every_check_belongs_to_an_example() -> None:
    assert {run for _, run, _ in RUN} == set(CHECKS)


@pytest.mark.parametrize(("page", "run", "text"), RUN, ids=[f"{page.stem}-{run}" for page, run, _ in RUN])
def test_examples_do_what_their_page_says(page: Path, run: str, text: str, tmp_path: Path) -> None:
    if run.startswith("reading"):
        body = text.replace("hits = PathHits()\n", "hits = PathHits()\nmemory = counting(hits)\nmemory.__enter__()\n")
        text = _IN_MEMORY + body + "memory.__exit__(None, None, None)\n"
    script = tmp_path / "example.py"
    script.write_text(text + inspect.cleandoc("\n" + CHECKS[run]) + "\n", encoding="utf-8")
    command = [sys.executable, "-W", "error", "-P", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["example.py"], "an example leaves nothing behind"


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_a_page_is_plain(page: Path) -> None:
    text = read(page)
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert not re.search("[\U0001f300-\U0001faff\u2600-\u27bf]", text), "no emoji"
    assert not re.search(r"/root|/work|/home/", text), "no path of somebody's machine"
