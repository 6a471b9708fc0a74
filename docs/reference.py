"""Writes the generated parts of docs/*.md anew: settings, commands, the reasons of drops and refusals (``make docs``).

A generated part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; tests/unit/test_docs.py compares.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from pathhits.cli import group
from pathhits.core.rules import REFUSALS
from pathhits.core.statuses import REASONS
from pathhits.settings import BARE_ENV_NAMES, ENV_PREFIX, Settings

DOCS = Path(__file__).resolve().parent
_PART = re.compile(r"(<!-- begin ([a-z]+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def table(headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def settings() -> str:
    """One row a setting."""
    return table(("setting", "environment", "default", "unit", "meaning"), _settings())


def _settings() -> Iterator[tuple[str, ...]]:
    for spec in dataclasses.fields(Settings):
        variables = [f"{ENV_PREFIX}{spec.name.upper()}", *filter(None, [BARE_ENV_NAMES.get(spec.name)])]
        yield (
            f"`{spec.name}`",
            ", ".join(f"`{variable}`" for variable in variables),
            f"`{written(spec.default)}`" if spec.default != "" else "(empty)",
            spec.metadata["unit"] or "",
            spec.metadata["help"],
        )


def written(value: Any) -> str:
    """A value as it is written in the environment."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def commands() -> str:
    """One section a command: its usage, what it does, its arguments and options."""
    return "\n".join(_command(path, command) for path, command in every_command())


def every_command(command: click.Command = group, path: tuple[str, ...] = ("pathhits",)) -> Iterator[Any]:
    """Every command that does something, with its full name."""
    if isinstance(command, click.Group):
        if command.params:
            yield path, command
        for name in sorted(command.commands):
            yield from every_command(command.commands[name], (*path, name))
    else:
        yield path, command


def _command(path: tuple[str, ...], command: click.Command) -> str:
    # With its parent, as when it is run: click keeps the help option that it makes here.
    parent = click.Context(group, info_name=path[0], **group.context_settings)
    context = click.Context(command, info_name=path[-1], parent=parent)
    pieces = " ".join(command.collect_usage_pieces(context))
    text = [f"### `{' '.join(path)}`\n", f"```\n{' '.join(path)} {pieces}\n```\n"]
    text.append(f"{' '.join((command.help or '').split())}\n")
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        text.append(table(("option", "meaning"), ((_option(option), _meaning(option)) for option in options)))
    return "\n".join(text)


def _option(option: click.Option) -> str:
    metavar = "" if option.is_flag else f" {option.metavar or option.type.name.upper().split()[0]}"
    return f"`{', '.join(option.opts)}{metavar}`"


def _meaning(option: click.Option) -> str:
    shown = f" Default: {option.default}." if option.show_default else ""
    return f"{option.help}{shown}"


def drops() -> str:
    """One row a reason."""
    return table(("reason", "meaning"), ((f"`{reason}`", text) for reason, text in REASONS.items()))


def refusals() -> str:
    """One row a reason."""
    return table(("reason", "meaning"), ((f"`{reason}`", text) for reason, text in REFUSALS.items()))


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "drops": drops,
    "refusals": refusals,
}


def renewed(text: str) -> str:
    """A page with its generated parts written anew; KeyError for a part nobody generates."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Renew every page."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(renewed(text), encoding="utf-8")


if __name__ == "__main__":
    main()
