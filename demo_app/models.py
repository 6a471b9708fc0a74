"""The shop's own tables; pathhits keeps its tables apart from these, in the same database."""

from __future__ import annotations

import datetime
import sqlite3
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Date, Integer, String, Text, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BUSY_TIMEOUT_MS = 5_000


class Base(DeclarativeBase):
    """What all tables of the shop share: one metadata, which the migrations compare with."""


db = SQLAlchemy(metadata=Base.metadata)


class Product(Base):
    """A thing that is for sale; the slug is its address and its name towards pathhits."""

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
