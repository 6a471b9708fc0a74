"""Counts days of the past: through the middleware, with its clock set back, and so into SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from demo_app.history.visits import Request, midnight, requests_of
from demo_app.recommending import SHOWN
from demo_app.traffic.plans import SEARCHES
from pathhits import PathHits
from pathhits.testing import counting

#: What happens to a product, by the counter that it adds to and whether it adds or takes away.
EVENTS = {
    ("likes", 1): "product.liked",
    ("likes", -1): "product.unliked",
    ("downloads", 1): "product.downloaded",
}
#: Why things are recommended in a shop that does not know yet who looks at what.
REASON = "same_workshop"
FOUND = {query: found for _, query, found in SEARCHES}
#: Where the stand-in of the shop finds what it stands for.
STEP = "demo_app.step"
HOST = "slowfield.example"


class Matched(NamedTuple):
    """What pathhits looks for in a request of Flask's: the rule that it matched, and its parameters."""

    url_rule: Rule | None = None
    view_args: dict[str, Any] | None = None


class Replay:
    """Counts the requests of days into SQL. In the place of the shop stands an app that knows its addresses only.

    Raises `StoreUnavailable` or `NotMigrated`; the days before that are complete.
    """

    def __init__(self, shop: Flask) -> None:
        self._hits: PathHits = shop.extensions["pathhits"]
        self._urls = shop.url_map.bind(HOST)
        self._match = lru_cache(1000)(self._matched)
        self._app = self._hits.wsgi(self._stand_in)

    def add(self, when: date) -> int:
        """Count one day, in one transaction; the number of its hits, 0 if a transaction had counted it before."""
        with counting(self._hits, at=midnight(when)) as counted:
            for one in requests_of(when):
                counted.clock.freeze(midnight(when) + timedelta(seconds=one.moment))
                for _ in self._app(_environ(one), lambda status, headers, error=None: lambda data: None):
                    pass
            return counted.store(f"history-{when}")

    def _stand_in(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers as the shop does, without a page; what happened there is told."""
        step = environ[STEP]
        environ["werkzeug.request"] = self._match(environ["PATH_INFO"], step.method)
        kind, _, slug = step.item.partition(":")
        if kind == "brand":
            # Its page asks by itself, the others are items by their route.
            self._hits.track_view(kind, slug)
        elif kind == "product":
            self._hits.track_recommendations_shown(kind, REASON, SHOWN)
        if step.event is not None:
            self._happen(*step.event)
        start_response(f"{step.status} {HTTPStatus(step.status).phrase}", [("Content-Type", "text/html")])
        return [b""]

    def _happen(self, counter: str, subject: str, amount: int) -> None:
        if counter == "searches":
            self._hits.track_search(subject, result_count=FOUND[subject], entity_type="product")
        elif counter == "recommendation_clicks":
            self._hits.track_recommendation_clicked("product", subject.partition(":")[2], REASON, 1)
        else:
            self._hits.track(EVENTS[counter, amount], subject.partition(":")[2])

    def _matched(self, path: str, method: str) -> Matched:
        try:
            rule, parameters = self._urls.match(path, method, return_rule=True)
        except HTTPException:
            return Matched()
        return Matched(rule, dict(parameters))


def _environ(one: Request) -> dict[str, Any]:
    """The request as a WSGI server would hand it on."""
    path, _, query = one.step.path.partition("?")
    headers = {**one.person.headers, **one.step.headers, "Host": HOST}
    if headers.get("Referer", "").startswith("/"):
        headers["Referer"] = f"https://{HOST}{headers['Referer']}"
    return {
        "REQUEST_METHOD": one.step.method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": one.person.address,
        STEP: one.step,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
