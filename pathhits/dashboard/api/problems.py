"""What the API says when it cannot answer: problem details (RFC 9457), never a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response

#: What a problem's type begins with.
TYPE = "urn:pathhits:problem:"
CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem(Exception):
    """An answer that is an error. ``kind`` names it for programs, ``field`` the parameter that is to blame."""

    status: int
    kind: str
    detail: str
    field: str | None = None

    def response(self) -> Response:
        """The answer."""
        body: dict[str, Any] = {
            "type": TYPE + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            body["field"] = self.field
        response = Response(json.dumps(body) + "\n", self.status, content_type=CONTENT_TYPE)
        response.headers["Cache-Control"] = "no-store"
        if self.status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Bearer realm="pathhits"'
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = "5"
        return response


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {"type": "string", "description": "Names the problem."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do about it."},
        "field": {"type": "string", "description": "The parameter that is to blame."},
    },
    "required": ["type", "title", "status", "detail"],
}
