"""What a hit is told apart by besides its label, read in the flusher thread; what was read is remembered, bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from pathhits.capture.guard import Guard
from pathhits.capture.places import Places
from pathhits.capture.recorder import Entry
from pathhits.capture.shares import Shares
from pathhits.core.agents import read_agent
from pathhits.core.campaigns import campaign
from pathhits.core.clients import client_address
from pathhits.core.dimensions import ALWAYS, KINDS, UNKNOWN, Trait
from pathhits.core.languages import language
from pathhits.core.referrers import bare, origin, source
from pathhits.hits import OTHER
from pathhits.settings import Settings

#: Answers of one kind that are remembered.
REMEMBERED = 4_096
#: User agents that are read in one pass of the flusher, which takes half a millisecond each; further ones are others.
AGENTS_A_PASS = 100


class Traits:
    """The traits of hits, of the dimensions that the settings keep. Never raises."""

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self._settings = settings
        self._guard = guard
        self._own = frozenset(map(bare, settings.own_hosts))
        self._places = Places(settings.geoip_path)
        self._kept = frozenset(settings.dimensions) - (frozenset() if settings.geoip_path else {"country"})
        self._shares = {dimension: Shares(settings.max_values) for dimension in self._kept}
        self._known: dict[str, dict[object, Trait]] = {kind: {} for kind in KINDS}
        self._countries: dict[tuple[str, str], str] = {}
        self._sources: dict[tuple[str, str], str] = {}
        self._agents_read = 0
        self._readers: dict[str, Callable[[Entry, int], Trait | None]] = {
            "referrer": self._referrer,
            "campaign": self._campaign,
            "agent": self._agent,
            "language": self._language,
            "country": self._country,
        }
        self._wanted = tuple(kind for kind, dimensions in KINDS.items() if self._kept.intersection(dimensions))

    def of(self, entry: Entry) -> tuple[Trait, ...]:
        """The traits of a hit; of one who opted out, or of whom nothing is known, that they are not known."""
        try:
            return tuple(self._read(entry, int(entry.moment // 86_400)))
        except Exception as error:
            self._guard.failed("internal", error)
            return ()

    def forget(self) -> None:
        """Forget whose hits were read: nobody is to be kept for longer than a pass of the flusher."""
        self._countries.clear()
        self._sources.clear()
        self._agents_read = 0

    def _read(self, entry: Entry, day: int) -> Iterator[Trait]:
        told = not entry.anonymous and entry.user_agent is not None
        for kind in self._wanted:
            if kind == "country" and not self._places.known:
                continue
            trait = self._readers[kind](entry, day) if told else self._unknown(kind, day)
            if trait is not None:
                yield trait

    def _unknown(self, kind: str, day: int) -> Trait | None:
        dimensions = KINDS[kind]
        if not ALWAYS.issuperset(dimensions):
            return None
        return self._remembered(kind, day, None, lambda: [UNKNOWN] * len(dimensions))

    def _referrer(self, entry: Entry, day: int) -> Trait:
        # By what it comes to, not by the whole referrer: nothing is kept of what somebody read elsewhere.
        found = self._source(entry)
        known = self._known["referrer"].get((day, found))
        return known or self._remembered("referrer", day, found, lambda: [found])

    def _source(self, entry: Entry) -> str:
        """Where a hit came from; a pass has few hosts that it reads more than once."""
        asked = origin(entry.referrer or ""), entry.host
        found = self._sources.get(asked)
        if found is None:
            found = self._sources[asked] = source(asked[0], self._own | {bare(entry.host)})
        return found

    def _campaign(self, entry: Entry, day: int) -> Trait | None:
        if not entry.query:
            return None
        found = campaign(entry.query)
        return self._remembered("campaign", day, found, lambda: found) if any(found) else None

    def _agent(self, entry: Entry, day: int) -> Trait:
        agent = entry.user_agent or ""
        known = self._known["agent"].get((day, agent))
        if known is not None:
            return known
        self._agents_read += 1
        if self._agents_read > AGENTS_A_PASS:
            return self._capped("agent", day, (OTHER,) * len(KINDS["agent"]))
        return self._remembered("agent", day, agent, lambda: read_agent(agent))

    def _language(self, entry: Entry, day: int) -> Trait:
        found = language(entry.languages)
        return self._remembered("language", day, found, lambda: [found])

    def _country(self, entry: Entry, day: int) -> Trait:
        client = entry.peer, entry.forwarded
        found = self._countries.get(client)
        if found is None:
            address = client_address(*client, self._settings.trusted_proxies)
            found = self._countries[client] = self._places.country(address)
        return self._remembered("country", day, found, lambda: [found])

    def _remembered(self, kind: str, day: int, said: object, read: Callable[[], Sequence[str]]) -> Trait:
        """The trait that was made of ``said`` before, or is made now by ``read``; those made first are forgotten."""
        known, asked = self._known[kind], (day, said)
        trait = known.get(asked)
        if trait is None:
            trait = known[asked] = self._capped(kind, day, read())
            if len(known) > REMEMBERED:
                with suppress(StopIteration):
                    del known[next(iter(known))]
        return trait

    def _capped(self, kind: str, day: int, values: Sequence[str]) -> Trait:
        """The trait of these values: "" for a dimension that is not kept, `OTHER` past its share of the day."""
        pairs = zip(KINDS[kind], values, strict=True)
        return Trait.of(kind, (self._admitted(dimension, day, value) for dimension, value in pairs))

    def _admitted(self, dimension: str, day: int, value: str) -> str:
        if dimension not in self._kept or not value:
            return ""
        return value if value == OTHER or self._shares[dimension].admit(day, value) else OTHER
