"""The popularity of products, and the days of a made-up past that are still to be made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("shop_products", sa.Column("popularity", sa.Double, nullable=False, server_default="0"))
    op.create_index("ix_shop_products_popularity", "shop_products", ["popularity"])
    op.create_table("shop_past", sa.Column("day", sa.Date, primary_key=True))


def downgrade() -> None:
    """Take both away."""
    op.drop_table("shop_past")
    op.drop_index("ix_shop_products_popularity", "shop_products")
    # Not in a batch: SQLite would make the table anew, to which others refer, and lose the triggers of the index.
    op.drop_column("shop_products", "popularity")
