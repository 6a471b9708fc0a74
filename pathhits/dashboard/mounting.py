"""Where the dashboard is mounted: in a Flask app, or as an app of its own for any other host."""

from __future__ import annotations

from flask import Flask

from pathhits.app import PathHits
from pathhits.dashboard.access import Authorize
from pathhits.dashboard.blueprint import make_blueprint
from pathhits.errors import SettingsError


def make_app(hits: PathHits, authorize: Authorize | None = None) -> Flask:
    """A WSGI app that shows what ``hits`` counts, wherever it is mounted."""
    app = Flask("pathhits.dashboard", static_folder=None, template_folder=None)
    app.register_blueprint(make_blueprint(hits, authorize))
    return app


def mount(hits: PathHits, app: Flask, path: str, authorize: Authorize | None = None) -> None:
    """Give a Flask app the dashboard at ``path``; raises `SettingsError` for what is no path."""
    if not path.startswith("/") or path.rstrip("/") == "":
        raise SettingsError(f"dashboard={path!r}: give a path such as /_pathhits")
    app.register_blueprint(make_blueprint(hits, authorize), url_prefix=path.rstrip("/"))
