"""The release: both sets of migrations in one database, and a catalogue that is filled once."""

from __future__ import annotations

from collections.abc import Callable

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import func, inspect, select

from demo_app import MIGRATIONS, create_app, shop_database
from demo_app.catalogue import PRODUCTS
from demo_app.models import Product, db, include_name
from demo_app.release import release
from pathhits import PathHits


def test_a_second_release_adds_nothing_and_keeps_what_was_edited(shop: Flask) -> None:
    with shop.app_context():
        db.session.scalars(select(Product).where(Product.slug == "iron-pan")).one().price_cents = 1
        db.session.commit()
    assert release(shop) == (0, {})
    with shop.app_context():
        assert db.session.scalar(select(func.count()).select_from(Product)) == len(PRODUCTS)
        assert db.session.scalars(select(Product.price_cents).where(Product.slug == "iron-pan")).one() == 1


def test_the_shop_migrates_up_and_down_beside_pathhits_and_proposes_nothing_more(
    make_shop: Callable[[str, str], Flask], redis_url: str, database_url: str
) -> None:
    shop = make_shop(redis_url, database_url)
    release(shop)
    with shop.app_context():
        both = set(inspect(db.engine).get_table_names())
        assert {"shop_products", "path_counters"} <= both
        with db.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": include_name, "compare_type": True})
            assert compare_metadata(context, db.metadata) == []
        downgrade(directory=str(MIGRATIONS), revision="base")
        assert {name for name in inspect(db.engine).get_table_names() if name.startswith("shop_")} == set()
        upgrade(directory=str(MIGRATIONS))
        assert set(inspect(db.engine).get_table_names()) == both


def test_a_relative_sqlite_file_is_the_one_pathhits_writes_to() -> None:
    from pathlib import Path

    assert shop_database("sqlite:///some.db") == f"sqlite:///{Path.cwd() / 'some.db'}"
    assert shop_database("postgresql+psycopg://me:secret@db/shop") == "postgresql+psycopg://me:secret@db/shop"


def test_each_process_without_a_given_key_has_one_of_its_own(redis_url: str, sqlite_url: str) -> None:
    keys = {create_app(PathHits(redis_url=redis_url, database_url=sqlite_url)).config["SECRET_KEY"] for _ in range(2)}
    assert len(keys) == 2
    assert all(len(key) >= 32 for key in keys)
