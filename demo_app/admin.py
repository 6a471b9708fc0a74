"""What an admin sees and does: the numbers of the catalogue, a product edited, a shelf filled.

An edit is the event product.updated: pathhits sends the mail about it, and deletes what is cached of the product.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

from flask import Flask, redirect, render_template, request, session, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from demo_app.accounts import admins_only
from demo_app.choosing import product_or_404, products_of
from demo_app.counts import the_hits
from demo_app.models import Featured, Product, db
from demo_app.recommending import REASONS
from demo_app.searching import WEEK
from demo_app.shelves import SHELVES, feature, unfeature
from pathhits import StoreUnavailable

if TYPE_CHECKING:
    from pathhits.core.clicks import ClickRate
    from pathhits.core.searches import SearchRow

HOT_SHOWN = ROWS = 10
LAST_PLACE = 99
#: The texts of a product that can be edited, and how long each may be.
TEXTS = {"name": 120, "summary": 200, "material": 120, "size": 120, "description": 2_000}
_PRICE = re.compile(r"(\d{1,5})(?:\.(\d{1,2}))?")


@admins_only
def overview() -> str:
    """The catalogue with its numbers, the shelves, and what is hot; the columns of views are kept by `hits.mirror`."""
    products = db.session.scalars(select(Product).order_by(Product.view_count.desc(), Product.name)).all()
    shelved = {row.product_id: row for row in db.session.scalars(select(Featured))}
    recent = {row.item_id: row.recent_views for row in the_hits().hot_items("product", HOT_SHOWN)}
    return render_template(
        "admin.html",
        products=products,
        shelved=shelved,
        shelves=SHELVES,
        hot=products_of(list(recent)),
        recent=recent,
        reasons=REASONS,
        **_asked_for(),
    )


@admins_only
def edit(slug: str) -> str | Response | tuple[str, int]:
    """The form of a product, and what becomes of it."""
    product = product_or_404(slug)
    shelved = db.session.get(Featured, product.id)
    if request.method == "GET":
        return render_template("admin_edit.html", product=product, shelved=shelved, shelves=SHELVES, lengths=TEXTS)
    wrong = _wrong()
    if wrong:
        shown = {"product": product, "shelved": shelved, "shelves": SHELVES, "lengths": TEXTS}
        return render_template("admin_edit.html", problem=wrong, given=request.form, **shown), 400
    changed = _take_over(product)
    db.session.commit()
    if changed:
        said = {"name": product.name, "changed": changed}
        the_hits().track_change("product.updated", product.slug, properties=said, user_id=session.get("user"))
    return redirect(url_for("product_detail", slug=product.slug), 303)


@admins_only
def shelve(slug: str) -> Response:
    """Put a product on a shelf of the home page, move it, or take it off."""
    product, shelf = product_or_404(slug), request.form.get("shelf", "")
    if shelf in SHELVES:
        place = min(max(request.form.get("place", 1, type=int), 1), LAST_PLACE)
        feature(product, shelf, place, request.form.get("until", None, type=datetime.date.fromisoformat))
    else:
        unfeature(product)
    return redirect(url_for("admin"), 303)


def register(app: Flask) -> None:
    """Give them their addresses."""
    app.add_url_rule("/admin", "admin", overview)
    app.add_url_rule("/admin/products/<slug>", "admin_edit", edit, methods=["GET", "POST"])
    app.add_url_rule("/admin/products/<slug>/shelf", "admin_shelve", shelve, methods=["POST"])


def _asked_for() -> dict[str, list[SearchRow] | list[ClickRate] | None]:
    """What was looked for in the last seven days, found and in vain, and what was clicked; None where SQL is away."""
    hits, since = the_hits(), datetime.datetime.now(datetime.UTC) - WEEK
    try:
        return {
            "popular": hits.popular_searches(since, ROWS),
            "failed": hits.failed_searches(since, ROWS),
            "rates": hits.click_rates(since, item_type="product"),
        }
    except StoreUnavailable:
        return dict.fromkeys(("popular", "failed", "rates"))


def _wrong() -> str:
    """What is wrong with the form that was sent, "" for nothing."""
    for name, longest in TEXTS.items():
        if not 0 < len(request.form.get(name, "").strip()) <= longest:
            return f"The {name} needs 1 to {longest} characters."
    if not _PRICE.fullmatch(request.form.get("price", "").strip()):
        return "The price is a number such as 39 or 39.50."
    return ""


def _take_over(product: Product) -> dict[str, list[str]]:
    """Change the product; what changed, from what to what."""
    euros, cents = _PRICE.fullmatch(request.form["price"].strip()).groups()  # type: ignore[union-attr]  # see `_wrong`
    given: dict[str, str | int] = {name: request.form[name].strip().replace("\r\n", "\n") for name in TEXTS}
    given["price_cents"] = int(euros) * 100 + int((cents or "").ljust(2, "0"))
    changed = {}
    for name, value in given.items():
        if (before := getattr(product, name)) != value:
            changed[name] = [str(before), str(value)]
            setattr(product, name, value)
    return changed
