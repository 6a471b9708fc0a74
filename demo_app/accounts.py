"""Signing in: who a request belongs to, which the shop's own pages and pathhits (`identify`) both ask."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Request, abort, g, has_request_context, redirect, render_template, request, session, url_for
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from demo_app.forms import own_path
from demo_app.models import User, db

P = ParamSpec("P")
R = TypeVar("R")
#: Two who shop and one who may change things, made when the shop is first released.
NAMES = {"anna": False, "ben": False, "admin": True}
METHOD = "scrypt"
WRONG = "This name and this password do not belong together."


def identify(_request: Request) -> str | None:
    """The id of the user whose request it is, for pathhits; None for a guest, and for all of a made-up past."""
    return session.get("user") if has_request_context() else None


def current_user() -> User | None:
    """Who is signed in; read from SQL once a request, and only for those who are."""
    if "user" not in g:
        known = session.get("user")
        g.user = db.session.get(User, int(known)) if known else None
    found: User | None = g.user
    return found


def the_user() -> User:
    """Who is signed in, on a page that is for those only."""
    user = current_user()
    if user is None:
        abort(403)
    return user


def signed_in(view: Callable[P, R]) -> Callable[P, R | Response]:
    """Send guests to sign in first, and back afterwards."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R | Response:
        if current_user() is None:
            back = request.full_path.rstrip("?") if request.method == "GET" else _page_before()
            return redirect(url_for("sign_in", next=back), 303)
        return view(*args, **kwargs)

    return checked


def admins_only(view: Callable[P, R]) -> Callable[P, R | Response]:
    """As `signed_in`; others than admins get 403."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R | Response:
        user = current_user()
        if user is not None and not user.is_admin:
            abort(403)
        return view(*args, **kwargs)

    return signed_in(checked)


def sign_in() -> str | Response | tuple[str, int]:
    """The form, and what becomes of it; a new session begins, so that one that was planted is worth nothing."""
    back = own_path(request.values.get("next", ""), url_for("home"))
    if request.method == "GET":
        return render_template("sign_in.html", next=back)
    name = request.form.get("name", "").strip().lower()
    user = db.session.scalar(select(User).where(User.name == name)) if len(name) <= 40 else None
    if user is None or not check_password_hash(user.password, request.form.get("password", "")):
        return render_template("sign_in.html", next=back, name=name, problem=WRONG), 403
    session.clear()
    session["user"] = str(user.id)
    session["token"] = secrets.token_urlsafe(16)
    return redirect(back, 303)


def sign_out() -> Response:
    """End the session."""
    session.clear()
    return redirect(url_for("home"), 303)


def is_admin(_request: Request) -> bool:
    """Whether an admin asks: they see the dashboard without its password."""
    user = current_user()
    return user is not None and user.is_admin


def make_users() -> dict[str, str]:
    """Make the users that are not there yet; their names and passwords, which are known nowhere else afterwards."""
    there = set(db.session.scalars(select(User.name)))
    made = {name: secrets.token_urlsafe(9) for name in NAMES if name not in there}
    for name, password in made.items():
        db.session.add(User(name=name, password=generate_password_hash(password, METHOD), is_admin=NAMES[name]))
    db.session.commit()
    return made


def new_passwords() -> dict[str, str]:
    """Give every user a new password, for who lost them; names and passwords."""
    made = {}
    for user in db.session.scalars(select(User)):
        made[user.name] = secrets.token_urlsafe(9)
        user.password = generate_password_hash(made[user.name], METHOD)
    db.session.commit()
    return made


def register(app: Flask) -> None:
    """Give the form its address, and templates the user."""
    app.add_url_rule("/sign-in", "sign_in", sign_in, methods=["GET", "POST"])
    app.add_url_rule("/sign-out", "sign_out", sign_out, methods=["POST"])
    app.context_processor(lambda: {"user": current_user()})


def _page_before() -> str:
    """The page that holds the form which was sent: that of the product, where it is about one."""
    slug = (request.view_args or {}).get("slug")
    return url_for("product_detail", slug=slug) if slug else url_for("home")
