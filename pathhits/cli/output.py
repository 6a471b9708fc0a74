"""How commands print: JSON, or tables for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def print_json(value: Any) -> None:
    """``value`` as JSON; what JSON has no form for is printed as text."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], empty: str) -> None:
    """A table on the terminal; ``columns`` are (heading, "left" or "right")."""
    console = Console()
    if not rows:
        console.print(empty, markup=False, highlight=False)
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading, justify in columns:
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> Any:
    from rich.text import Text

    # Text, not markup: a path may hold brackets.
    return Text(f"{value:,}" if isinstance(value, int) else str(value))


def told(value: Any) -> Any:
    """A value as a table has it: moments to the second, a dash for none."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "-" if value is None else value


def moment(milliseconds: int) -> str:
    """Milliseconds since 1970 as a table has them, UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
