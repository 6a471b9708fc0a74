"""``pathhits export`` and ``pathhits import``: everything that was counted, as a file of JSON lines, and back."""

from __future__ import annotations

from typing import IO

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json


@click.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8", lazy=False))
@with_hits
def export_command(hits: PathHits, file: IO[str]) -> None:
    """Write all counts and events to FILE (- is the terminal), after a sync, as versioned lines of JSON."""
    hits.sync()
    for line in hits.export_lines():
        file.write(line + "\n")


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@json_option
@with_hits
def import_command(hits: PathHits, file: IO[str], as_json: bool) -> None:
    """Add what an export holds to the counts that are here; a file that was imported before changes nothing.

    An export of this database, and a second one of the same database, would count twice and are refused.
    """
    added, known = hits.import_lines(file)
    if as_json:
        print_json({"added": added, "known": known})
    else:
        click.echo(f"{added:,} rows were taken in, {known:,} had been taken in before.")
