"""``pathhits key``: who may read the API, and who may send events to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table, told

if TYPE_CHECKING:
    from pathhits.storage.sql.apikeys import Scope


@click.group()
def key() -> None:
    """Keys of the JSON API: made, listed and removed here."""


@key.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "write"]),
    multiple=True,
    default=("read",),
    show_default=True,
    help="What it may do: read counts, write events; may be given twice.",
)
@json_option
@with_hits
def key_add(hits: PathHits, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    wanted = cast("tuple[Scope, ...]", tuple(sorted(set(scopes))))
    made = hits.api_keys.add(name, wanted)
    if as_json:
        print_json({"name": name, "scopes": wanted, "key": made})
    else:
        click.echo(made)


@key.command("list")
@json_option
@with_hits
def key_list(hits: PathHits, as_json: bool) -> None:
    """Print the names of all keys, what they may do, and when they were made."""
    found = hits.api_keys.known()
    if as_json:
        print_json(
            [{"name": one.name, "scopes": one.scopes, "created_at": one.created_at.isoformat()} for one in found]
        )
        return
    rows = [(one.name, ", ".join(one.scopes), told(one.created_at)) for one in found]
    empty = "There is no key: make one with pathhits key add NAME."
    print_table("Keys", [(name, "left") for name in ("name", "scopes", "made (UTC)")], rows, empty)


@key.command("remove")
@click.argument("name")
@with_hits
def key_remove(hits: PathHits, name: str) -> int:
    """Remove a key; it opens nothing any more. Exit code 1 where there is none of that name."""
    if hits.api_keys.remove(name):
        click.echo(f"{name} is removed.")
        return 0
    click.echo(f"There is no key {name}: see pathhits key list.", err=True)
    return 1
