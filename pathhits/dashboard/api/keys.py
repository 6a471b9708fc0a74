"""Whether a request shows a key, and whether that may do what is asked."""

from __future__ import annotations

from flask import Request

from pathhits.app import PathHits
from pathhits.dashboard.api.problems import Problem
from pathhits.storage.sql.apikeys import Scope

HEADER = "X-API-Key"


class Keyring:
    """Looks keys up in SQL, by their hashes."""

    def __init__(self, hits: PathHits) -> None:
        self._hits = hits

    def shown(self, request: Request) -> str:
        """The key that the request shows, "" for none."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return request.headers.get(HEADER, "") or (given.strip() if scheme.lower() == "bearer" else "")

    def check(self, request: Request, scope: Scope) -> None:
        """Raises `Problem` unless the request shows a key with that scope; `StoreUnavailable` where SQL is away."""
        key = self.shown(request)
        if not key:
            raise Problem(401, "no-key", "Send a key, as Authorization: Bearer KEY; pathhits key add makes one.")
        found = self._hits.api_keys.find(key)
        if found is None:
            raise Problem(401, "unknown-key", "This key is not known: it was removed, or mistyped.")
        if scope not in found.scopes:
            raise Problem(
                403, "scope", f"This key may not {scope}: make one with pathhits key add NAME --scope {scope}."
            )
