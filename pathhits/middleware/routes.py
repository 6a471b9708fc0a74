"""The route a framework matched, read from what it leaves in the WSGI environ or the ASGI scope; imports no framework.

A pattern is written as the framework writes it (``/p/<int:id>``, ``/p/{id:int}``), after the prefixes of the mounts
that were passed inside of our middleware. Where the server itself mounts the app (SCRIPT_NAME, root_path) is left
out: the same app has the same labels wherever it is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pathhits.capture.exchange import UNMATCHED, Exchange, Resolve
from pathhits.core.labels import normalise_path

#: Apps, mounts and middleware that are looked into, one inside the other.
DEPTH = 20
#: Endpoints and routers that are remembered; more than an app has, so that it ends.
ENDPOINTS = 10_000
ROUTERS = 16
#: The end of the rule under which Bottle mounts an app of another framework, whose pages go by their paths.
_BOTTLE_MOUNT = "<:re:.*>"


def decoded(text: str) -> str:
    """A WSGI string (bytes in Latin-1 clothes) as text."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def mount_of(exchange: Exchange, script: str, info: str) -> str:
    """The part of the URL path between where the server mounted us and where the framework begins, "" for none.

    ``script`` and ``info`` are SCRIPT_NAME and PATH_INFO, decoded, as the framework sees them: a dispatcher inside of
    us moves the mount from the one to the other. A SCRIPT_NAME that names nothing of the path is a proxy's prefix.
    """
    if script == exchange.root:
        return ""
    inner = exchange.path[len(exchange.root) :]
    return inner[: len(inner) - len(info)] if inner.endswith(info) else ""


# WSGI.


def note_wsgi_route(exchange: Exchange, environ: Mapping[str, Any], resolve: Resolve) -> None:
    """Find the route of Flask or Bottle in ``environ``, unless it is known; others leave none there.

    ``resolve`` is to make name and pattern of a rule of Flask's, when they are asked for.
    """
    request: Any = environ.get("werkzeug.request")
    if (request is None and "bottle.app" not in environ) or exchange.pattern is not None or exchange.name is not None:
        return
    try:
        exchange.rule, exchange.params = request.url_rule, request.view_args
    except AttributeError:
        # There is none, or it is one of werkzeug's own.
        _note_bottle(exchange, environ)
        return
    if environ.get("SCRIPT_NAME", "") != exchange.root:
        exchange.mount = _mount_in(exchange, environ)
    exchange.resolve = resolve


def _note_bottle(exchange: Exchange, environ: Mapping[str, Any]) -> None:
    if "bottle.app" not in environ:
        return
    route = environ.get("bottle.route")
    if route is None:
        exchange.pattern = UNMATCHED
    elif not route.rule.endswith(_BOTTLE_MOUNT):
        mount = _mount_in(exchange, environ)
        exchange.name = route.name if not mount else None
        exchange.pattern = mount + route.rule


def name_rule(exchange: Exchange, *, alone: bool = True) -> None:
    """Take name and pattern from the noted werkzeug rule, None when none matched.

    Endpoints are unique within one app only. So what is mounted goes by its pattern, and so does every app that is
    not ``alone``, below the root that the dispatcher before it chose. Static files keep the name they are excluded by.
    """
    rule, mount = exchange.rule, exchange.mount
    if rule is None:
        exchange.name, exchange.pattern = None, UNMATCHED
        return
    unique = alone and not mount
    exchange.name = rule.endpoint if unique or f".{rule.endpoint}".endswith(".static") else None
    prefix = mount if alone else exchange.root + mount
    host = rule.host or rule.subdomain
    exchange.pattern = f"//{host}{prefix}{rule.rule}" if host else prefix + rule.rule


def _mount_in(exchange: Exchange, environ: Mapping[str, Any]) -> str:
    script = environ.get("SCRIPT_NAME") or ""
    if script == exchange.root:
        return ""
    return mount_of(exchange, decoded(script), decoded(environ.get("PATH_INFO") or ""))


