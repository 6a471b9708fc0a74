"""The shop as the tests see it: its own Redis database and SQLite file, migrated and filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from demo_app import create_app
from demo_app.models import db
from demo_app.release import release
from pathhits import PathHits

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@pytest.fixture
def make_shop() -> Iterator[Callable[..., Flask]]:
    """Makes a shop on a Redis and a database, given by URL, with empty tables; ended after the test."""
    with ExitStack() as stack:

        def make(redis_url: str, database_url: str, **settings: Any) -> Flask:
            # Reads get plenty of time: the deadline has tests of its own, and this machine may be busy.
            hits = stack.enter_context(
                closing(PathHits(redis_url=redis_url, database_url=database_url, request_deadline=10.0, **settings))
            )
            app = create_app(hits)
            stack.callback(_dispose, app)
            return app

        yield make


def _dispose(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def shop(make_shop: Callable[[str, str], Flask], redis_url: str, sqlite_url: str) -> Flask:
    """A shop that is ready for visitors."""
    app = make_shop(redis_url, sqlite_url)
    release(app)
    return app


@pytest.fixture
def hits(shop: Flask) -> PathHits:
    """What counts the shop."""
    found: PathHits = shop.extensions["pathhits"]
    return found


@pytest.fixture
def visitor(shop: Flask) -> FlaskClient:
    """Someone with a browser."""
    client = shop.test_client()
    client.environ_base["HTTP_USER_AGENT"] = BROWSER
    return client
