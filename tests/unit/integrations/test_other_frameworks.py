"""Labels of frameworks that leave their route in environ, and of apps that tell it by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pathhits import PathHits
from pathhits.testing import counting
from tests.unit.integrations import asking
from tests.unit.integrations.tables import Row
from tests.unit.integrations.test_flask_labels import check


def bottle(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Leaves in environ what Bottle 0.13 leaves there."""
    rules = {
        "/p/1": ("/p/<id:int>", None),
        "/named/x": ("/named/<x>", "named"),
        "/other/a/1": ("/other/<:re:.*>", None),  # an app of another framework that Bottle mounts
    }
    environ["bottle.app"] = bottle
    found = rules.get(environ["PATH_INFO"])
    if found is not None:
        environ["bottle.route"] = SimpleNamespace(rule=found[0], name=found[1])
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"page"]


def test_bottle_leaves_its_route_in_environ() -> None:
    hits = PathHits()
    app = hits.wsgi(DispatcherMiddleware(bottle, {"/below": bottle}))
    with counting(hits) as counted:
        check(
            counted,
            app,
            [
                Row("/p/1", "/p/<id:int>"),
                Row("/named/x", "named"),
                Row("/other/a/1", "/other/a/{int}"),
                Row("/nowhere", "!unmatched"),
                Row("/below/p/1", "/below/p/<id:int>"),
                Row("/below/named/x", "/below/named/<x>"),
            ],
        )


@pytest.mark.parametrize(
    ("name", "pattern", "label"),
    [
        ("shelf", "/shelf/{number}", "shelf"),
        (None, "/shelf/{number}", "/shelf/{number}"),
        (None, "", "!unmatched"),
        (None, None, "/shelf/{int}"),
    ],
)
def test_an_app_tells_its_route_by_hand(name: str | None, pattern: str | None, label: str) -> None:
    def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        exchange = environ["pathhits.exchange"]
        exchange.name, exchange.pattern = name, pattern
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"page"]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        exchange = scope["pathhits.exchange"]
        exchange.name, exchange.pattern = name, pattern
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"page"})

    hits = PathHits()
    with counting(hits) as counted:
        check(counted, hits.wsgi(wsgi), [Row("/shelf/1", label)])
        asking.check(counted, hits.asgi(asgi), [Row("/shelf/1", label)])


@pytest.mark.parametrize("mounted_at", ["", "/root"])
def test_what_is_excluded_by_prefix_is_so_wherever_the_server_mounts_the_app(mounted_at: str) -> None:
    def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"page"]

    hits = PathHits()
    with counting(hits) as counted:
        rows = [
            Row("/static/x.html", "!excluded"),
            Row("/robots.txt", "!excluded"),
            Row("/a/1", "/a/{int}"),
            Row("/", "/"),
        ]
        check(counted, hits.wsgi(wsgi), rows, SCRIPT_NAME=mounted_at)


def test_a_root_path_that_the_server_takes_off_the_path_takes_nothing_more_off() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"page"})

    hits = PathHits()
    with counting(hits) as counted:
        scope_root = {"root_path": "/ab"}

        async def under(scope: Any, receive: Any, send: Any) -> None:
            await hits.asgi(asgi)(dict(scope) | scope_root, receive, send)

        asking.check(counted, under, [Row("/about", "/about"), Row("/ab/out", "/out"), Row("/ab", "/")])
