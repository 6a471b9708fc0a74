"""Somebody who looks at the dashboard without a browser: keeps cookies, finds the token of a form."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import Client, TestResponse

PASSWORD = "a long enough password"
FROM_A_FORM = {"Sec-Fetch-Site": "same-origin"}


class Reader:
    """A client of a WSGI app that has the dashboard at ``home``."""

    def __init__(self, app: Any, home: str = "/_pathhits", hits: Any = None) -> None:
        self.client = Client(app)
        self.hits = hits
        self.home = home

    def get(self, path: str = "/", **more: Any) -> TestResponse:
        """One page."""
        return self.client.get(self.home + path, buffered=True, **more)

    def post(self, path: str, token: str | None = None, **fields: str) -> TestResponse:
        """Send a form, with the token of the page that is open, or the one given."""
        data = {"token": self.token() if token is None else token, **fields}
        return self.client.post(self.home + path, data=data, headers=FROM_A_FORM)

    def token(self) -> str:
        """The token that our forms carry just now."""
        found = re.search(r'name="token" value="([0-9a-f]+)"', self.get("/login").text) or re.search(
            r'name="token" value="([0-9a-f]+)"', self.get("/").text
        )
        return found[1] if found else ""

    def log_in(self, password: str = PASSWORD, **fields: str) -> TestResponse:
        """Send the login form."""
        return self.post("/login", password=password, **fields)
