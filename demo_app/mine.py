"""What is a user's own: the watchlist, and the history, which a listener of pathhits writes in the worker.

No visitor waits for their history to be written. It is only of those who are signed in: to the others' views belongs no
user, and to those of people who opted out neither.
"""

from __future__ import annotations

from flask import Flask, render_template
from sqlalchemy import select

from demo_app.accounts import signed_in, the_user
from demo_app.models import Product, Seen, User, Watched, db
from pathhits import Event, PathHits

MOST = 60


@signed_in
def watchlist() -> str:
    """What a user watches, the newest first."""
    user = the_user()
    own = select(Product).join(Watched, Watched.product_id == Product.id).where(Watched.user_id == user.id)
    found = db.session.scalars(own.order_by(Watched.added_at.desc(), Product.id).limit(MOST)).all()
    return render_template("watchlist.html", products=found)


@signed_in
def history() -> str:
    """What a user looked at, the latest first."""
    user = the_user()
    own = select(Product, Seen).join(Seen, Seen.product_id == Product.id).where(Seen.user_id == user.id)
    found = db.session.execute(own.order_by(Seen.seen_at.desc(), Product.id).limit(MOST)).all()
    return render_template("history.html", rows=found)


def remember(event: Event) -> None:
    """Note in a user's history what they looked at or fetched; being told twice, or out of order, changes nothing."""
    user = db.session.get(User, int(event.user_id)) if event.user_id.isdigit() and len(event.user_id) < 10 else None
    product = db.session.scalar(select(Product).where(Product.slug == event.item_id))
    if user is None or product is None:
        return
    moment = event.moment.replace(tzinfo=None)
    row = db.session.get(Seen, (user.id, product.id))
    if row is None:
        row = Seen(user_id=user.id, product_id=product.id, seen_at=moment, downloaded=False)
        db.session.add(row)
    row.seen_at = max(row.seen_at, moment)
    row.downloaded = row.downloaded or event.name == "product.downloaded"
    # Where somebody else wrote the row at the same moment this raises, and pathhits calls again.
    db.session.commit()


def register(app: Flask, hits: PathHits) -> None:
    """Give both pages their addresses, and have the worker call `remember`."""
    app.add_url_rule("/watchlist", "watchlist", watchlist)
    app.add_url_rule("/history", "history", history)
    for event in ("product.viewed", "product.downloaded"):

        @hits.on(event, name=f"history.{event}")
        def write(event: Event) -> None:
            with app.app_context():
                remember(event)
