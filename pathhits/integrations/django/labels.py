"""What Django's URL resolver matched, as a route name and a readable pattern."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, resolve

from pathhits.capture.exchange import UNMATCHED, Exchange, current
from pathhits.core.labels import choose
from pathhits.middleware.routes import mount_of

if TYPE_CHECKING:
    from pathhits.settings import RouteLabel

#: Routes whose readable form is remembered.
ROUTES = 4096

_QUANTIFIER = re.compile(r"(?:[?*+]|\{[0-9]*,?[0-9]*\})[?+]?")
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_ANCHORS = (r"\A", r"\b", r"\B", r"\Z")
_CLASSES = (r"\d", r"\D", r"\w", r"\W", r"\s", r"\S")


def note_match(exchange: Exchange, request: HttpRequest) -> None:
    """Take name and pattern from what ``request`` was resolved to, or would be."""
    match = request.resolver_match or _resolved(request)
    if match is None:
        exchange.pattern = UNMATCHED
        return
    mount, script = "", request.META.get("SCRIPT_NAME") or ""
    if script != exchange.root:
        mount = mount_of(exchange, script, request.path_info)
    # A view without a name goes by its pattern: its dotted path may stand in many routes. So does a mounted app.
    exchange.name = match.view_name if match.url_name and not mount else None
    exchange.pattern = mount + readable(match.route or "") if mount else readable(match.route or "")
    exchange.params = match.kwargs


def find_route(exchange: Exchange) -> None:
    """Note the route of a request that nobody makes."""
    request = HttpRequest()
    request.path = request.path_info = exchange.path
    note_match(exchange, request)


def label_of(request: HttpRequest, prefer: RouteLabel) -> str:
    """The label that a hit on the page of ``request`` counts under."""
    counted = current.get()
    path, root = path_and_root(request) if counted is None else (counted.path, counted.root)
    page = Exchange()
    page.path, page.root = path, root
    note_match(page, request)
    return choose(page.name, page.pattern, path.removeprefix(root), prefer)


def path_and_root(request: HttpRequest) -> tuple[str, str]:
    """The URL path, and its beginning at which the server mounts Django ("" where it is no part of the path)."""
    path, script = request.path, request.META.get("SCRIPT_NAME")
    if not script:
        return path, ""
    root = script.rstrip("/")
    return path, root if path == root or path.startswith(root + "/") else ""


def _resolved(request: HttpRequest) -> ResolverMatch | None:
    """The match of a request that a middleware answered before Django looked, as a cache of whole pages does."""
    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return None


@lru_cache(maxsize=ROUTES)
def readable(route: str) -> str:
    """The route of `path` as it is, of `re_path` with ``<name>`` or ``<var>`` for its groups, after a slash."""
    if any(sign in route for sign in "^$\\([?*+"):
        route = _without_signs(route)
    return "/" + route.removeprefix("/")


def _without_signs(regex: str) -> str:
    """``regex`` as a person would write the paths it matches; what may be missing is left out."""
    shown, at = "", 0
    while at < len(regex):
        end = _end_of_part(regex, at)
        quantifier = _QUANTIFIER.match(regex, end)
        shown += _shown(regex[at:end], optional=quantifier is not None and quantifier[0][0] in "?*")
        at = quantifier.end() if quantifier else end
    return shown


def _shown(part: str, *, optional: bool) -> str:
    named = re.match(r"\(\?P(<\w+>)", part)
    if named:
        return named[1]
    if part.startswith("(?:"):
        return "" if optional else _without_signs(part[3:-1])
    if part.startswith("(?") or part in ("^", "$", *_ANCHORS):
        return ""
    if part[0] in "([" or part in _CLASSES:
        return "<var>"
    return part.removeprefix("\\")


def _end_of_part(regex: str, at: int) -> int:
    """Where the group, the set, the escape or the character that begins at ``at`` ends."""
    if regex[at] == "\\":
        return at + 2
    if regex[at] == "[":
        closing = _SET.match(regex, at)
        return closing.end() if closing else at + 1
    if regex[at] != "(":
        return at + 1
    at += 1
    while at < len(regex) and regex[at] != ")":
        at = _end_of_part(regex, at)
    return at + 1
