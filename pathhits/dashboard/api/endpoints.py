"""Every endpoint that is read: its parameters, and the function that answers. One table, served and documented from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pathhits.app import PathHits
from pathhits.browsing import View
from pathhits.core.rules import check_type, subject
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.health import health
from pathhits.dashboard.api.shapes import (
    Active,
    Drops,
    Events,
    Health,
    HotItems,
    Item,
    Items,
    Paths,
    Searches,
    Series,
    Summary,
    Values,
)
from pathhits.dashboard.queries import (
    FILTERS,
    LARGEST_LIMIT,
    LARGEST_PAGE,
    LONGEST_SEARCH,
    LONGEST_VALUE,
    RANGES,
    SORTS,
    STEPS,
    BadParameter,
    Query,
)
from pathhits.errors import PathHitsError
from pathhits.events import NAME_LENGTH
from pathhits.settings import DIMENSIONS

#: The last row of the log that a page may show: what is further back is read by a shorter period.
LAST_EVENT = 10_000
#: The dimensions that say where a hit came from.
SOURCES = ("referrer", "utm_source", "utm_medium", "utm_campaign")
#: The last row of a list of queries that a page may show.
LAST_SEARCH = 10_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a URL, with its JSON schema."""

    name: str
    help: str
    schema: Mapping[str, Any]
    required: bool = False


_ZONE = {"type": "string", "maxLength": 64}
_LABEL = {"type": "string", "maxLength": LONGEST_VALUE}
_MOMENT = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
_KNOWN = (
    Parameter("range", "The period; with since it is custom.", {"type": "string", "enum": list(RANGES)}),
    Parameter("since", "The first day, or moment, of a custom period.", _MOMENT),
    Parameter("until", "The last day of a custom period, or the moment at which it ends; by default today.", _MOMENT),
    Parameter("tz", "The time zone of days and moments, as Europe/Berlin; by default UTC.", _ZONE),
    Parameter("by", "How long a step of a series is.", {"type": "string", "enum": list(STEPS)}),
    Parameter("compare", "Whether the period before is told, too.", {"type": "string", "enum": ["0", "1"]}),
    Parameter("search", "A part of the name.", {"type": "string", "maxLength": LONGEST_SEARCH}),
    Parameter("sort", "Those with the most first, or by name.", {"type": "string", "enum": list(SORTS)}),
    Parameter("page", "Which page of the list.", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}),
    Parameter("limit", "Rows of a page.", {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT}),
    *(Parameter(name, f"Only what has this {name}.", _LABEL) for name in FILTERS),
)  # fmt: skip
PARAMETERS = {one.name: one for one in _KNOWN}

