"""Prints what was sent and what pathhits should therefore say, in the words of `pathhits stats` and `pathhits top`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo_app.traffic.tally import CAMPAIGN, DIMENSIONS, Figures

#: Numbers of the whole site: what they count, of what, and how `pathhits stats` calls them.
SITE = (
    ("requests", "", "requests seen"),
    ("hits", "", "hits"),
    ("visitors", "", "visitors today (UTC)"),
    ("visits", "", "visits"),
    ("bounces", "", "  of one hit (bounces)"),
)
#: What each subject of these has its row in the totals for.
REASONS = (("dropped", "dropped: {}"), ("refused", "refused: {}"))
PAGES = {"hits": "hits of a page", "visitors": "visitors of a page"}
ITEMS = {"views": "views", "visitors": "visitors of an item", "likes": "likes", "sheets": "downloads",
         "recommended": "recommendation_clicks"}  # fmt: skip
SEARCHES = {"searches": "searches"}


def show(sent: Figures, counted: Figures | None, console: Console) -> None:
    """Print the tables; with ``counted``, what pathhits says where that is something else."""
    rows = [(name, (what, subject)) for what, subject, name in SITE]
    for what, name in REASONS:
        rows += [(name.format(subject), (what, subject)) for subject in _subjects((what,), sent, counted)]
    totals = _table("Totals", ("", "number"))
    for name, key in rows:
        totals.add_row(name, _cell(key, sent, counted))
    console.print(totals)
    for title, columns in (("Pages", PAGES), ("Items", ITEMS), ("Searches", SEARCHES)):
        console.print()
        console.print(_matrix(title, columns, sent, counted))
    console.print()
    console.print(_told_apart(sent, counted))


def _told_apart(sent: Figures, counted: Figures | None) -> Table:
    """The hits of each value of each dimension, those with most of them first."""
    table = _table("Hits by where they came from, and with what", ("", "", "hits"), numbers=1)
    for dimension in (*DIMENSIONS, *CAMPAIGN):
        values = sorted(_subjects((dimension,), sent, counted), key=lambda one: (-sent[dimension, one], one))
        for value in values:
            name = dimension if value == values[0] else ""
            table.add_row(name, Text(value), _cell((dimension, value), sent, counted))
    return table


def _matrix(title: str, columns: Mapping[str, str], sent: Figures, counted: Figures | None) -> Table:
    """A row for each subject, those with most of the first column first."""
    table, first = _table(title, ("", *columns)), next(iter(columns.values()))
    subjects = _subjects(columns.values(), sent, counted)
    for subject in sorted(subjects, key=lambda one: (-sent[first, one], one)):
        table.add_row(Text(subject), *(_cell((what, subject), sent, counted) for what in columns.values()))
    return table


def _subjects(kinds: Iterable[str], sent: Figures, counted: Figures | None) -> list[str]:
    """What there are numbers of, of these kinds."""
    known, wanted = sent.keys() | (counted or {}).keys(), set(kinds)
    return sorted({subject for what, subject in known if what in wanted})


def _cell(key: tuple[str, str], sent: Figures, counted: Figures | None) -> Text:
    if counted is None or counted[key] == sent[key]:
        return Text(f"{sent[key]:,}")
    return Text(f"{sent[key]:,}, but pathhits has {counted[key]:,}", style="bold red")


def _table(title: str, headings: Sequence[str], numbers: int | None = None) -> Table:
    """An empty table; its last columns are numbers, all but the first unless it is said how many."""
    first = 1 if numbers is None else len(headings) - numbers
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number >= first else "left", overflow="fold")
    return table
