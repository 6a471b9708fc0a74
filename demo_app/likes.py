"""What visitors do with a product: like it, take it back, fetch its data sheet; pathhits is told, and counts."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, redirect, request, session, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from demo_app.models import Product, db
from pathhits import PathHits

#: Likes that one browser remembers: its cookie holds 4 kB.
MOST_LIKED = 100


def like(slug: str) -> AnyResponse:
    """Like a product, or take the like back; the session, a cookie of the shop's own, knows which of both it is."""
    if not _from_this_shop():
        abort(403)
    product, liked = _product(slug), session.get("liked", [])
    if product.slug in liked:
        session["liked"] = [one for one in liked if one != product.slug]
        _hits().track("product.unliked", product.slug)
    elif len(liked) < MOST_LIKED:
        session["liked"] = [*liked, product.slug]
        _hits().track("product.liked", product.slug)
    return redirect(url_for("product_detail", slug=product.slug), 303)


def sheet(slug: str) -> Response:
    """The data sheet of a product, to keep."""
    product = _product(slug)
    _hits().track("product.downloaded", product.slug)
    lines = (product.name, product.summary, "", f"Material: {product.material}", f"Size: {product.size}")
    response = Response("\n".join(lines) + "\n", mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="{product.slug}.txt"'
    return response


def register(app: Flask) -> None:
    """Give both their addresses, and templates a way to know what this visitor likes."""
    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    app.add_url_rule("/products/<slug>/like", "like", like, methods=["POST"])
    app.add_url_rule("/products/<slug>/sheet", "sheet", sheet)
    app.add_template_global(is_liked)


def is_liked(product: Product) -> bool:
    """Whether this visitor likes the product."""
    return product.slug in session.get("liked", [])


def _from_this_shop() -> bool:
    """Whether a form of this very site was sent: no other site can make a browser say so."""
    origin = request.headers.get("Origin", "")
    return urlsplit(origin).netloc == request.host and request.headers.get("Sec-Fetch-Site") in (None, "same-origin")


def _hits() -> PathHits:
    hits: PathHits = current_app.extensions["pathhits"]
    return hits


def _product(slug: str) -> Product:
    product = db.session.scalar(select(Product).where(Product.slug == slug))
    if product is None:
        abort(404)
    return product
