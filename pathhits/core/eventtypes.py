"""The types of events: which there are, and what each adds to a counter of its item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pathhits.core.rules import check_type
from pathhits.core.traffic import NAMES
from pathhits.errors import EventError, SettingsError
from pathhits.hits import OWN_COUNTERS

#: Bytes of JSON that an event's properties may have.
PROPERTIES_SIZE = 8 * 1024
#: The most that one event may add.
MOST = 2**31 - 1
#: What the best rating is; the worst is 1.
BEST_RATING = 5
#: Where ratings are counted, and where they are summed.
RATINGS = "ratings"
RATING_SUM = "rating_sum"
#: The one event that needs no item.
SEARCH = "search.performed"
#: Characters of a counter's name, as its column holds them.
COUNTER_LENGTH = 48

_VERB = re.compile(r"[a-z][a-z0-9_]{0,38}")
_COUNTER = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event: ``product.liked``, and the counter of the item that each adds ``value`` to ("" for none)."""

    name: str
    counter: str = ""
    value: int = 1

    @property
    def item_type(self) -> str:
        """The type of the items it happens to."""
        return self.name.partition(".")[0]

    @property
    def needs_item(self) -> bool:
        """Whether it cannot happen without an item: it has a counter, or every item type has its verb."""
        return bool(self.counter) or self.name.partition(".")[2] in VERBS

    def amounts(self, value: int) -> tuple[tuple[str, int], ...]:
        """What an event with this value adds to which counters."""
        return ((self.counter, self.value * value),) if self.counter else ()

    def check(self, value: object) -> int:
        """``value``, if an event of this type can have it; else `EventError`."""
        if type(value) is not int or not 1 <= value <= MOST // abs(self.value):
            raise EventError(f"track({self.name!r}, value={value!r}): give a whole number from 1 on")
        if value != 1 and not self.counter:
            raise EventError(
                f"track({self.name!r}, value={value}): it has no counter to add to; put the value into properties=, "
                f"or declare event_type({self.name!r}, counter=...)"
            )
        return value


@dataclass(frozen=True, slots=True)
class _Rated(EventType):
    """A rating counts once and adds its stars to a sum."""

    def amounts(self, value: int) -> tuple[tuple[str, int], ...]:
        return (RATINGS, 1), (RATING_SUM, value)

    def check(self, value: object) -> int:
        if type(value) is not int or not 1 <= value <= BEST_RATING:
            raise EventError(f"track({self.name!r}, value={value!r}): a rating is a whole number from 1 to 5")
        return value


#: What each verb that every item type has adds to; "" for events that are only logged.
VERBS: dict[str, tuple[str, int]] = {
    "downloaded": ("downloads", 1),
    "liked": ("likes", 1),
    "unliked": ("likes", -1),
    "watchlisted": ("watchlist", 1),
    "unwatchlisted": ("watchlist", -1),
    "recommendation_clicked": ("recommendation_clicks", 1),
    "featured": ("", 1),
    "updated": ("", 1),
    "unfeatured": ("", 1),
}
RATED = "rated"
#: Verbs that nobody but pathhits says, and what to do instead.
OURS = {
    "viewed": "a view is counted by its route or by track_view(), which ask its rules",
    "became_hot": "the items job says so",
    "cooled": "the items job says so",
}
#: Events of the whole site that nobody but pathhits says.
OF_THE_SITE = frozenset({*NAMES.values(), "site.job_failing"})


class EventTypes:
    """The event types of one app: those that are built in for any item type, and those it declared."""

    def __init__(self) -> None:
        self._declared: dict[str, EventType] = {}

    def declare(self, name: str, counter: str, value: int) -> EventType:
        """Declare a type; raises `SettingsError` for one that cannot be, is built in, or is declared otherwise."""
        item_type, verb = _parts(name, SettingsError)
        check_type(item_type)
        if verb in OURS or name in OF_THE_SITE or name == SEARCH:
            raise SettingsError(f"event_type({name!r}): it is built in: {_who_says(name, verb) or 'use it as it is'}")
        if type(value) is not int or not 1 <= abs(value) <= MOST:
            raise SettingsError(f"event_type({name!r}, value={value!r}): give a whole number but 0")
        if counter and (not _COUNTER.fullmatch(counter) or counter in OWN_COUNTERS):
            raise SettingsError(
                f"event_type({name!r}, counter={counter!r}): give a word of at most {COUNTER_LENGTH} lower-case "
                f"letters, digits and underscores that is none of {', '.join(sorted(OWN_COUNTERS))}"
            )
        added, known = EventType(name, counter, value), self._declared.get(name)
        if known is None and (built_in := _built_in(name, verb)) is not None:
            known = built_in
        if known is not None and known != added:
            raise SettingsError(f"event_type({name!r}): it is there already, with counter={known.counter!r}")
        self._declared[name] = added
        return added

    def __getitem__(self, name: str) -> EventType:
        """The type of this name; `EventError` when there is none, or it is not the app's to say."""
        known = self._declared.get(name)
        if known is not None:
            return known
        item_type, verb = _parts(name, EventError)
        if name == SEARCH:
            return EventType(name)
        if verb in OURS or name in OF_THE_SITE:
            raise EventError(f"track({name!r}): {_who_says(name, verb)}")
        built_in = _built_in(name, verb)
        if built_in is None:
            raise EventError(f"track({name!r}): no such event; declare it with event_type({name!r}, counter=...)")
        try:
            check_type(item_type)
        except SettingsError as error:
            raise EventError(f"track({name!r}): {error}") from None
        return built_in

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._declared.values())

    @property
    def counters(self) -> tuple[str, ...]:
        """The names of all counters, built in and declared, each once."""
        built_in = [counter for counter, _ in VERBS.values()]
        declared = [one.counter for one in self._declared.values()]
        return tuple(dict.fromkeys(name for name in [*built_in, RATINGS, RATING_SUM, *declared] if name))


def properties_text(name: str, properties: Mapping[str, Any] | None, value: int, *, valued: bool) -> str:
    """Properties as they are stored: compact JSON in ASCII, "" for none, with the ``value`` where it says something.

    Raises `EventError` for what is no JSON object or too large.
    """
    given: Any = {} if properties is None else properties
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise EventError(f"track({name!r}): give properties as a dict with texts as keys")
    said = {**given, "value": value} if valued else dict(given)
    try:
        text = json.dumps(said, separators=(",", ":"), allow_nan=False) if said else ""
    except (TypeError, ValueError, RecursionError) as error:
        raise EventError(f"track({name!r}): properties are no JSON: {error}") from None
    if len(text) > PROPERTIES_SIZE:
        raise EventError(f"track({name!r}): properties have {len(text)} bytes of JSON, at most {PROPERTIES_SIZE}")
    return text


def _who_says(name: str, verb: str) -> str:
    """Why an app does not say this event itself; "" for one that it may."""
    return OURS.get(verb) or ("a job says so" if name in OF_THE_SITE else "")


def _built_in(name: str, verb: str) -> EventType | None:
    if verb == RATED:
        return _Rated(name, RATING_SUM)
    return EventType(name, *VERBS[verb]) if verb in VERBS else None


def _parts(name: object, error: type[EventError] | type[SettingsError]) -> tuple[str, str]:
    item_type, dot, verb = name.partition(".") if isinstance(name, str) else ("", "", "")
    if not dot or not item_type or not _VERB.fullmatch(verb):
        raise error(f"event {name!r}: give a name such as 'product.liked', in lower-case letters")
    return item_type, verb
