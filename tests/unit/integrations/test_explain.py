"""`pathhits explain` says of a request what the middleware then makes of it; neither calls the app nor counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from werkzeug.test import Client

from pathhits import PathHits, Rules, Settings
from pathhits.cli import group
from pathhits.testing import counting


@pytest.fixture
def hits() -> PathHits:
    hits = PathHits(Settings(exclude_prefixes=("/private",), trusted_proxies=1))
    hits.register_item("product", route="product_detail", id="slug", rules=Rules.antispam())
    return hits


@pytest.fixture
def app(hits: PathHits) -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/products/<slug>", "product_detail", lambda slug: slug)
    app.add_url_rule("/folder/", "folder", lambda: "a folder")
    app.add_url_rule("/private/page", "private", lambda: "nothing")
    hits.init_app(app)
    return app


#: Method, path, headers, and the label or the reason.
REQUESTS: list[tuple[str, str, dict[str, str], str]] = [
    ("GET", "/products/jug?size=2", {}, "product_detail"),
    ("GET", "/products/j%C3%BCg", {}, "product_detail"),
    ("POST", "/products/jug", {}, "method"),
    ("HEAD", "/products/jug", {}, "method"),
    ("GET", "/folder/", {}, "folder"),
    ("GET", "/folder", {}, "status"),
    ("GET", "/nowhere", {}, "status"),
    ("GET", "/private/page", {}, "excluded"),
    ("GET", "/products/jug", {"User-Agent": "curl/8.0"}, "bot"),
    ("GET", "/products/jug", {"Sec-Purpose": "prefetch"}, "prefetch"),
    ("GET", "/products/jug", {"Sec-GPC": "1"}, "product_detail"),
]


@pytest.mark.parametrize(("method", "path", "headers", "expected"), REQUESTS)
def test_it_says_what_the_middleware_does(
    hits: PathHits, app: Flask, method: str, path: str, headers: dict[str, str], expected: str
) -> None:
    browser = {"User-Agent": "Mozilla/5.0 Firefox/143.0"}
    with counting(hits) as counted:
        answer = Client(app).open(path, method=method, headers=browser | headers)
        found = hits.explain(path, method=method, status=answer.status_code, headers=headers)
        hit, drop = int(counted.hits("product_detail") + counted.hits("folder")), counted.drops()
    assert (found.label or found.reason) == expected
    assert (found.counted, found.reason) == ((True, "") if hit else (False, next(iter(drop))))
    assert found.visitor is (found.counted and "Sec-GPC" not in headers)
    assert found.item == (f"product:{'jüg' if 'C3' in path else 'jug'}" if expected == "product_detail" else "")


def test_a_redirect_and_a_page_that_is_not_there_need_no_status(hits: PathHits, app: Flask) -> None:
    assert hits.explain("/folder").reason == "status"
    assert hits.explain("/nowhere").reason == "unmatched"


def test_the_address_is_found_as_for_a_request(hits: PathHits) -> None:
    found = hits.explain("/a", ip="10.0.0.1", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.7"})
    assert found.address == "198.51.100.7"


def test_without_routes_the_path_decides_and_that_is_said(hits: PathHits) -> None:
    found = hits.explain("https://shop.example/orders/17/")
    assert (found.routes_known, found.label) == (False, "/orders/{int}")
    shown = CliRunner().invoke(group, ["explain", "/orders/17/"], obj=hits)
    assert "not known to this command" in shown.output


def test_the_command_prints_it(hits: PathHits, app: Flask) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(group, ["explain", *arguments], obj=hits)

    shown = run("/products/jug")
    assert shown.exit_code == 0
    assert "product:jug, where its rules allow it (cooldown 120" in shown.output
    assert json.loads(run("/private/page", "--json").output) | {"says": ""} == {
        "counted": False,
        "label": "",
        "reason": "excluded",
        "says": "",
        "route": "private",
        "pattern": "/private/page",
        "routes_known": True,
        "address": "192.0.2.1",
        "visitor": False,
        "item": "",
    }
    assert "it is dropped as 'bot'" in run("/products/jug", "--user-agent", "curl/8.0").output
    assert "not counted: who asks" in run("/products/jug", "--header", "Sec-GPC: 1").output
    assert run("/products/jug", "--header", "nonsense").exit_code == 2
