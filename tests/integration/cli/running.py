"""Runs commands, and reads what a failed one wrote."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pathhits import PathHits
from pathhits.cli import group

PASSWORD = "hunter2"
#: Commands that ask Redis and SQL, and those that only ask SQL.
ASK_BOTH = (
    ["sync"],
    ["sync", "--force"],
    ["stats"],
    ["top"],
    ["top", "--items", "product"],
    ["item", "product", "1"],
    ["prune"],
)
ASK_SQL = (["verify"], ["recount"], ["months"], ["db", "upgrade"], ["db", "current"])
Run = Callable[..., Result]


def runner(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``pathhits ...`` in this process, on these two stores, before any migration."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, exit_code: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(group, arguments, **options)
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result

    return run


def count(*labels: str) -> None:
    """Count one hit of each label in the Redis of this test."""
    with closing(PathHits()) as hits:
        for label in labels:
            hits.track_hit(label)
        assert hits.flush()


def migrate() -> None:
    with closing(PathHits()) as hits:
        hits.migrate()


def one_line(result: Result) -> str:
    """What a failed command wrote: one line on stderr, nothing on stdout, no password."""
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("pathhits: ")
    assert PASSWORD not in result.output
    return line


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Write a module of an app, ``counted_app``, where it can be imported."""
    (folder / "counted_app.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "counted_app", raising=False)
