"""``pathhits db``: the tables, created, changed, removed."""

from __future__ import annotations

import click

from pathhits.app import PathHits
from pathhits.cli.options import with_hits


@click.group()
def db() -> None:
    """The tables: create, change, remove."""


@db.command("upgrade")
@click.argument("revision", default="head")
@with_hits
def db_upgrade(hits: PathHits, revision: str) -> None:
    """Create or change the tables as this version needs them."""
    _migrate(hits, "upgrade", revision)


@db.command("downgrade")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_hits
def db_downgrade(hits: PathHits, revision: str, yes: bool) -> None:
    """Take the tables back to REVISION; "base" removes them with all counts."""
    if not yes:
        click.confirm("Counts may be lost. Go on?", abort=True)
    _migrate(hits, "downgrade", revision)


@db.command("current")
@with_hits
def db_current(hits: PathHits) -> int:
    """Print the revision of the database; exit code 1 when it is not the newest."""
    from pathhits.storage.sql import migrate

    at, wanted = migrate.current(hits.engine), migrate.head(hits.engine)
    click.echo(f"{at or 'nothing'} (this version needs {wanted})")
    return 0 if at == wanted else 1


def _migrate(hits: PathHits, direction: str, revision: str) -> None:
    from pathhits.storage.sql import migrate

    getattr(migrate, direction)(hits.engine, revision)
    click.echo(f"The database is at revision {migrate.current(hits.engine) or 'nothing'}.")
