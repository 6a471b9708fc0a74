"""Flask: wraps ``app.wsgi_app`` and notes the route that each request was matched to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, request

from pathhits.capture.exchange import UNMATCHED, current
from pathhits.errors import SettingsError

if TYPE_CHECKING:
    from pathhits.app import PathHits


def init_app(hits: PathHits, app: Flask) -> None:
    """Count the requests of ``app``; raises `SettingsError` when that is done already."""
    if "pathhits" in app.extensions:
        raise SettingsError("this Flask app is counted already: call init_app once")
    app.extensions["pathhits"] = hits
    app.before_request_funcs.setdefault(None, []).insert(0, _note_route)
    app.wsgi_app = hits.wsgi(app.wsgi_app)  # type: ignore[assignment, method-assign]  # how Flask is wrapped


def _note_route() -> None:
    """Tell the exchange its route, also where a middleware in between hides our environ from Flask."""
    exchange = current.get()
    if exchange is not None:
        rule = request.url_rule
        exchange.name = request.endpoint if rule is not None else None
        exchange.pattern = request.root_path.rstrip("/") + rule.rule if rule is not None else UNMATCHED
