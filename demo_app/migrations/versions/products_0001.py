"""The catalogue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of products."""
    op.create_table(
        "shop_products",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("slug", sa.String(80), nullable=False, unique=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("category", sa.String(40), nullable=False),
        sa.Column("shape", sa.String(40), nullable=False),
        sa.Column("price_cents", sa.Integer, nullable=False),
        sa.Column("summary", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("material", sa.String(120), nullable=False),
        sa.Column("size", sa.String(120), nullable=False),
        sa.Column("added_on", sa.Date, nullable=False),
    )
    op.create_index("ix_shop_products_category", "shop_products", ["category"])
    op.create_index("ix_shop_products_added_on", "shop_products", ["added_on"])


def downgrade() -> None:
    """Drop the table of products."""
    op.drop_table("shop_products")
