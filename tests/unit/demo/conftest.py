"""The shop as the tests see it: its own Redis database and SQLite file, migrated and filled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from demo_app import SETTINGS, accounts, create_app
from demo_app.models import db
from demo_app.release import release
from pathhits import PathHits

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


#: What a form of the shop itself is sent with.
OWN = {"Origin": "http://localhost"}


def words(response: TestResponse) -> str:
    """A page as words, without tags and with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.text)).split())


def text(client: FlaskClient, path: str, status: int = 200) -> str:
    """The page at a path, as words."""
    response = client.get(path)
    assert response.status_code == status
    return words(response)


def token(client: FlaskClient) -> str:
    """What the forms of someone who is signed in carry."""
    with client.session_transaction() as session:
        return str(session.get("token", ""))


@pytest.fixture(autouse=True)
def _demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel is shown as in `make demo`; hashing the passwords of users is made cheap."""
    monkeypatch.setenv("DEMO_DEBUG", "1")
    monkeypatch.setattr(accounts, "METHOD", "pbkdf2:sha256:1")


@pytest.fixture
def make_shop() -> Iterator[Callable[..., Flask]]:
    """Makes a shop on a Redis and a database, given by URL, with empty tables; ended after the test."""
    with ExitStack() as stack:

        def make(redis_url: str, database_url: str, **settings: Any) -> Flask:
            # Reads get plenty of time: the deadline has tests of its own, and this machine may be busy.
            given: dict[str, Any] = {
                "redis_url": redis_url,
                "database_url": database_url,
                "request_deadline": 10.0,
                **SETTINGS,
            }
            hits = stack.enter_context(closing(PathHits(**SETTINGS | given | settings)))
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
    app.config["PASSWORDS"] = release(app).passwords
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


@pytest.fixture
def signed_in(shop: Flask) -> Callable[[str], FlaskClient]:
    """Makes someone with a browser who is signed in."""

    def sign_in(name: str) -> FlaskClient:
        client = shop.test_client()
        client.environ_base["HTTP_USER_AGENT"] = f"{BROWSER} {name}"
        form = {"name": name, "password": shop.config["PASSWORDS"][name]}
        assert client.post("/sign-in", data=form, headers=OWN).status_code == 303
        return client

    return sign_in
