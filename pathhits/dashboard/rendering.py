"""Makes pages of templates, in an environment of its own: a host's Jinja settings change nothing here."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from flask import Request, Response, request, url_for
from jinja2 import Environment, PackageLoader, StrictUndefined

from pathhits.app import PathHits
from pathhits.dashboard import shown
from pathhits.dashboard.access import PRIVATE, Access, endpoint_of
from pathhits.errors import PathHitsError

THEME_COOKIE = "pathhits_theme"
THEMES = ("light", "dark")
#: The pages in the head, and those of them that are about the period.
PAGES = (
    ("overview", "Overview"), ("paths", "Paths"), ("items", "Items"), ("searches", "Searches"), ("hot", "Hot"),
    ("events", "Events"), ("drops", "Drops"), ("health", "Health"),
)  # fmt: skip
RANGED = frozenset(("overview", "paths", "items", "searches", "events", "drops"))
#: What single keys do, as the page's own help says it.
KEYS = (
    ("d y w t q m a", "today, yesterday, 7, 30, 90 days, this month, this year"),
    ("r z c", "range, time zone, compare"),
    ("1 – 5", "the figure whose course is shown"),
    ("x", "take a filter away"),
    ("/", "search in a list"),
    ("p n", "the previous and the next page of a list"),
    ("?", "this help"),
)
STATIC = resources.files("pathhits.dashboard") / "static"


class Renderer:
    """Templates with what each of them needs."""

    def __init__(self, hits: PathHits, access: Access) -> None:
        self._hits = hits
        self._access = access
        self.environment = Environment(
            loader=PackageLoader("pathhits.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters.update(shown.FILTERS)
        self.environment.globals.update(
            static=static_url,
            has_uplot=has_static("vendor/uPlot.js"),
            PAGES=PAGES,
            PRIVATE=PRIVATE,
            RANGED=RANGED,
            KEYS=KEYS,
        )

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A whole page; may raise `StoreUnavailable`."""
        return self._made(template, status, context | self._reader())

    def notice(self, template: str, status: int, **context: Any) -> Response:
        """A page that can be shown while no store answers; its forms may then be missing."""
        try:
            reader = self._reader()
        except PathHitsError:
            reader = {"token": "", "signed_in": False, "may_read": False, "may_act": False}
        return self._made(template, status, context | reader)

    def _reader(self) -> dict[str, Any]:
        """Who looks, and what a form of theirs has to carry."""
        access = self._access
        return {
            "token": access.token(request),
            "signed_in": access.has_login and access.session(request).signed_in,
            "may_read": access.may_read(request),
            "may_act": access.may_act(request),
        }

    def _made(self, template: str, status: int, context: dict[str, Any]) -> Response:
        view = context.get("view")
        text = self.environment.get_template(template).render(
            theme=theme_of(request),
            shared=view.shared if view is not None else {},
            has_login=self._access.has_login,
            endpoint=endpoint_of(request),
            here=here(request),
            to=to,
            **context,
        )
        return Response(text, status, content_type="text/html; charset=utf-8")


def to(endpoint: str, **parameters: Any) -> str:
    """The URL of a page of ours; parameters that are None are left out."""
    return url_for(f".{endpoint}", **{name: value for name, value in parameters.items() if value is not None})


def here(request: Request) -> str:
    """The path and parameters of this page, from the root of the host on."""
    return request.script_root + request.full_path.rstrip("?")


def theme_of(request: Request) -> str:
    """The theme the reader chose, "" where the system chooses."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def has_static(name: str) -> bool:
    """Whether the file is there: what npm brings may not be."""
    return STATIC.joinpath(*name.split("/")).is_file()


def static_url(name: str) -> str:
    """The URL of a static file, another one when any of them is: browsers keep them for a year."""
    return url_for(".static", version=static_version(), name=name)


@cache
def static_version() -> str:
    """A hash of all static files: scripts name each other by relative URLs."""
    digest = hashlib.sha256()
    for file in sorted(Path(str(STATIC)).rglob("*")):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