# ASGI.


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an endpoint stands in the tree of routes; one endpoint may stand in several places.

    ``mounts`` are the expressions that take a prefix off the path each, ``hosts`` those that the host has to match.
    ``kind``: a *route*, whose ``own`` expression takes the rest; a *foreign* app without routes that we could read;
    the *default* of an app whose routes are places of their own.
    """

    endpoint: object
    pattern: str
    mounts: tuple[re.Pattern[str], ...]
    hosts: tuple[re.Pattern[str], ...]
    kind: Literal["route", "foreign", "default"]
    own: re.Pattern[str] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is a route of the outermost router, on any host."""
        return self.own is not None and not self.mounts and not self.hosts

    def label(self, path: str, host: str) -> str | None:
        """The pattern for ``path``, UNMATCHED where only a default answers; None when the path does not lead here."""
        rest = path
        for mount in self.mounts:
            found = mount.match(rest)
            if found is None:
                return None
            rest = "/" + found["path"]
        if self.own is not None and self.own.match(rest) is None:
            return None
        if any(expression.match(host) is None for expression in self.hosts):
            return None
        if self.kind == "default":
            return UNMATCHED
        if self.kind == "foreign":
            return (self.pattern + normalise_path(rest)).rstrip("/") or "/"
        return self.pattern


class _Table:
    """The places of all endpoints below one router."""

    def __init__(self, router: Any) -> None:
        self.router = router
        self.learn()

    def learn(self) -> None:
        """Walk the tree; done anew when routes were added."""
        self.size = len(self.router.routes)
        self.places = list(_places(self.router.routes))
        self._by_endpoint: dict[int, tuple[object, list[_Place]]] = {}
        for place in self.places:
            self._by_endpoint.setdefault(id(place.endpoint), (place.endpoint, []))[1].append(place)

    def of(self, endpoint: object) -> list[_Place]:
        """The places of ``endpoint``; [] when it is in no tree we can see."""
        if len(self.router.routes) != self.size or len(self._by_endpoint) > ENDPOINTS:
            self.learn()
        found = self._by_endpoint.get(id(endpoint))
        if found is None:
            self.learn()
            # Kept even when it is unknown, so that it is looked for once, and its id stays its own.
            found = self._by_endpoint.setdefault(id(endpoint), (endpoint, []))
        return found[1]


class AsgiRoutes:
    """Notes the route that Starlette, FastAPI or Litestar left in the scope; for one app.

    Their route names are function names, which two routers may share, so the pattern is the label.
    """

    def __init__(self, app: object) -> None:
        self._own_root = getattr(_routed(app), "root_path", "")
        self._tables: dict[int, _Table] = {}
        #: By the id of an endpoint that stands in one place of the outermost router: that, the router, and its size.
        self._plain: dict[int, tuple[_Place, Any, int]] = {}

    def note(self, scope: Mapping[str, Any], exchange: Exchange) -> None:
        """Tell the exchange its route."""
        known = self._plain.get(id(scope.get("endpoint")))
        if known is not None and "app_root_path" not in scope:
            place, router, size = known
            if size == len(router.routes) and router is scope.get("router"):
                exchange.pattern = place.pattern
                if scope.get("root_path") != exchange.root:
                    self._put_dispatcher_before(scope, exchange)
                return
        self._find(scope, exchange)

    def _find(self, scope: Mapping[str, Any], exchange: Exchange) -> None:
        router = scope.get("router")
        if router is None or not hasattr(router, "routes"):
            self._without_router(scope, exchange)
            return
        if "frontend_path" in scope.get("fastapi", ()):
            # One of FastAPI's folders of files, which is no route: its pages go by their paths.
            return
        endpoint = scope.get("endpoint")
        if endpoint is None:
            exchange.pattern = UNMATCHED
            return
        places = self._table(router).of(endpoint)
        if len(places) == 1 and places[0].is_plain and "app_root_path" not in scope:
            exchange.pattern = places[0].pattern
            self._remember(places[0], router)
        else:
            label = _first(places, scope, exchange)
            exchange.pattern = _unseen(scope, endpoint) if label is None else label
        self._put_dispatcher_before(scope, exchange)

    def _without_router(self, scope: Mapping[str, Any], exchange: Exchange) -> None:
        if "litestar_app" in scope or "path_template" in scope:
            exchange.pattern = scope.get("path_template") or UNMATCHED
            self._put_dispatcher_before(scope, exchange)
            return
        router = getattr(scope.get("app"), "router", None)
        if router is not None and hasattr(router, "url_path_for"):
            # A middleware answered by itself, or went on with a copy of the scope.
            label = _first(self._table(router).places, scope, exchange)
            exchange.pattern = UNMATCHED if label is None else label
            self._put_dispatcher_before(scope, exchange)

    def _remember(self, place: _Place, router: Any) -> None:
        """Have the next request of this endpoint cost one look-up: most are routes of the outermost router."""
        if len(self._plain) >= ENDPOINTS:
            self._plain.clear()
        self._plain[id(place.endpoint)] = (place, router, len(router.routes))

    def _table(self, router: Any) -> _Table:
        table = self._tables.get(id(router))
        if table is None:
            if len(self._tables) >= ROUTERS:
                self._tables.clear()
            table = self._tables[id(router)] = _Table(router)
        return table

    def _put_dispatcher_before(self, scope: Mapping[str, Any], exchange: Exchange) -> None:
        """What chose among several apps before the framework began, and told it so in root_path, is a mount too."""
        root = _root(scope)
        if root in (exchange.root, self._own_root) or not exchange.pattern:
            return
        extra = root.removeprefix(exchange.root)
        inner = exchange.path[len(exchange.root) :]
        if inner == extra or inner.startswith(extra.rstrip("/") + "/"):
            exchange.pattern = extra.rstrip("/") + exchange.pattern


