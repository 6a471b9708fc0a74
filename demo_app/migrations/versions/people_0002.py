"""Brands, tags, users and what they do, the shelves of the home page, and a full-text index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEXED = "name, words, summary, description, material"
NEW = "new.id, new.name, new.words, new.summary, new.description, new.material"
OLD = "'delete', old.id, old.name, old.words, old.summary, old.description, old.material"
#: The index reads the products' own rows; these three keep it at what they say (SQLite's manual, FTS5, 4.4.3).
TRIGGERS = {
    "shop_search_added": "AFTER INSERT ON shop_products BEGIN "
    f"INSERT INTO shop_search(rowid, {INDEXED}) VALUES ({NEW})",
    "shop_search_gone": "AFTER DELETE ON shop_products BEGIN "
    f"INSERT INTO shop_search(shop_search, rowid, {INDEXED}) VALUES ({OLD})",
    "shop_search_changed": f"AFTER UPDATE OF {INDEXED} ON shop_products BEGIN "
    f"INSERT INTO shop_search(shop_search, rowid, {INDEXED}) VALUES ({OLD}); "
    f"INSERT INTO shop_search(rowid, {INDEXED}) VALUES ({NEW})",
}


def upgrade() -> None:
    """Widen the table of products and make the others."""
    for column in (
        sa.Column("brand", sa.String(40), nullable=False, server_default=""),
        sa.Column("words", sa.String(250), nullable=False, server_default=""),
        sa.Column("view_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("is_hot", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("shop_products", column)
    op.create_index("ix_shop_products_brand", "shop_products", ["brand"])
    op.create_index("ix_shop_products_view_count", "shop_products", ["view_count"])
    op.create_table(
        "shop_users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, unique=True),
        sa.Column("password", sa.String(200), nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table("shop_tags", _product(), sa.Column("tag", sa.String(40), primary_key=True))
    op.create_index("ix_shop_tags_tag", "shop_tags", ["tag"])
    op.create_table("shop_likes", sa.Column("person", sa.String(40), primary_key=True), _product())
    op.create_table(
        "shop_ratings",
        _user(),
        _product(),
        sa.Column("stars", sa.Integer, nullable=False),
        sa.CheckConstraint("stars BETWEEN 1 AND 5", name="shop_ratings_stars"),
    )
    op.create_table("shop_watchlist", _user(), _product(), sa.Column("added_at", sa.DateTime, nullable=False))
    op.create_table(
        "shop_history",
        _user(),
        _product(),
        sa.Column("seen_at", sa.DateTime, nullable=False),
        sa.Column("downloaded", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("ix_shop_history_seen_at", "shop_history", ["seen_at"])
    op.create_table(
        "shop_featured",
        _product(),
        sa.Column("shelf", sa.String(40), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("until", sa.Date),
    )
    if op.get_bind().dialect.name == "sqlite":
        _index_for_search()


def downgrade() -> None:
    """Leave the table of products as it was, and drop the others."""
    if op.get_bind().dialect.name == "sqlite":
        for name in TRIGGERS:
            op.execute(f"DROP TRIGGER {name}")
        op.execute("DROP TABLE shop_search")
    for name in ("featured", "history", "watchlist", "ratings", "likes", "tags", "users"):
        op.drop_table(f"shop_{name}")
    op.drop_index("ix_shop_products_view_count", "shop_products")
    op.drop_index("ix_shop_products_brand", "shop_products")
    with op.batch_alter_table("shop_products") as products:
        for name in ("is_hot", "view_count", "words", "brand"):
            products.drop_column(name)


def _product() -> sa.Column[int]:
    return sa.Column("product_id", sa.Integer, sa.ForeignKey("shop_products.id"), primary_key=True)


def _user() -> sa.Column[int]:
    return sa.Column("user_id", sa.Integer, sa.ForeignKey("shop_users.id"), primary_key=True)


def _index_for_search() -> None:
    op.execute(
        f"CREATE VIRTUAL TABLE shop_search USING fts5({INDEXED}, content='shop_products', content_rowid='id', "
        "tokenize='porter unicode61 remove_diacritics 2', prefix='2 3')"
    )
    for name, what in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {what}; END")
    op.execute("INSERT INTO shop_search(shop_search) VALUES ('rebuild')")