PERIOD = ("range", "since", "until", "tz")
LIST = ("page", "limit")
_TYPE = Parameter("type", "The type of the items.", {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,23}$"})
_ID = Parameter("id", "The id of the item.", {"type": "string", "minLength": 1, "maxLength": LONGEST_VALUE})
_NAME = Parameter("name", "Only events of this name.", {"type": "string", "maxLength": NAME_LENGTH})


class Asked:
    """One request: the query, parameters of the endpoint itself, and one look at the stores."""

    def __init__(self, hits: PathHits, query: Query, own: Mapping[str, str]) -> None:
        self.hits = hits
        self.query = query
        self.own = own

    @cached_property
    def view(self) -> View:
        """The look; may raise `StoreUnavailable`."""
        return self.hits.browsing.view()

    @property
    def item_type(self) -> str | None:
        """The type asked for. Raises `BadParameter` for what cannot be one."""
        text = self.own.get("type", "")
        if not text:
            return None
        try:
            return check_type(text)
        except PathHitsError:
            raise BadParameter("type", "give a type of items: lower-case letters, digits and underscores") from None

    @property
    def item(self) -> tuple[str, str]:
        """The item asked for."""
        return self.needed("type"), self.needed("id")

    def dimension(self, choices: tuple[str, ...], usual: str = "") -> str:
        """The dimension asked for, one of some."""
        text = self.own.get("of", "") or usual
        if text not in choices:
            raise BadParameter("of", f"give one of {', '.join(choices)}")
        return text

    def needed(self, name: str) -> str:
        """A parameter that has to be there."""
        text = (self.item_type if name == "type" else self.own.get(name)) or ""
        if not text:
            raise BadParameter(name, "this has to be given")
        return text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing to read. What is ``private`` shows more than counts, and is never public.

    ``tables`` are the lists of an answer that has several: CSV has one of them, ``of`` says which.
    """

    name: str
    help: str
    shape: type
    answer: Callable[[Asked], Any]
    takes: tuple[str, ...] = PERIOD
    own: tuple[Parameter, ...] = field(default=())
    private: bool = False
    tables: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters there are."""
        return (*(PARAMETERS[name] for name in self.takes), *self.its)

    @property
    def its(self) -> tuple[Parameter, ...]:
        """The parameters that it has for itself."""
        if not self.tables:
            return self.own
        says = f"The list that CSV has, by default {self.tables[0]}; JSON has them all."
        return (*self.own, Parameter("of", says, {"type": "string", "enum": list(self.tables)}))

    def table(self, own: Mapping[str, str]) -> str:
        """The list that CSV is to have, "" where there is but one. Raises `BadParameter`."""
        text = own.get("of", "") if self.tables else ""
        if text and text not in self.tables:
            raise BadParameter("of", f"give one of {', '.join(self.tables)}")
        return text or (self.tables or ("",))[0]


def _events(asked: Asked) -> Events:
    query = asked.query
    if query.page * query.limit > LAST_EVENT:
        raise BadParameter("page", f"only the last {LAST_EVENT:,} events of a period are told: give a shorter period")
    name = asked.own.get("name", "")
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise BadParameter("name", f"give the name of an event, at most {NAME_LENGTH} characters")
    item = ""
    if asked.own.get("type") or asked.own.get("id"):
        item = subject(*asked.item)
    return resources.events(asked.hits, query, item=item, name=name)


def _searches(asked: Asked) -> Searches:
    if asked.query.page * asked.query.limit > LAST_SEARCH:
        raise BadParameter("page", f"only the first {LAST_SEARCH:,} queries are told: give a shorter period")
    failed = asked.own.get("failed", "0")
    if failed not in ("0", "1"):
        raise BadParameter("failed", "give 1 or 0")
    return resources.searches(asked.hits, asked.query, failed=failed == "1", item_type=asked.item_type)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "summary",
        "How the site, or one label, is doing, and how that changed.",
        Summary,
        lambda asked: resources.summary(asked.view, asked.query),
        (*PERIOD, "compare", *FILTERS),
    ),
    Endpoint(
        "series",
        "The figures by hour, day, week or month.",
        Series,
        lambda asked: resources.series(asked.view, asked.query),
        (*PERIOD, "by", "compare", *FILTERS),
    ),
    Endpoint(
        "paths",
        "What was looked at.",
        Paths,
        lambda asked: resources.paths(asked.view, asked.query),
        (*PERIOD, *FILTERS, "search", "sort", *LIST),
    ),
    Endpoint(
        "sources",
        "Where hits came from: referring hosts, or what their campaign says.",
        Values,
        lambda asked: resources.values(asked.view, asked.query, asked.dimension(SOURCES, "referrer")),
        (*PERIOD, "path", "search", "sort", *LIST),
        (Parameter("of", "Which of them; by default referrer.", {"type": "string", "enum": list(SOURCES)}),),
    ),
    Endpoint(
        "values",
        "What hits are told apart by besides their label: browsers, systems, devices, languages, countries, sources.",
        Values,
        lambda asked: resources.values(asked.view, asked.query, asked.dimension(DIMENSIONS)),
        (*PERIOD, "path", "search", "sort", *LIST),
        (Parameter("of", "Which dimension.", {"type": "string", "enum": list(DIMENSIONS)}, True),),
    ),
    Endpoint(
        "items",
        "Items by their views.",
        Items,
        lambda asked: resources.items(asked.view, asked.query, asked.item_type),
        (*PERIOD, "search", "sort", *LIST),
        (_TYPE,),
    ),
    Endpoint(
        "item",
        "All that is known of one item.",
        Item,
        lambda asked: resources.item(asked.hits, asked.view, asked.query, *asked.item),
        (*PERIOD, "by"),
        (Parameter(_TYPE.name, _TYPE.help, _TYPE.schema, True), Parameter(_ID.name, _ID.help, _ID.schema, True)),
        tables=("points", "counters", "hot_changes"),
    ),
    Endpoint(
        "hot",
        "The items that are hot now.",
        HotItems,
        lambda asked: resources.hot(asked.hits, asked.query, asked.item_type),
        ("tz", "limit"),
        (_TYPE,),
    ),
    Endpoint(
        "searches",
        "What was searched for; with failed=1 what found nothing.",
        Searches,
        _searches,
        (*PERIOD, "search", "sort", *LIST),
        (_TYPE, Parameter("failed", "Only what found nothing.", {"type": "string", "enum": ["0", "1"]})),
        private=True,
    ),
    Endpoint(
        "events",
        "The log of events, the last first. With a name, those of it among the last 50,000.",
        Events,
        _events,
        (*PERIOD, *LIST),
        (_TYPE, _ID, _NAME),
        private=True,
    ),
    Endpoint(
        "drops",
        "Requests that are no hits, by reason.",
        Drops,
        lambda asked: resources.drops(asked.view, asked.query),
    ),
    Endpoint(
        "active",
        "Who is here now.",
        Active,
        lambda asked: resources.active(asked.hits, asked.query),
        ("tz",),
    ),
    Endpoint(
        "health",
        "How pathhits itself is doing.",
        Health,
        lambda asked: health(asked.hits, asked.query),
        ("tz",),
        private=True,
        tables=("checks", "dead", "failed", "jobs", "syncs"),
    ),
)
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
