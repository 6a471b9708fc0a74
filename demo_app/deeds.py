"""What visitors do with a product: like it, rate it, watch it, fetch its data sheet.

The shop's own rows say who did what, one a person and product; only when a row came, went or changed, pathhits is told,
and counts. So its counters are the sums of these tables, and nobody counts twice.
"""

from __future__ import annotations

import secrets

from flask import Flask, Response, abort, redirect, request, session, url_for
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response as AnyResponse

from demo_app.accounts import current_user, signed_in, the_user
from demo_app.choosing import product_or_404
from demo_app.counts import the_hits
from demo_app.models import Base, Like, Product, Rating, Watched, db, now
from pathhits import PathHits

STARS = range(1, 6)


def like(slug: str) -> AnyResponse:
    """Like a product, or take the like back; guests are told apart by a random number in a cookie."""
    product, person = product_or_404(slug), _person() or _new_guest()
    gone = delete(Like).where(Like.person == person, Like.product_id == product.id)
    if _changed(gone):
        _say("product.unliked", product)
    elif _added(Like(person=person, product_id=product.id)):
        _say("product.liked", product)
    return _back(slug)


@signed_in
def watch(slug: str) -> AnyResponse:
    """Put a product on the watchlist, or take it off."""
    product, user = product_or_404(slug), the_user()
    gone = delete(Watched).where(Watched.user_id == user.id, Watched.product_id == product.id)
    if _changed(gone):
        _say("product.unwatchlisted", product)
    elif _added(Watched(user_id=user.id, product_id=product.id, added_at=now())):
        _say("product.watchlisted", product)
    return _back(slug)


@signed_in
def rate(slug: str) -> AnyResponse:
    """Give stars. The first time it is a rating; later on the sum of all stars moves by the difference."""
    product, user, stars = product_or_404(slug), the_user(), request.form.get("stars", 0, type=int)
    if stars not in STARS:
        abort(400)
    if _added(Rating(user_id=user.id, product_id=product.id, stars=stars)):
        _say("product.rated", product, stars)
        return _back(slug)
    own = (Rating.user_id == user.id, Rating.product_id == product.id)
    before = db.session.scalars(select(Rating.stars).where(*own)).one()
    # Of two at once one finds that the stars are not what they were, and leaves it at that.
    if stars != before and _changed(update(Rating).where(*own, Rating.stars == before).values(stars=stars)):
        _say("product.rating_raised" if stars > before else "product.rating_lowered", product, abs(stars - before))
    return _back(slug)


def sheet(slug: str) -> Response:
    """The data sheet of a product, to keep."""
    product = product_or_404(slug)
    _say("product.downloaded", product)
    lines = (product.name, product.summary, "", f"Material: {product.material}", f"Size: {product.size}")
    response = Response("\n".join(lines) + "\n", mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="{product.slug}.txt"'
    return response


def register(app: Flask, hits: PathHits) -> None:
    """Give them their addresses, declare what is no event of pathhits' own, and let templates ask what was done."""
    hits.event_type("product.rating_raised", counter="rating_sum", value=1)
    hits.event_type("product.rating_lowered", counter="rating_sum", value=-1)
    for name, view in (("like", like), ("watch", watch), ("rate", rate)):
        app.add_url_rule(f"/products/<slug>/{name}", name, view, methods=["POST"])
    app.add_url_rule("/products/<slug>/sheet", "sheet", sheet)
    app.add_template_global(is_liked)
    app.add_template_global(is_watched)
    app.add_template_global(own_stars)


def is_liked(product: Product) -> bool:
    """Whether this visitor likes the product."""
    person = _person()
    return bool(person) and db.session.get(Like, (person, product.id)) is not None


def is_watched(product: Product) -> bool:
    """Whether it is on the watchlist of who is signed in."""
    user = current_user()
    return user is not None and db.session.get(Watched, (user.id, product.id)) is not None


def own_stars(product: Product) -> int:
    """The stars that who is signed in gave it; 0 for none."""
    user = current_user()
    rating = db.session.get(Rating, (user.id, product.id)) if user else None
    return rating.stars if rating else 0


def _say(event: str, product: Product, value: int = 1) -> None:
    """Tell pathhits, after the commit: it neither fails nor waits."""
    the_hits().track(event, product.slug, value=value, user_id=session.get("user"))


def _added(row: Base) -> bool:
    """Whether the row is new; where there is one already, also one that came at the same moment, nothing changes."""
    db.session.add(row)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True


def _changed(statement: object) -> bool:
    count: int = db.session.execute(statement).rowcount  # type: ignore[call-overload]  # an update or delete
    db.session.commit()
    return bool(count)


def _person() -> str:
    """Whose like it is: the user's, else the guest's; "" for one who has not liked anything yet."""
    user = session.get("user")
    return f"user:{user}" if user else session.get("guest", "")


def _new_guest() -> str:
    session["guest"] = f"guest:{secrets.token_hex(8)}"
    return str(session["guest"])


def _back(slug: str) -> AnyResponse:
    return redirect(url_for("product_detail", slug=slug), 303)
