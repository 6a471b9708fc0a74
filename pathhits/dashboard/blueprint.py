"""The blueprint: its rules, what stands before every request, and what every answer carries."""

from __future__ import annotations

from flask import Blueprint, Request, Response, request, url_for

from pathhits.app import PathHits
from pathhits.capture.exchange import current
from pathhits.dashboard.access import CLOSED, Access, Authorize, endpoint_of
from pathhits.dashboard.api.counter import add_counter
from pathhits.dashboard.api.serving import add_api
from pathhits.dashboard.pages import add_pages
from pathhits.dashboard.pages.entrance import Entrance
from pathhits.dashboard.rendering import Renderer
from pathhits.middleware.wsgi import ENVIRON_KEY
from pathhits.storage.redis.dashboard import DashboardStore

#: Nothing inline, nothing from elsewhere, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "private, no-store",
}
#: Endpoints that are there before anybody has logged in.
OPEN = frozenset(("static", "login", "theme"))
#: How the endpoints begin that programs ask, who keep no session.
BY_KEY = ("api_", "counter")


def make_blueprint(hits: PathHits, authorize: Authorize | None = None) -> Blueprint:
    """A blueprint with all pages of the dashboard, to be registered under any prefix."""
    blueprint = Blueprint("pathhits", __name__)
    access = Access(hits.settings, DashboardStore(hits.redis, hits.keys), authorize)
    renderer = Renderer(hits, access)
    entrance = Entrance(access, renderer)

    def before() -> Response | None:
        _leave_uncounted(request)
        name = endpoint_of(request)
        if name == "counter":
            return None
        if access.is_closed:
            return Response(CLOSED, 403, content_type="text/plain; charset=utf-8")
        return entrance.check(request, name, is_open=name in OPEN)

    def after(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response if endpoint_of(request).startswith(BY_KEY) else entrance.remember(request, response, mount())

    blueprint.before_request(before)
    blueprint.after_request(after)
    entrance.add_rules(blueprint)
    add_pages(blueprint, hits, access, renderer)
    add_api(blueprint, hits, access)
    add_counter(blueprint, hits)
    return blueprint


def mount() -> str:
    """The path the dashboard is mounted at, without a slash at its end; "/" where that is all."""
    return url_for(".overview").rstrip("/") or "/"


def _leave_uncounted(request: Request) -> None:
    """Looking at the counts is no hit, wherever the dashboard is mounted."""
    exchange = request.environ.get(ENVIRON_KEY) or current.get()
    if exchange is not None:
        exchange.excluded = True
