"""The shop's own tables; pathhits keeps its tables apart from these, in the same database.

What one person did with one product is one row at most: the primary key says so, and nobody can like twice.
"""

from __future__ import annotations

import datetime
import sqlite3
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    String,
    Text,
    event,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pathhits.storage.sql.migrate import include_name as is_of_the_host

BUSY_TIMEOUT_MS = 5_000
#: The full-text index of SQLite, which is a table of its own with some more behind it.
SEARCH_TABLE = "shop_search"


class Base(DeclarativeBase):
    """What all tables of the shop share: one metadata, which the migrations compare with."""


db = SQLAlchemy(metadata=Base.metadata)


class Product(Base):
    """A thing that is for sale; the slug is its address and its name towards pathhits.

    ``words`` are what else it is found by: its brand and tags. ``view_count`` and ``is_hot`` are written by pathhits,
    which is asked to with `hits.mirror`, and so is ``popularity``, with `hits.mirror_popularity`.
    """

    __tablename__ = "shop_products"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    category: Mapped[str] = mapped_column(String(40), index=True)
    shape: Mapped[str] = mapped_column(String(40))
    price_cents: Mapped[int] = mapped_column(Integer)
    summary: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    material: Mapped[str] = mapped_column(String(120))
    size: Mapped[str] = mapped_column(String(120))
    added_on: Mapped[datetime.date] = mapped_column(Date, index=True)
    brand: Mapped[str] = mapped_column(String(40), index=True, server_default="")
    words: Mapped[str] = mapped_column(String(250), server_default="")
    view_count: Mapped[int] = mapped_column(Integer, index=True, server_default="0")
    is_hot: Mapped[bool] = mapped_column(Boolean, server_default=false())
    popularity: Mapped[float] = mapped_column(Double, index=True, server_default="0")
    tagged: Mapped[list[Tagged]] = relationship(
        order_by="Tagged.tag", lazy="selectin", cascade="all, delete-orphan", back_populates="product"
    )

    @property
    def tags(self) -> list[str]:
        """Its tags, in the order of the alphabet."""
        return [one.tag for one in self.tagged]


class Tagged(Base):
    """A tag of a product."""

    __tablename__ = "shop_tags"

    product_id: Mapped[int] = mapped_column(ForeignKey("shop_products.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True, index=True)
    product: Mapped[Product] = relationship(back_populates="tagged")


class User(Base):
    """Someone who can sign in."""

    __tablename__ = "shop_users"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    password: Mapped[str] = mapped_column(String(200))
    is_admin: Mapped[bool] = mapped_column(Boolean, server_default=false())


class Like(Base):
    """A product that somebody likes; ``person`` is a user, or a guest whose cookie holds a random number."""

    __tablename__ = "shop_likes"

    person: Mapped[str] = mapped_column(String(40), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop_products.id"), primary_key=True)


class Rating(Base):
    """The stars, 1 to 5, that a user gives a product."""

    __tablename__ = "shop_ratings"
    __table_args__ = (CheckConstraint("stars BETWEEN 1 AND 5", name="shop_ratings_stars"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("shop_users.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop_products.id"), primary_key=True)
    stars: Mapped[int] = mapped_column(Integer)


class Watched(Base):
    """A product on a user's watchlist, since when (UTC)."""

    __tablename__ = "shop_watchlist"

    user_id: Mapped[int] = mapped_column(ForeignKey("shop_users.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop_products.id"), primary_key=True)
    added_at: Mapped[datetime.datetime] = mapped_column(DateTime)


class Seen(Base):
    """A product in a user's history: when they last looked at it (UTC), and whether they fetched its data sheet."""

    __tablename__ = "shop_history"

    user_id: Mapped[int] = mapped_column(ForeignKey("shop_users.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop_products.id"), primary_key=True)
    seen_at: Mapped[datetime.datetime] = mapped_column(DateTime, index=True)
    downloaded: Mapped[bool] = mapped_column(Boolean, server_default=false())


class Featured(Base):
    """A product on a shelf of the home page: at which place, and up to and including which day (None: for good)."""

    __tablename__ = "shop_featured"

    product_id: Mapped[int] = mapped_column(ForeignKey("shop_products.id"), primary_key=True)
    shelf: Mapped[str] = mapped_column(String(40))
    place: Mapped[int] = mapped_column(Integer)
    until: Mapped[datetime.date | None] = mapped_column(Date)


class Past(Base):
    """A day of the made-up past that is still to be made; see `demo_app.history`."""

    __tablename__ = "shop_past"

    day: Mapped[datetime.date] = mapped_column(Date, primary_key=True)


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Whether Alembic's autogenerate is to look at it: neither pathhits' tables nor the full-text index."""
    return not (kind == "table" and (name or "").startswith(SEARCH_TABLE)) and is_of_the_host(name, kind, parents)


def now() -> datetime.datetime:
    """This moment in UTC, as the shop's tables hold it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def register(app: Flask) -> None:
    """Connect the shop to its database."""
    db.init_app(app)
    with app.app_context():
        event.listen(db.engine, "connect", _share_the_file)


def _share_the_file(connection: Any, _record: Any) -> None:
    """Let web and worker processes use one SQLite file at once: readers never wait, writers wait their turn."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
