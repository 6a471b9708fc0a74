"""What is there before a page: logging in and out, the theme, static files, and what an error says."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Request, Response, g, redirect, request, send_from_directory, url_for

from pathhits.dashboard.access import PRIVATE, Access, TooManyTries
from pathhits.dashboard.rendering import STATIC, THEME_COOKIE, THEMES, Renderer, here
from pathhits.errors import NotMigrated, PathHitsError, StoreUnavailable
from pathhits.storage.redis.keys import LOGIN_WINDOW

#: Seconds a browser keeps a static file whose URL names its content, and a choice of theme.
YEAR = 365 * 86_400
#: Endpoints with a check of their own: they answer with JSON, and take keys.
API = "api_"


class Entrance:
    """The door, and the way out."""

    def __init__(self, access: Access, renderer: Renderer) -> None:
        self._access = access
        self._renderer = renderer

    def add_rules(self, blueprint: Blueprint) -> None:
        """Its URLs and error pages."""
        blueprint.add_url_rule("/static/<version>/<path:name>", "static", self.static)
        blueprint.add_url_rule("/login", "login", self.login, methods=["GET", "POST"])
        blueprint.add_url_rule("/logout", "logout", self.logout, methods=["POST"])
        blueprint.add_url_rule("/theme", "theme", self.theme, methods=["POST"])
        blueprint.add_url_rule(
            "/<path:rest>", "missing", self.missing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]
        )
        blueprint.register_error_handler(PathHitsError, self.failed)

    def check(self, request: Request, name: str, *, is_open: bool) -> Response | None:
        """The answer to a request that may not go on, else None."""
        if name.startswith(API):
            return None
        if not is_open and not (self._access.may_act if self._acts(request, name) else self._access.may_read)(request):
            return self._closed(request)
        if request.method not in ("GET", "HEAD", "OPTIONS") and not self._access.is_ours(request):
            return self.said(403, "This form is too old", "Go back, reload the page and try again.")
        return None

    def _acts(self, request: Request, name: str) -> bool:
        return name in PRIVATE or request.method not in ("GET", "HEAD", "OPTIONS")

    def _closed(self, request: Request) -> Response:
        if not self._access.has_login:
            return self.said(403, "You may not see this page", "This site lets only some people in here.")
        reads = request.method in ("GET", "HEAD")
        return self._form(here(request) if reads else "", "", 401 if reads else 403)

    def remember(self, request: Request, response: Response, path: str) -> Response:
        """Send the session along where the browser has none yet and the page has a form."""
        session = g.get("pathhits_session")
        if session is not None and session.is_new:
            forwarded = request.headers.get("X-Forwarded-Proto", "").lower().startswith("https")
            try:
                self._access.sessions.write(session, response, path, secure=request.is_secure or forwarded)
            except StoreUnavailable:
                # The page says so itself, and has no form.
                pass
        return response

    def static(self, version: str, name: str) -> Response:
        """A style sheet, a script, the sprite."""
        response = send_from_directory(str(STATIC), name, max_age=YEAR)
        response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        return response

    def login(self) -> Response:
        """The form, and what it sends."""
        target = request.values.get("next", "")
        if not self._access.has_login or self._access.session(request).signed_in:
            return _go(target)
        if request.method != "POST":
            return self._form(target, "", 200)
        try:
            if self._access.log_in(request, request.form.get("password", "")):
                return _go(target)
        except TooManyTries:
            response = self._form(target, f"Too many tries. Wait {LOGIN_WINDOW // 60} minutes, then try again.", 429)
            response.headers["Retry-After"] = str(LOGIN_WINDOW)
            return response
        return self._form(target, "That is not the password.", 401)

    def logout(self) -> Response:
        """End the session and show the form."""
        self._access.log_out(request)
        response = _go("")
        g.pathhits_session = self._access.sessions.fresh()
        return response

    def theme(self) -> Response:
        """Remember light, dark, or whatever the system says; for browsers without script."""
        chosen = request.form.get("theme", "")
        response = _go(request.form.get("next", ""))
        response.set_cookie(
            THEME_COOKIE,
            chosen if chosen in THEMES else "",
            max_age=YEAR if chosen in THEMES else 0,
            path=url_for(".overview").rstrip("/") or "/",
            samesite="Lax",
        )
        return response

    def missing(self, rest: str) -> Response:
        """There is no such page."""
        return self.said(404, "There is no such page", "The address may be mistyped, or the page was renamed.")

    def failed(self, error: PathHitsError) -> Response:
        """A store did not answer: what to do about it. What it said itself is for the log, and who may know it."""
        if isinstance(error, NotMigrated):
            says = "Run pathhits db upgrade once, then reload."
            return self.said(503, "The tables are not there yet", says, self._access.told(request, error))
        if isinstance(error, StoreUnavailable):
            told = self._access.told(request, error)
            says = "Nothing is lost: counts wait until it is back. Reload in a moment"
            says += ", or run pathhits doctor." if told else "."
            return self.said(503, "A store does not answer", says, told)
        return self.said(400, "This page cannot be shown", str(error))

    def said(self, status: int, title: str, says: str, error: str = "") -> Response:
        """A page that says one thing; it needs no store."""
        return self._renderer.notice("said.html", status, title=title, says=says, error=error)

    def _form(self, target: str, fault: str, status: int) -> Response:
        return self._renderer.page("login.html", status, target=target, fault=fault)


def _go(target: str) -> Response:
    """Off to a page of ours; to the overview where the target is anything else."""
    home = url_for(".overview")
    response: Any = redirect(target if is_inside(target, home) else home, 303)
    return response  # type: ignore[no-any-return]  # Flask's redirect is typed as werkzeug's


def is_inside(target: str, home: str) -> bool:
    """Whether a target is a path below the dashboard's own, and nothing that a browser would read as another site."""
    if not target.startswith(home) or target.startswith("//") or "\\" in target or not target.isprintable():
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc and ".." not in parts.path.split("/")
