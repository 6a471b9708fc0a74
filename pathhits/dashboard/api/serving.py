"""Serves the API: who may ask, JSON or CSV, ETag and cache headers, and problems instead of error pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Literal, Protocol

from flask import Blueprint, Request, Response, request

from pathhits.app import PathHits
from pathhits.dashboard.api.endpoints import ENDPOINTS, Asked, Endpoint
from pathhits.dashboard.api.ingestion import MOST_BYTES, ingest
from pathhits.dashboard.api.keys import Keyring
from pathhits.dashboard.api.metrics import CONTENT_TYPE, metrics
from pathhits.dashboard.api.openapi import document
from pathhits.dashboard.api.problems import Problem
from pathhits.dashboard.api.tables import to_csv
from pathhits.dashboard.queries import BadParameter, read_query
from pathhits.errors import PathHitsError, StoreUnavailable

#: The path of the API below the dashboard.
BASE = "/api/v1"
#: Seconds for which an answer about a period that is over may be kept, once late hits are in.
KEPT = 300
SETTLED = timedelta(days=2)
#: What everybody may know of an error that names our servers.
PLAINLY = {
    "store-unavailable": "A store does not answer. Nothing is lost: counts wait until it is back.",
    "not-migrated": "The tables are not there yet: run 'pathhits db upgrade'.",
}
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
Form = Literal["json", "csv"]


class Door(Protocol):
    """Who may look, by session, by the function of the host, or as everybody may."""

    def may_read(self, request: Request) -> bool: ...

    def may_act(self, request: Request) -> bool: ...

    def told(self, request: Request, error: PathHitsError) -> str: ...


def add_api(blueprint: Blueprint, hits: PathHits, door: Door) -> None:
    """Add every URL of the API to the blueprint; their endpoints begin with ``api_``, and check for themselves."""
    api = Api(hits, door)
    for endpoint in ENDPOINTS:
        for suffix in ("", ".json", ".csv"):
            name = f"api_{endpoint.name}{suffix.replace('.', '_')}"
            serve = partial(api.read, endpoint, suffix[1:])
            blueprint.add_url_rule(f"{BASE}/{endpoint.name}{suffix}", name, api.guarded(serve), methods=["GET"])
    blueprint.add_url_rule(f"{BASE}/events", "api_ingest", api.guarded(api.take_in), methods=["POST"])
    blueprint.add_url_rule(f"{BASE}/openapi.json", "api_document", api.guarded(api.document), methods=["GET"])
    blueprint.add_url_rule("/metrics", "api_metrics", api.guarded(api.metrics), methods=["GET"])
    blueprint.add_url_rule("/api/<path:rest>", "api_missing", api.guarded(api.missing), methods=_METHODS)


class Api:
    """Answers of the API."""

    def __init__(self, hits: PathHits, door: Door) -> None:
        self._hits = hits
        self._door = door
        self._keyring = Keyring(hits)

    def read(self, endpoint: Endpoint, form: str) -> Response:
        """One endpoint, in the form that is asked for."""
        self._check(private=endpoint.private)
        chosen = form or _accepted()
        given = _given()
        own = {one.name for one in endpoint.its}
        query = read_query({name: value for name, value in given.items() if name not in own}, allowed=endpoint.takes)
        asked = Asked(self._hits, query, {name: value for name, value in given.items() if name in own})
        which = endpoint.table(asked.own)
        answer = endpoint.answer(asked)
        text = to_csv(answer, which) if chosen == "csv" else to_json(answer)
        response = answered(text, _TYPES[chosen])
        is_settled = query.until.astimezone(UTC) < datetime.now(UTC) - SETTLED and "range" in endpoint.takes
        response.headers["Cache-Control"] = f"private, max-age={KEPT}" if is_settled else "private, no-cache"
        if chosen == "csv":
            response.headers["Content-Disposition"] = f'inline; filename="pathhits-{endpoint.name}.csv"'
        return response

    def take_in(self) -> Response:
        """Events of other services; only a key may send them, so that no other site can."""
        self._keyring.check(request, "write")
        if request.args:
            raise BadParameter(next(iter(request.args)), "there is no such parameter here")
        if (request.content_length or 0) > MOST_BYTES:
            raise Problem(413, "too-large", f"A batch has at most {MOST_BYTES:,} bytes: send several.")
        body = request.stream.read(MOST_BYTES + 1)
        receipt = ingest(self._hits, request.headers.get("Content-Type", ""), body)
        response = Response(json.dumps(receipt) + "\n", 202, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def document(self) -> Response:
        """The OpenAPI document."""
        self._check(private=False)
        url = request.path.removesuffix("/openapi.json")
        return answered(to_json(document(request.script_root + url)), "application/json")

    def metrics(self) -> Response:
        """Figures for Prometheus."""
        self._check(private=True)
        response = Response(metrics(self._hits), content_type=CONTENT_TYPE)
        response.headers["Cache-Control"] = "no-store"
        return response

    def missing(self, rest: str) -> Response:
        """There is no such endpoint, or not for this method."""
        self._check(private=False)
        name = rest.removeprefix("v1/").removesuffix(".json").removesuffix(".csv")
        if rest.startswith("v1/") and name in {one.name for one in ENDPOINTS} | {"openapi"}:
            response = Problem(405, "method", f"{request.method} is not for this URL.").response()
            response.headers["Allow"] = "GET, HEAD, OPTIONS" + (", POST" if rest == "v1/events" else "")
            return response
        raise Problem(404, "missing", "There is no such endpoint: see openapi.json.")

    def guarded(self, answer: Callable[..., Response]) -> Callable[..., Response]:
        """``answer`` with what goes wrong as a problem."""

        def guarded(**parts: Any) -> Response:
            try:
                return answer(**parts)
            except Problem as problem:
                return problem.response()
            except BadParameter as error:
                return Problem(400, "bad-parameter", str(error), error.field).response()
            except PathHitsError as error:
                kind = "store-unavailable" if isinstance(error, StoreUnavailable) else "not-migrated"
                return Problem(503, kind, self._told(error) or PLAINLY[kind]).response()

        return guarded

    def _told(self, error: PathHitsError) -> str:
        """What went wrong, for who may know it."""
        if told := self._door.told(request, error):
            return told
        try:
            self._keyring.check(request, "read")
        except (Problem, PathHitsError):
            return ""
        return str(error)

    def _check(self, *, private: bool) -> None:
        """Raises `Problem` where this request may not read."""
        if self._keyring.shown(request):
            self._keyring.check(request, "read")
        elif not (self._door.may_act if private else self._door.may_read)(request):
            raise Problem(401, "no-key", "Send a key, as Authorization: Bearer KEY; pathhits key add makes one.")


def to_json(answer: Any) -> str:
    """An answer as compact JSON."""
    return json.dumps(plain(answer), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Dataclasses as objects, moments as ISO 8601."""
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def answered(text: str, content_type: str) -> Response:
    """A response with an ETag, or "not modified" for one who has it."""
    body = text.encode("utf-8", "backslashreplace")
    response = Response(body, content_type=content_type)
    response.set_etag(sha256(body).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.update(("Accept", "Authorization", "Cookie", "X-API-Key"))
    response.make_conditional(request)
    return response


def _accepted() -> Form:
    if not request.accept_mimetypes:
        return "json"
    best = request.accept_mimetypes.best_match(["application/json", "text/csv"])
    if best is None:
        raise Problem(406, "not-acceptable", "There is application/json and text/csv.")
    return "csv" if best == "text/csv" else "json"


def _given() -> dict[str, str]:
    """The parameters of the URL; raises `BadParameter` for one that is there twice."""
    found = {}
    for name, values in request.args.lists():
        if len(values) > 1:
            raise BadParameter(name, "this is given more than once")
        found[name] = values[0]
    return found
