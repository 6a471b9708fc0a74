"""What Django's URL resolver matched, as a route name and a readable pattern."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from django.contrib.admindocs.utils import (
    remove_non_capturing_groups,
    replace_metacharacters,
    replace_named_groups,
    replace_unnamed_groups,
)
from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, resolve

from pathhits.capture.exchange import UNMATCHED, Exchange, current
from pathhits.core.labels import choose
from pathhits.middleware.routes import mount_of

if TYPE_CHECKING:
    from pathhits.settings import RouteLabel

#: Routes whose readable form is remembered.
ROUTES = 4096


def note_match(exchange: Exchange, request: HttpRequest) -> None:
    """Take name and pattern from what ``request`` was resolved to, or would be."""
    match = request.resolver_match or _resolved(request)
    if match is None:
        exchange.pattern = UNMATCHED
        return
    mount = mount_of(exchange, request.META.get("SCRIPT_NAME") or "", request.path_info)
    # A view without a name goes by its pattern: its dotted path may stand in many routes. So does a mounted app.
    exchange.name = match.view_name if match.url_name and not mount else None
    exchange.pattern = mount + readable(match.route or "")


def label_of(request: HttpRequest, prefer: RouteLabel) -> str:
    """The label that a hit on the page of ``request`` counts under."""
    counted = current.get()
    root = request.META.get("SCRIPT_NAME") or "" if counted is None else counted.root
    page = Exchange("GET", request.path if counted is None else counted.path, "", "", "", "", True, root)
    note_match(page, request)
    return choose(page.name, page.pattern, page.path, prefer)


def _resolved(request: HttpRequest) -> ResolverMatch | None:
    """The match of a request that a middleware answered before Django looked, as a cache of whole pages does."""
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None


@lru_cache(maxsize=ROUTES)
def readable(route: str) -> str:
    """The route of `path` as it is, of `re_path` with ``<name>`` for its groups, after a slash."""
    if any(sign in route for sign in "^$\\("):
        for simplify in (
            remove_non_capturing_groups,
            replace_named_groups,
            replace_unnamed_groups,
            replace_metacharacters,
        ):
            route = simplify(route)
        route = re.sub(r"\\(.)", r"\1", route)
    return "/" + route.removeprefix("/")
