"""Flask: wraps ``app.wsgi_app`` and notes the route that each request was matched to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from flask import Flask, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from pathhits.capture.exchange import Exchange, current
from pathhits.errors import SettingsError
from pathhits.middleware.flask import count_flask
from pathhits.middleware.routes import name_rule, note_wsgi_route
from pathhits.middleware.wsgi import ENVIRON_KEY, count_wsgi

if TYPE_CHECKING:
    from pathhits.app import PathHits
    from pathhits.core.counts import Count
    from pathhits.core.itemstats import ItemStats

#: The import names of the apps that each PathHits counts; a factory that is called again gives the same name.
_apps: WeakKeyDictionary[PathHits, set[str]] = WeakKeyDictionary()


def init_app(hits: PathHits, app: Flask) -> None:
    """Count the requests of ``app``; raises `SettingsError` when that is done already."""
    if "pathhits" in app.extensions:
        raise SettingsError("this Flask app is counted already: call init_app once")
    app.extensions["pathhits"] = hits
    _add_filters(hits, app)
    apps = _apps.setdefault(hits, set())
    apps.add(app.import_name)
    is_flask = getattr(app.wsgi_app, "__func__", None) is Flask.wsgi_app
    if is_flask:
        current.find(_current)
    else:
        # A middleware stands between, and may hide its environ from us. The hook costs more than all the rest.
        app.before_request_funcs.setdefault(None, []).insert(0, partial(_note_from_inside, hits, apps))
    hits.find_route = partial(_find_route, ref(app), apps)
    if hits.settings.enabled:
        count, header = count_flask if is_flask else count_wsgi, hits.settings.believed_header
        counted = count(app.wsgi_app, hits.recorder, header, partial(_name_rule, apps), _request)
        app.wsgi_app = hits.with_beacon(counted)  # type: ignore[assignment, method-assign]  # how Flask is wrapped


def _add_filters(hits: PathHits, app: Flask) -> None:
    """``{{ slug|view_count("product") }}`` and ``{{ slug|item_stats("product") }}``; the app's own of that name win."""

    def view_count(item_id: object, item_type: str) -> Count:
        return hits.view_count(item_type, item_id)

    def item_stats(item_id: object, item_type: str) -> ItemStats:
        return hits.item_stats(item_type, item_id)

    def added(environment: Any) -> Any:
        for one in (view_count, item_stats):
            environment.filters.setdefault(one.__name__, one)
        return environment

    make = app.create_jinja_environment
    if "jinja_env" in vars(app):
        added(app.jinja_env)
    else:
        # It is made when first asked for: to ask now would shut out what the app is going to change.
        app.create_jinja_environment = lambda: added(make())  # type: ignore[method-assign]  # one app's own


def _current() -> Exchange | None:
    """The exchange of the request that Flask is busy with."""
    return request.environ.get(ENVIRON_KEY) if has_request_context() else None


def _request(environ: Mapping[str, Any]) -> Any:
    return environ["werkzeug.request"]


def _name_rule(apps: set[str], exchange: Exchange) -> None:
    # Two apps with one PathHits may both have an "index".
    name_rule(exchange, alone=len(apps) == 1)


def _find_route(app: ReferenceType[Flask], apps: set[str], exchange: Exchange, host: str) -> None:
    """The route that ``app`` has for a request that nobody makes; one it would redirect is a redirect."""
    here = app()
    if here is None:
        return
    try:
        exchange.rule, exchange.params = here.url_map.bind(host).match(exchange.path, exchange.method, return_rule=True)
    except RequestRedirect as redirect:
        exchange.status = redirect.code
    except HTTPException:
        exchange.rule = None
    _name_rule(apps, exchange)


def _note_from_inside(hits: PathHits, apps: set[str]) -> None:
    """Tell the exchange its route while Flask still knows it."""
    exchange = request.environ.get(ENVIRON_KEY) or current.get()
    try:
        if exchange is not None:
            note_wsgi_route(exchange, request.environ, partial(_name_rule, apps))
            if hits.asking.wanted:
                exchange.request = partial(_request, request.environ)
    except Exception as error:
        hits.recorder.unlabelled(exchange, error)