def _root(scope: Mapping[str, Any]) -> str:
    """Where the outermost router was mounted; mounts of its own lengthen ``root_path``."""
    root: str = scope["app_root_path"] if "app_root_path" in scope else scope.get("root_path", "")
    return root


def _first(places: Iterable[_Place], scope: Mapping[str, Any], exchange: Exchange) -> str | None:
    """The label of the first place that the request leads to."""
    root, path = _root(scope), exchange.path
    if root and (path == root or path.startswith(root.rstrip("/") + "/")):
        path = path[len(root.rstrip("/")) :]
    host = _host(scope)
    for place in places:
        label = place.label(path, host)
        if label is not None:
            return label
    return None


def _host(scope: Mapping[str, Any]) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").lower()
            return host.rsplit("]", 1)[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return ""


def _unseen(scope: Mapping[str, Any], endpoint: object) -> str | None:
    """The pattern of a route in an app that hides in another: its own path after what its mounts took."""
    route = scope.get("route")
    if route is None or getattr(route, "endpoint", None) is not endpoint:
        return None
    taken = scope.get("root_path", "")[len(_root(scope)) :]
    return (normalise_path(taken) if taken else "") + str(route.path)


def _places(
    routes: Iterable[Any],
    pattern: str = "",
    mounts: tuple[re.Pattern[str], ...] = (),
    hosts: tuple[re.Pattern[str], ...] = (),
    depth: int = 0,
) -> Iterator[_Place]:
    for route in _flat(routes):
        if hasattr(route, "host_regex"):
            inside = (f"//{route.host}{pattern}", mounts, (*hosts, route.host_regex))
        elif hasattr(route, "endpoint") and hasattr(route, "methods"):
            yield _Place(route.endpoint, pattern + route.path, mounts, hosts, "route", route.path_regex)
            continue
        elif hasattr(route, "app") and "path" in getattr(getattr(route, "path_regex", None), "groupindex", ()):
            inside = (pattern + route.path, (*mounts, route.path_regex), hosts)
        else:
            continue
        below = getattr(route, "routes", None) or getattr(_routed(route.app), "routes", None)
        if below and depth < DEPTH:
            yield from _places(below, *inside, depth + 1)
        yield _Place(route.app, *inside, "default" if below else "foreign")


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes, with those of FastAPI's included routers (since 0.137 objects of their own) under full paths."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            for context in contexts():
                yield getattr(context, "starlette_route", None) or context


def _routed(app: Any) -> Any:
    """The app with readable routes inside of ``app`` and its middleware; None when there is none."""
    for _ in range(DEPTH):
        if app is None or (hasattr(app, "routes") and hasattr(app, "url_path_for")):
            return app
        app = getattr(app, "app", None)
    return None
