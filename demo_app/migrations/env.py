"""Alembic's entry into the shop: its own tables only; those of pathhits have their own migrations."""

from __future__ import annotations

from alembic import context
from flask import current_app

from demo_app.models import db, include_name


def run() -> None:
    """Bring the shop's tables up or down over the application's own engine."""
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            include_name=include_name,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
