"""Flask: wraps ``app.wsgi_app`` and notes the route that each request was matched to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flask import Flask, request

from pathhits.capture.exchange import Exchange, in_progress
from pathhits.errors import SettingsError
from pathhits.middleware.routes import name_rule, note_wsgi_route
from pathhits.middleware.wsgi import ENVIRON_KEY, count_wsgi

if TYPE_CHECKING:
    from pathhits.app import PathHits

#: The import names of the apps that each PathHits counts; a factory that is called again gives the same name.
_apps: WeakKeyDictionary[PathHits, set[str]] = WeakKeyDictionary()


def init_app(hits: PathHits, app: Flask) -> None:
    """Count the requests of ``app``; raises `SettingsError` when that is done already."""
    if "pathhits" in app.extensions:
        raise SettingsError("this Flask app is counted already: call init_app once")
    app.extensions["pathhits"] = hits
    apps = _apps.setdefault(hits, set())
    apps.add(app.import_name)
    if getattr(app.wsgi_app, "__func__", None) is not Flask.wsgi_app:
        # A middleware stands between, and may hide its environ from us. The hook costs more than all the rest.
        app.before_request_funcs.setdefault(None, []).insert(0, partial(_note_from_inside, hits, apps))
    if hits.settings.enabled:
        counted = count_wsgi(app.wsgi_app, hits.recorder, hits.settings.believed_header, partial(_name_rule, apps))
        app.wsgi_app = counted  # type: ignore[assignment, method-assign]  # how Flask is wrapped


def _name_rule(apps: set[str], exchange: Exchange) -> None:
    # Two apps with one PathHits may both have an "index".
    name_rule(exchange, alone=len(apps) == 1)


def _note_from_inside(hits: PathHits, apps: set[str]) -> None:
    """Tell the exchange its route while Flask still knows it."""
    exchange = request.environ.get(ENVIRON_KEY) or in_progress()
    try:
        if exchange is not None:
            note_wsgi_route(exchange, request.environ, partial(_name_rule, apps))
    except Exception as error:
        hits.recorder.unlabelled(exchange, error)
