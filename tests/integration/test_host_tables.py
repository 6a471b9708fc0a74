"""What pathhits does with an app's own tables: queries in order of views, mirrored columns, counts on models."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template_string
from sqlalchemy import Boolean, Integer, String, event, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column

from pathhits import PathHits
from pathhits.errors import SettingsError
from pathhits.hits import VIEWS, Batch, Delta
from pathhits.integrations.sqlalchemy import ViewCounted
from pathhits.storage.sql import transfer
from pathhits.storage.sql.dialects.engines import make_engine
from tests.integration.conftest import made
from tests.integration.logbook import DAY_MS, put_views
from tests.servers.postgres import PostgresServer

NOW = time.time_ns() // 1_000_000


class Base(DeclarativeBase):
    pass


class Product(ViewCounted, Base):
    __tablename__ = "shop_products"
    __item_id__ = "slug"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(80))
    seen: Mapped[int] = mapped_column(Integer, default=0)
    is_hot: Mapped[bool] = mapped_column(Boolean, default=False)
    people: Mapped[int | None] = mapped_column(Integer)
    lately: Mapped[int] = mapped_column(Integer, default=0)


class Story(ViewCounted, Base):
    __tablename__ = "stories"
    __item_type__ = "tale"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    seen: Mapped[int] = mapped_column(Integer, default=0)


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    Base.metadata.create_all(hits.engine)
    yield hits
    hits.close(0.1)


def stock(hits: PathHits, *rows: Base) -> None:
    with Session(hits.engine) as session:
        session.add_all(rows)
        session.commit()


def views(hits: PathHits, item: str, n: int) -> None:
    put_views(hits, item, [(NOW, visitor) for visitor in range(1, n + 1)])


# The order of views.

SLUGS = ["a", "b", "B", "b%", "é:1", "x" * 80, "nobody", "alsonobody"]


def test_an_apps_own_query_in_the_order_of_views(hits: PathHits) -> None:
    stock(hits, *(Product(slug=slug) for slug in SLUGS))
    for n, slug in enumerate(["b", "x" * 80, "é:1", "B", "a", "b%"]):
        views(hits, f"product:{slug}", 3 + n)
    views(hits, "story:nobody", 50)
    views(hits, "product:not a product", 60)
    with Session(hits.engine) as session:
        found = session.scalars(hits.order_by_views(select(Product), Product.slug)).all()
        assert [one.slug for one in found] == ["b%", "a", "B", "é:1", "x" * 80, "b", "alsonobody", "nobody"]
        first = session.scalars(hits.order_by_views(select(Product), Product.slug, "product").limit(2)).all()
        assert [one.slug for one in first] == ["b%", "a"]
        other = aliased(Product)
        some = hits.order_by_views(select(other.slug).where(other.slug < "c"), other.slug, "product")
        assert next(iter(session.scalars(some))) == "b%"


def test_ids_may_be_numbers_and_the_type_another(hits: PathHits) -> None:
    stock(hits, *(Story(id=n) for n in (1, 2, 11, 12)))
    views(hits, "story:2", 2)
    views(hits, "story:11", 5)
    views(hits, "tale:1", 7)
    with Session(hits.engine) as session:
        assert [one.id for one in session.scalars(hits.order_by_views(select(Story), Story.id))] == [11, 2, 1, 12]
        tales = hits.order_by_views(select(Story), Story.id, "tale")
        assert [one.id for one in session.scalars(tales)] == [1, 2, 11, 12]
        table = Story.__table__
        core = hits.order_by_views(select(table.c.id), table.c.id, "story")
        assert list(session.scalars(core)) == [11, 2, 1, 12]


def test_two_items_that_a_database_takes_for_one_make_no_row_twice(hits: PathHits) -> None:
    stock(hits, Product(slug="a"), Product(slug="b"))
    views(hits, "product:a", 1)
    views(hits, "product:a ", 9)
    views(hits, "product:b", 2)
    with Session(hits.engine) as session:
        found = [one.slug for one in session.scalars(hits.order_by_views(select(Product), Product.slug))]
    assert sorted(found) == ["a", "b"]


def test_a_type_that_cannot_be_is_refused(hits: PathHits) -> None:
    with pytest.raises(SettingsError, match="item type"):
        hits.order_by_views(select(Product), Product.slug, "No type")


# Mirrors.


def mirror(hits: PathHits, **more: Any) -> None:
    hits.mirror("product", Product, id=Product.slug, views=Product.seen, hot=Product.is_hot, **more)


def mirrored(hits: PathHits) -> dict[str, tuple[int, bool, int | None, int]]:
    with Session(hits.engine) as session:
        return {one.slug: (one.seen, one.is_hot, one.people, one.lately) for one in session.scalars(select(Product))}


def test_columns_follow_the_items(hits: PathHits) -> None:
    mirror(hits, visitors=Product.people, recent_views=Product.lately)
    stock(hits, Product(slug="a"), Product(slug="b"), Product(slug="c", seen=7, people=1))
    views(hits, "product:a", 100)
    views(hits, "product:b", 3)
    views(hits, "product:gone", 3)
    views(hits, "story:c", 3)
    hits.refresh_items()
    assert mirrored(hits) == {"a": (100, True, 100, 100), "b": (3, False, 3, 3), "c": (7, False, 1, 0)}
    views(hits, "product:b", 4)
    hits.refresh_items()
    assert mirrored(hits)["b"] == (7, False, 4, 7)


def test_columns_follow_an_import(hits: PathHits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LINES_A_CHUNK", 1)
    mirror(hits, visitors=Product.people, recent_views=Product.lately)
    stock(hits, Product(slug="a"), Product(slug="b"), Product(slug="c"))
    views(hits, "product:a", 3)
    hits.refresh_items()
    with closing(made(hits.settings.redis_url, f"sqlite:///{tmp_path / 'b.db'}", namespace="other")) as other:
        other.migrate()
        put_views(other, "product:a", [(NOW - DAY_MS, visitor) for visitor in range(100, 105)])
        put_views(other, "product:b", [(NOW - n, 7) for n in range(120)])
        other.refresh_items()

        def lines() -> Iterator[str]:
            """Between any two lines the job runs."""
            for line in other.export_lines():
                hits.refresh_items()
                yield line

        hits.import_lines(lines())
        hits.refresh_items()
        assert mirrored(hits) == {"a": (8, False, 8, 8), "b": (120, True, 1, 120), "c": (0, False, None, 0)}
        assert hits.verify().ok, hits.verify()


def test_a_mirror_is_written_only_where_it_changes(hits: PathHits) -> None:
    mirror(hits)
    stock(hits, Product(slug="a"), Product(slug="b"))
    views(hits, "product:a", 100)
    views(hits, "product:b", 1)
    written: list[str] = []

    @event.listens_for(hits.engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if statement.startswith("UPDATE shop_products"):
            written.append(statement)

    hits.refresh_items()
    assert len(written) == 1, "two rows by one statement"
    hits.refresh_items(all_items=True)
    assert len(written) == 1
    stock_changed = update(Product).where(Product.slug == "b").values(seen=50)
    with hits.engine.begin() as connection:
        connection.execute(stock_changed)
    hits.refresh_items(all_items=True)
    assert mirrored(hits)["b"][0] == 1
    assert len(written) == 3, "the test's own, and one"


def test_ids_that_the_column_cannot_hold_are_passed_over(hits: PathHits) -> None:
    hits.mirror("story", Story, id=Story.id, views=Story.seen)
    stock(hits, Story(id=1), Story(id=7))
    for item in ("story:7", "story:seven", "story:01", "story:1.0", "story:"):
        views(hits, item, 4)
    hits.refresh_items()
    with Session(hits.engine) as session:
        assert {one.id: one.seen for one in session.scalars(select(Story))} == {1: 0, 7: 4}


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_a_row_that_the_app_holds_is_written_by_the_next_run(
    server: str, redis_url: str, request: pytest.FixtureRequest
) -> None:
    hits = PathHits(redis_url=redis_url, database_url=request.getfixturevalue(f"{server}_url"))
    hits.migrate()
    Base.metadata.create_all(hits.engine)
    mirror(hits)
    stock(hits, Product(slug="a"), Product(slug="b"), Product(slug="c"))
    for slug in "abc":
        views(hits, f"product:{slug}", 3)
    with hits.engine.connect() as app, app.begin():
        app.execute(select(Product.id).where(Product.slug == "b").with_for_update())
        began = time.monotonic()
        assert hits.refresh_items().items == 3
        assert time.monotonic() - began < 20, "it waits for nobody"
        assert {slug: row[0] for slug, row in mirrored(hits).items()} == {"a": 3, "b": 0, "c": 3}
    assert hits.refresh_items().items == 1
    assert mirrored(hits)["b"][0] == 3
    assert hits.refresh_items().items == 0
    hits.close(0.1)


def test_a_table_in_another_database(hits: PathHits, postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        other = make_engine(url)
        Base.metadata.create_all(other)
        with Session(other) as session:
            session.add(Product(slug="a"))
            session.commit()
        mirror(hits, engine=other)
        views(hits, "product:a", 100)
        hits.refresh_items()
        with Session(other) as session:
            found = session.scalars(select(Product)).one()
            assert (found.seen, found.is_hot) == (100, True)
        other.dispose()


def test_a_mirror_that_fails_stops_nothing_else(hits: PathHits, caplog: pytest.LogCaptureFixture) -> None:
    mirror(hits)
    hits.mirror("product", Story, id=Story.id, views=Story.seen)
    stock(hits, Story(id=1))
    views(hits, "product:a", 100)
    views(hits, "product:1", 2)
    with hits.engine.begin() as connection:
        connection.execute(text("DROP TABLE shop_products"))
    with caplog.at_level(logging.ERROR, "pathhits"):
        assert hits.refresh_items().became_hot == 1
    assert "mirror of product in shop_products failed" in caplog.text
    with Session(hits.engine) as session:
        assert session.scalars(select(Story.seen)).all() == [2]


@pytest.mark.parametrize(
    "given",
    [
        {"id": Product.slug},
        {"id": "slug", "views": Product.seen},
        {"id": Product.slug, "views": Story.seen},
        {"id": Story.id, "views": Story.seen},
        {"id": Product.slug, "views": select(Product.seen)},
    ],
)
def test_a_mirror_of_what_is_no_column_of_the_model_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="mirror"):
        PathHits().mirror("product", Product, **given)


# Counts on models and in templates.


@pytest.fixture
def counted(redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    hits.migrate()
    put_views(hits, "product:jug", [(NOW, 1)] * 50)
    put_views(hits, "tale:7", [(NOW, 1), (NOW, 2)])
    batch = Batch("test", 1, "g1", {Delta(NOW // 3_600_000, VIEWS, "product:jug"): 3}, {})
    assert hits.pending.add(batch, "").status == "added"
    yield hits
    hits.close(0.1)


def test_a_row_knows_its_views(counted: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViewCounted, "__pathhits__", counted)
    count = Product(slug="jug").view_count()
    assert (int(count), count.stored, count.pending) == (53, 50, 3)
    assert Story(id=7).item_stats().visitors == 2


@pytest.mark.parametrize("order", [(ViewCounted, Base), (Base, ViewCounted)], ids=["first", "last"])
@pytest.mark.parametrize("column", [{"view_count": mapped_column(Integer, default=0)}, {}], ids=["made", "annotated"])
def test_a_column_that_would_hide_the_count_is_refused(order: tuple[type, ...], column: dict[str, Any]) -> None:
    class Registry(DeclarativeBase):
        pass

    bases = tuple(Registry if base is Base else base for base in order)
    annotations = {"id": Mapped[int], "view_count": Mapped[int]}
    body = {"__tablename__": "films", "__annotations__": annotations, "id": mapped_column(primary_key=True), **column}
    with pytest.raises(SettingsError, match=r'Film.view_count hides .* views = mapped_column\("view_count"\)'):
        type("Film", bases, body)


def test_a_row_finds_the_flask_app_at_work(counted: PathHits) -> None:
    app = Flask("shop")
    counted.init_app(app)
    with pytest.raises(SettingsError, match=r"Product\.__pathhits__ is not set"):
        Product(slug="jug").view_count()
    with app.app_context():
        assert Product(slug="jug").view_count() == 53


def test_filters_in_jinja(counted: PathHits) -> None:
    app = Flask("shop")
    counted.init_app(app)
    app.jinja_options = {"trim_blocks": True}
    page = "{{ 'jug'|view_count('product') }} {% set stats = 7|item_stats('tale') %}\n{{ stats.recent_views }}"
    with app.app_context():
        assert render_template_string(page) == "53 2"
    assert app.jinja_env.trim_blocks, "the app may still change its templates after init_app"


@pytest.mark.parametrize("before", [True, False])
def test_filters_of_the_apps_own_win(counted: PathHits, before: bool) -> None:
    app = Flask("shop")
    set_own: Callable[[], None] = lambda: app.add_template_filter(str.upper, "view_count")  # noqa: E731  # said twice
    if before:
        set_own()
    counted.init_app(app)
    if not before:
        set_own()
    with app.app_context():
        assert render_template_string("{{ 'jug'|view_count }} {{ (7|item_stats('tale')).views }}") == "JUG 2"


def test_counts_in_a_template_never_raise(sqlite_url: str) -> None:
    hits = PathHits(redis_url="redis://127.0.0.1:1/0", database_url=sqlite_url)
    app = Flask("shop")
    hits.init_app(app)
    with app.app_context():
        assert render_template_string(
            "{{ 'jug'|view_count('product') }} {{ ('a'|item_stats('product')).partial }}"
        ) == ("0 True")
        assert Product(slug="jug").view_count().partial
    hits.close(0.1)
