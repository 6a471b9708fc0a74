"""Searches: what is kept of one, and under which spelling it is counted together with others."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from operator import index
from typing import Any, NamedTuple

from pathhits.core.rules import check_type
from pathhits.errors import EventError, SettingsError
from pathhits.hits import OTHER

#: Characters kept of a query; the width of the column that counts it.
QUERY_LENGTH = 500
#: Characters of a query that are looked at: a visitor may send any number of them.
LOOKED_AT = 10_000
#: Bytes of JSON that filters may have; longer ones are left out.
FILTERS_SIZE = 4 * 1024
#: Results beyond this many are as many.
MOST_RESULTS = 2**31 - 1

# Format characters that are letters' own (Persian, joined emoji); the others, such as bidi marks, say nothing.
_JOINERS = "\u200c\u200d"


class Search(NamedTuple):
    """What searches are counted under: the normalised query, what was looked for ("" for anything), whether in vain."""

    query: str
    entity_type: str
    failed: bool

    @property
    def key(self) -> bytes:
        """The hash by which it is found, whatever the collation does."""
        return sha256(f"{int(self.failed)}\n{self.entity_type}\n{self.query}".encode()).digest()

    @property
    def other(self) -> Search:
        """What it counts under when its day has had its share of queries."""
        return self._replace(query=OTHER)


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One query of a period: how often it was searched for, and by how many visitors, summed over the UTC days that it
    touches and at most as many.

    ``average_results`` is over the searches that said how many they found, None where none did. ``last_at`` is the
    moment of the last such search of all, to the millisecond.
    """

    query: str
    searches: int
    visitors: int
    average_results: float | None
    last_at: datetime
    entity_type: str


def kept_query(query: str) -> str:
    """What is kept of a query as a visitor wrote it: one line, single spaces, at most `QUERY_LENGTH` characters."""
    # Halves of one character, as JavaScript counts them, become that character; a half alone is none.
    whole = query[:LOOKED_AT].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _on_one_line("".join(" " if unicodedata.category(c) == "Cc" else c for c in whole))


def normalised(query: str) -> str:
    """The spelling under which queries count together: compatibility forms, case and white space aside."""
    text = unicodedata.normalize("NFD", kept_query(query))
    for _ in range(2):  # as Unicode defines compatibility caseless matching
        text = unicodedata.normalize("NFKC", text.casefold())
    return _on_one_line("".join(c for c in text if c in _JOINERS or unicodedata.category(c) != "Cf"))


def search_properties(given: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a search as they are logged; what is None or empty is left out but for the query.

    Filters that are no JSON are kept as text, too many of them not at all (``filters_cut``): a visitor writes them.
    Raises `EventError` for a query, filters, a result count or an entity type that are none.
    """
    said = {name: value for name, value in given.items() if name not in _KNOWN}
    if given.get("query") is not None:
        said["query"] = _query(given["query"])
    if given.get("filters"):
        said |= _filters(given["filters"])
    if given.get("result_count") is not None:
        said["result_count"] = _count(given["result_count"])
    if given.get("entity_type"):
        said["entity_type"] = _type(given["entity_type"])
    return said


def search_of(properties: object) -> tuple[Search, int | None] | None:
    """What the logged properties of a search count under, and how many it found if that is known; None for nothing."""
    if not isinstance(properties, dict) or not isinstance(properties.get("query"), str):
        return None
    query, found, kind = normalised(properties["query"]), properties.get("result_count"), properties.get("entity_type")
    if not query:
        return None
    results = min(found, MOST_RESULTS) if type(found) is int and found >= 0 else None
    try:
        entity_type = check_type(kind) if kind else ""
    except SettingsError:
        entity_type = ""
    return Search(query, entity_type, results == 0), results


_KNOWN = ("query", "filters", "result_count", "entity_type")


def _on_one_line(text: str) -> str:
    return " ".join(text.split())[:QUERY_LENGTH].rstrip()


def _query(query: object) -> str:
    if not isinstance(query, str):
        raise EventError(f"a search for {query!r}: give the query as text")
    return kept_query(query)


def _filters(filters: object) -> dict[str, Any]:
    if not isinstance(filters, Mapping):
        raise EventError(f"a search with filters={filters!r}: give them as a dict")
    try:
        text = json.dumps({str(key): value for key, value in filters.items()}, default=str, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return {"filters_cut": True}
    return {"filters": json.loads(text)} if len(text) <= FILTERS_SIZE else {"filters_cut": True}


def _count(found: Any) -> int:
    try:
        count = -1 if isinstance(found, bool) else index(found)
    except TypeError:
        count = -1
    if count < 0:
        raise EventError(f"a search with result_count={found!r}: give a whole number from 0 on, or None")
    return min(count, MOST_RESULTS)


def _type(entity_type: object) -> str:
    try:
        return check_type(entity_type)
    except SettingsError as error:
        raise EventError(f"a search with entity_type: {error}") from None
