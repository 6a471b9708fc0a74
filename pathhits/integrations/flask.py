"""Flask: wraps ``app.wsgi_app`` and notes the route that each request was matched to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flask import Flask, request

from pathhits.capture.exchange import Exchange, current
from pathhits.errors import SettingsError
from pathhits.middleware.routes import note_rule
from pathhits.middleware.wsgi import ENVIRON_KEY, WsgiMiddleware

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
    wrapped = hits.wsgi(app.wsgi_app)
    if isinstance(wrapped, WsgiMiddleware):
        wrapped.note_route = partial(_note_route, apps)
    app.wsgi_app = wrapped  # type: ignore[assignment, method-assign]  # how Flask is wrapped


def _note_route(apps: set[str], exchange: Exchange, environ: Mapping[str, Any]) -> None:
    """Tell the exchange its route, as Flask left it in our environ."""
    matched = environ.get("werkzeug.request")
    if matched is None:
        return
    rule = matched.url_rule
    exchange.params = matched.view_args
    # Two apps with one PathHits may both have an "index".
    alone = len(apps) == 1
    if rule and alone and environ["SCRIPT_NAME"] == exchange.root and not rule.subdomain and not rule.host:
        exchange.name, exchange.pattern = rule.endpoint, rule.rule
    else:
        note_rule(exchange, rule, environ, alone=alone)


def _note_from_inside(hits: PathHits, apps: set[str]) -> None:
    """Tell the exchange its route while Flask still knows it."""
    try:
        exchange = request.environ.get(ENVIRON_KEY) or current.get()
        if exchange is not None:
            note_rule(exchange, request.url_rule, request.environ, alone=len(apps) == 1)
            exchange.params = request.view_args
    except Exception as error:
        hits.recorder.unlabelled(error)
