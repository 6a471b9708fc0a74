"""Tables of requests and what a person wrote down beforehand that each counts under, or why it does not count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pathhits.testing import Counted

#: A browser that no list of bots knows.
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"


class Row(NamedTuple):
    """One request; ``label`` is what it counts under, or the reason of its drop after a ``!``."""

    path: str
    label: str
    method: str = "GET"
    host: str = "localhost"


def outcome(counted: Counted) -> str:
    """What the only request since the last `clear` came to, as in `Row.label`; fails when there was not exactly one."""
    hits, drops = counted.labels(), counted.drops()
    assert sum(hits.values()) + sum(drops.values()) == counted.requests() == 1, (hits, drops)
    return next(iter(hits), None) or f"!{next(iter(drops))}"


def differences(found: Iterable[tuple[Row, str]]) -> list[str]:
    """The rows that came to something else than what was written down."""
    return [
        f"{row.method} {row.host}{row.path}: {label}, not {row.label}" for row, label in found if label != row.label
    ]
