"""A scripted day of a shop: what visitors, users and an admin did is what searches, rates, snapshot and mails say.

The shop is a Flask app on a Redis, a database and a worker of its own; a plain model notes what was done. The same
with Redis restarted in the middle of the day from what it had persisted.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask, request
from werkzeug.test import Client

from pathhits import PathHits, Rules
from tests.servers.redis import RedisServer

ROOT = Path(__file__).resolve().parents[2]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PRODUCTS = ("jug", "bowl", "lamp", "chair", "rug")
#: What is searched for, in several spellings, and how much is found.
QUERIES = {"Blue Jug": 1, "blue  jug": 1, "bowl": 1, "unicorn": 0, "UNICORN": 0, "lamp": 1}
TO = "anna@example.org"


@dataclass
class Model:
    """What was done."""

    views: Counter[str] = field(default_factory=Counter)
    likes: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    clicks: Counter[str] = field(default_factory=Counter)
    edits: list[str] = field(default_factory=list)


def shop(hits: PathHits) -> Flask:
    """Pages of products and searches, and what visitors and an admin can do there."""
    app = Flask(__name__)

    def product(slug: str) -> str:
        hits.track_recommendations_shown("product", "also_viewed", 3)
        return slug

    def search() -> str:
        query = request.args["q"]
        hits.track_search(query, {"colour": "any"}, QUERIES[query], "product")
        return query

    def do(what: str, slug: str) -> str:
        if what == "recommendation_clicked":
            hits.track_recommendation_clicked("product", slug, request.args["because"], 1)
        elif what == "updated":
            hits.track_change("product.updated", slug, properties={"price": 12}, user_id="the admin")
        else:
            hits.track(f"product.{what}", slug)
        return "done"

    app.add_url_rule("/products/<slug>", "product", product)
    app.add_url_rule("/search", "search", search)
    app.add_url_rule("/do/<what>/<slug>", "do", do, methods=["POST"])
    hits.init_app(app)
    hits.register_item("product", route="product", id="slug", rules=Rules.antispam())
    return app


def visit(app: Flask, model: Model, number: int, chance: random.Random) -> None:
    """What one visitor does; each looks at a product twice, of which the rules count one view."""
    client = Client(app)
    who = {"User-Agent": AGENT, "X-Forwarded-For": f"198.51.100.{number}"}

    def do(what: str, slug: str, **query: str) -> None:
        assert client.post(f"/do/{what}/{slug}", headers=who, query_string=query).status_code == 200

    for slug in chance.sample(PRODUCTS, chance.randint(1, 4)):
        for _ in range(2):
            assert client.get(f"/products/{slug}", headers=who).status_code == 200
            model.shown["also_viewed"] += 3
        model.views[slug] += 1
        if chance.random() < 0.5:
            do("liked", slug)
            model.likes[slug] += 1
            if chance.random() < 0.3:
                do("unliked", slug)
                model.likes[slug] -= 1
        if chance.random() < 0.4:
            do("downloaded", slug)
            model.downloads[slug] += 1
        if chance.random() < 0.3:
            do("recommendation_clicked", slug, because="also_viewed")
            model.clicks["also_viewed"] += 1
    for query in chance.choices(list(QUERIES), k=2):
        assert client.get("/search", headers=who, query_string={"q": query}).status_code == 200
        (model.found if QUERIES[query] else model.failed)[" ".join(query.lower().split())] += 1


def crawl(app: Flask) -> None:
    """A crawler follows every link, and changes nothing."""
    for slug in PRODUCTS:
        Client(app).get(f"/products/{slug}", headers={"User-Agent": CRAWLER})
    Client(app).get("/search", headers={"User-Agent": CRAWLER}, query_string={"q": "unicorn"})


def work(hits: PathHits, mails: Path) -> None:
    """A worker does what waits in the queue."""
    env = {
        "REDIS_URL": hits.settings.redis_url,
        "DATABASE_URL": hits.settings.database_url,
        "PATHHITS_NOTIFY_TO": TO,
        "PATHHITS_NOTIFY_FILE": str(mails),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "worker.py"), "--burst", "--no-clock"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("restarted", [False, True], ids=["a quiet day", "Redis restarted at noon"])
def test_a_day_of_the_shop_is_told_right(
    own_server: Callable[[Callable[[], RedisServer]], RedisServer], database_url: str, tmp_path: Path, restarted: bool
) -> None:
    server, mails = own_server(RedisServer), tmp_path / "mails"
    hits = PathHits(
        redis_url=server.url,
        database_url=database_url,
        trusted_proxies=1,
        hot_at=12,
        cold_below=6,
        notify_to=TO,
        notify_file=str(mails),
        request_deadline=60.0,
        redis_timeout=5.0,
    )
    hits.migrate()
    app, model, chance = shop(hits), Model(), random.Random(7)
    hits.prepare_worker()

    for number in range(1, 16):
        visit(app, model, number, chance)
    crawl(app)
    assert hits.flush(30.0)
    if restarted:
        server.restart_from(server.copy_rdb())
    for number in range(16, 31):
        visit(app, model, number, chance)
    assert Client(app).post("/do/updated/lamp", headers={"User-Agent": AGENT}).status_code == 200
    assert hits.flush(30.0)
    pending = hits.counters("product", PRODUCTS, ["likes", "downloads"])
    assert {slug: int(counts["likes"]) for slug, counts in pending.items()} == dict.fromkeys(PRODUCTS, 0) | model.likes
    assert hits.sync().errors == 0
    assert hits.refresh_items().became_hot == sum(views >= 12 for views in model.views.values())
    assert hits.deliver().failed == 0
    work(hits, mails)
    hits.refresh_snapshot()

    counts = hits.view_counts("product", PRODUCTS)
    assert {slug: int(count) for slug, count in counts.items()} == model.views
    assert {slug: hits.counter("product", slug, "likes").stored for slug in PRODUCTS} == dict(model.likes)
    assert {slug: hits.counter("product", slug, "downloads").stored for slug in PRODUCTS} == dict(model.downloads)
    assert {row.query.lower(): row.searches for row in hits.popular_searches()} == model.found
    assert {row.query.lower(): row.searches for row in hits.failed_searches()} == model.failed
    [rate] = hits.click_rates()
    assert (rate.reason, rate.shown, rate.clicks) == (
        "also_viewed",
        model.shown["also_viewed"],
        model.clicks["also_viewed"],
    )
    _check_snapshot(hits, model)
    _check_mails(mails.read_text(), model)
    assert hits.drops()["bot"] == len(PRODUCTS) + 1
    assert hits.verify().ok
    hits.close(0.1)


def _check_snapshot(hits: PathHits, model: Model) -> None:
    snapshot = hits.snapshot()
    assert snapshot.source == "redis"
    parts = snapshot.parts
    assert {row["query"].lower(): row["searches"] for row in parts["searches"]["popular"]} == model.found
    assert {row["query"].lower(): row["searches"] for row in parts["searches"]["failed"]} == model.failed
    products = parts["items"]["product"]
    assert {row["item_id"]: row["views"] for row in products["top"]} == model.views
    assert {row["item_id"] for row in products["hot"]} == {slug for slug, n in model.views.items() if n >= 12}


def _check_mails(text: str, model: Model) -> None:
    """One about the edit, and one about each product that became hot."""
    hot = [slug for slug, views in model.views.items() if views >= 12]
    assert hot, "no product became hot: nothing was proven"
    assert text.count("Subject: ") == 1 + len(hot)
    assert text.count(f"To: {TO}") == 1 + len(hot)
    for slug in ("lamp", *hot):
        assert slug in text
