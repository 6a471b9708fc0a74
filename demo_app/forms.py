"""Forms that only the shop itself can send: a POST says where it comes from, and a signed-in user's has a token."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from flask import Flask, abort, request, session
from markupsafe import Markup


def token_field() -> Markup:
    """The hidden field that a form of a signed-in user carries; guests have no session to protect, and none."""
    token = session.get("token")
    return Markup('<input type="hidden" name="token" value="{}">').format(token) if token else Markup("")


def own_path(path: str, otherwise: str) -> str:
    """A path of this site to go back to, else ``otherwise``: nobody is sent elsewhere by a link to us."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else otherwise


def register(app: Flask) -> None:
    """Refuse what other sites send, before a page of the shop hears of it; the dashboard's own forms are its own."""
    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    app.before_request(_refuse_others)
    app.add_template_global(token_field)


def _refuse_others() -> None:
    if request.method != "POST" or request.routing_exception or request.blueprint:
        return
    if not _from_this_shop() or not _has_token():
        abort(403)


def _from_this_shop() -> bool:
    """Whether a form of this very site was sent: no other site can make a browser say so."""
    origin = request.headers.get("Origin", "")
    return urlsplit(origin).netloc == request.host and request.headers.get("Sec-Fetch-Site") in (None, "same-origin")


def _has_token() -> bool:
    wanted = session.get("token")
    return not wanted or hmac.compare_digest(request.form.get("token", "").encode(), wanted.encode())
