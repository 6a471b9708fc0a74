"""The demo shop: how an existing Flask application takes pathhits in; `create_app` is where that happens.

To read it in half an hour, in this order:

- the shop, which would be there without pathhits: `models`, `pages`, `choosing`, `accounts`, `forms`, `catalogue`;
- reading counts: `counts`, `happened`; counting what visitors do: `deeds`, `searching`, `recommending`, `brands`;
- what the worker does for it: `mine` (a listener), `kept` and `shelves` (a cache that events empty), `admin` (mails).

`launch`, `processes`, `guard`, `running` and `release` start it, `traffic` and `history` fill it: no part of a shop.
"""

from __future__ import annotations

import os
import secrets
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response
from flask_migrate import Migrate
from sqlalchemy.engine import make_url

from demo_app import (
    accounts,
    admin,
    brands,
    counts,
    deeds,
    formats,
    forms,
    happened,
    kept,
    mine,
    models,
    pages,
    recommending,
    searching,
    shelves,
)
from pathhits import PathHits, Rules

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
#: No page of the shop asks another host for anything, or runs a script but the beacon, where that is on.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: The event log says whose view it was as the shop knows them, so that the history can be written from it.
SETTINGS: dict[str, Any] = {"user_ids": "plain"}
BEACON_POLICY = f"{CONTENT_SECURITY_POLICY}; script-src 'self'; connect-src 'self'"


def create_app(hits: PathHits | None = None) -> Flask:
    """The shop as a WSGI application, counted by ``hits`` (None: one made from the environment).

    Raises `pathhits.errors.SettingsError` when the environment holds a setting that cannot be.
    """
    hits = hits or PathHits(**SETTINGS)
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("DEMO_SECRET_KEY") or secrets.token_hex(32)
    app.config["SQLALCHEMY_DATABASE_URI"] = shop_database(hits.settings.database_url)
    models.register(app)
    Migrate(app, models.db, directory=str(MIGRATIONS))
    for part in (forms, accounts, formats, pages, admin, happened):
        part.register(app)
    for counted in (counts, brands, deeds, kept, mine, recommending, searching, shelves):
        counted.register(app, hits)
    app.jinja_env.globals["beacon"] = hits.settings.beacon
    app.jinja_env.globals["dashboard"] = bool(hits.settings.dashboard_password or hits.settings.dashboard_public)
    app.after_request(partial(_seal, BEACON_POLICY if hits.settings.beacon else CONTENT_SECURITY_POLICY))
    hits.register_item("product", route="product_detail", id="slug", rules=Rules.antispam())
    product = models.Product
    hits.mirror("product", product, id=product.slug, views=product.view_count, hot=product.is_hot)
    hits.mirror_popularity("product", product, id=product.slug, popularity=product.popularity)
    app.jinja_env.globals["popularity_every"] = hits.settings.popularity_every
    hits.init_app(app, identify=accounts.identify, dashboard="/_pathhits", authorize=accounts.is_admin)
    return app


def shop_database(url: str) -> str:
    """The URL of the shop's own tables: the database pathhits writes to, with a SQLite file named in full.

    Flask-SQLAlchemy would look for a relative file in its instance folder, pathhits in the working directory.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        parsed = parsed.set(database=str(Path(parsed.database).resolve()))
    return parsed.render_as_string(hide_password=False)


def _seal(policy: str, response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response
