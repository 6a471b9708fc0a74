"""Visitors behind a proxy, from the request through Redis into SQL: each client is one, whatever it claims to be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from werkzeug.test import Client

from pathhits import PathHits
from tests.unit.integrations import asking, django_site
from tests.unit.integrations.tables import AGENT, Row

CLIENTS = 50
PROXY = "10.0.0.7"
#: Sends one request: the address that connects, and the lines of the header that proxies and clients write.
Ask = Callable[[str, list[str]], None]
Make = Callable[..., PathHits]


def flask(hits: PathHits) -> Ask:
    app = Flask("behind")
    app.add_url_rule("/", "index", lambda: "a page")
    hits.init_app(app)
    return wsgi(app)


def wsgi(app: Any) -> Ask:
    def ask(peer: str, forwarded: list[str]) -> None:
        headers = [("User-Agent", AGENT), *(("X-Forwarded-For", line) for line in forwarded)]
        Client(app).get("/", headers=headers, environ_overrides={"REMOTE_ADDR": peer}, buffered=True).close()

    return ask


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse("a page")


def starlette(hits: PathHits) -> Ask:
    return asgi(hits.asgi(Starlette(routes=[Route("/", page)])))


def asgi(app: Any) -> Ask:
    def ask(peer: str, forwarded: list[str]) -> None:
        scope = asking.scope_of(Row("/", ""))
        scope["client"] = (peer, 50_000)
        scope["headers"] += [(b"x-forwarded-for", line.encode()) for line in forwarded]
        asyncio.run(asking.exchange(app, scope))

    return ask


def django(hits: PathHits) -> Ask:
    from django.core.handlers.wsgi import WSGIHandler

    return wsgi(WSGIHandler())


def django_async(hits: PathHits) -> Ask:
    from django.core.handlers.asgi import ASGIHandler

    return asgi(ASGIHandler())


FRAMEWORKS = [flask, starlette, django, django_async]


@pytest.fixture
def make(redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the PathHits of a test, Django's as well, with a Redis and a database of its own."""
    django_site.configure()
    from django.test import override_settings

    from pathhits.integrations.django import hits as configured

    with ExitStack() as stack:

        def made(**options: Any) -> PathHits:
            fresh = type(configured)()
            given = {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url} | options
            with override_settings(PATHHITS=given):
                fresh.migrate()
            monkeypatch.setattr("pathhits.integrations.django.middleware.hits", fresh)
            stack.callback(fresh.close)
            return fresh

        yield made


def visitors(hits: PathHits) -> tuple[int, int | None]:
    """Hits and visitors of the only page, the same before and after the sync."""
    assert hits.flush()
    before = [(row.hits, row.visitors) for row in hits.top_paths()]
    hits.sync()
    after = [(row.hits, row.visitors) for row in hits.top_paths()]
    assert before == after
    assert len(after) == 1
    return after[0]


def forged(dice: random.Random) -> list[str]:
    """What clients write into the header themselves: addresses, other clients' too, and rubbish."""
    return dice.choices(
        [f"198.51.100.{dice.randrange(CLIENTS)}", f"2001:db8:{dice.randrange(9):x}::1", "unknown", '"', "", "evil, x"],
        k=dice.randrange(4),
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("trusted", [1, "10.0.0.0/8"])
@pytest.mark.parametrize("lines", ["in one line", "in a line of its own"])
def test_fifty_clients_behind_a_proxy_are_fifty_visitors_and_forged_entries_add_none(
    framework: Callable[[PathHits], Ask], trusted: int | str, lines: str, make: Make
) -> None:
    hits = make(TRUSTED_PROXIES=trusted)
    ask = framework(hits)
    dice = random.Random(7)
    for round_ in range(3):
        for number in range(CLIENTS):
            client, claims = f"198.51.100.{number}", forged(dice) if round_ else []
            if lines == "in one line":
                ask(PROXY, [", ".join([*claims, client])])
            else:
                ask(PROXY, [*claims, client])
    assert visitors(hits) == (3 * CLIENTS, CLIENTS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_two_proxies_are_counted_from_the_right(framework: Callable[[PathHits], Ask], make: Make) -> None:
    hits = make(TRUSTED_PROXIES=2)
    ask = framework(hits)
    for number in range(CLIENTS):
        ask(PROXY, [f"203.0.113.{number % 7}, 198.51.100.{number}, 10.0.0.8"])
    assert visitors(hits) == (CLIENTS, CLIENTS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_by_default_nobody_is_believed_and_all_look_like_the_proxy(
    framework: Callable[[PathHits], Ask], make: Make
) -> None:
    hits = make()
    ask = framework(hits)
    for number in range(CLIENTS):
        ask(PROXY, [f"198.51.100.{number}"])
    assert visitors(hits) == (CLIENTS, 1)


def test_without_a_proxy_a_client_cannot_be_more_than_one_visitor(make: Make) -> None:
    hits = make(TRUSTED_PROXIES="10.0.0.0/8")
    ask = flask(hits)
    for number in range(CLIENTS):
        ask("198.51.100.1", [f"203.0.113.{number}"])
    assert visitors(hits) == (CLIENTS, 1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_ipv6_network_of_64_bits_is_one_visitor(framework: Callable[[PathHits], Ask], make: Make) -> None:
    hits = make(TRUSTED_PROXIES=1)
    ask = framework(hits)
    for number in range(CLIENTS):
        ask(PROXY, [f"2001:db8:0:1::{number:x}"])
        ask(PROXY, [f"2001:db8:0:{number + 0x100:x}::1"])
    assert visitors(hits) == (2 * CLIENTS, 1 + CLIENTS)
