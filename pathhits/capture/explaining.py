"""What would become of a request: what it would count under and whose it would be, or why it would not count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pathhits.capture.exchange import Exchange
from pathhits.capture.items import Items
from pathhits.capture.judge import Judge
from pathhits.capture.recorder import Entry, EntryReader
from pathhits.core.clients import client_address
from pathhits.core.statuses import REASONS, Reason
from pathhits.settings import Settings

#: Notes the route of an exchange on a host as the app would find it, without calling the app.
FindRoute = Callable[[Exchange, str], None]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A request as it would be counted.

    ``label`` is what it counts under, "" when it is dropped for ``reason``, which ``says`` explains. ``route`` and
    ``pattern`` are those of the framework ("" for none or not known), ``routes_known`` whether the app's routes could
    be asked at all. ``address`` is the client as it is normalised before it is hashed, and ``visitor`` says whether it
    is. ``item`` is the item that the hit would be a candidate view of, ``type:id`` or "".
    """

    label: str
    reason: str
    says: str
    route: str
    pattern: str
    routes_known: bool
    address: str
    visitor: bool
    item: str

    @property
    def counted(self) -> bool:
        """Whether it would be a hit."""
        return not self.reason

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"counted": self.counted} | asdict(self)


def explain(
    exchange: Exchange,
    host: str,
    find_route: FindRoute | None,
    settings: Settings,
    reader: EntryReader,
    items: Items,
) -> Explanation:
    """What counting would make of an exchange that is over; nothing is counted."""
    if find_route is not None:
        find_route(exchange, host)
    entry, judge = reader.read(exchange), Judge(settings)
    reason = judge.reason(entry)
    label, excluded = ("", False) if reason else judge.label(entry)
    reason = reason or (Reason.EXCLUDED if excluded else "")
    return Explanation(
        label="" if reason else label,
        reason=reason,
        says=REASONS[reason] if reason else "It is a hit.",
        route=entry.name or "",
        pattern=entry.pattern or "",
        routes_known=find_route is not None,
        address=client_address(entry.peer, entry.forwarded, settings.trusted_proxies),
        visitor=not reason and not entry.anonymous,
        item="" if reason else _item(entry, items),
    )


def _item(entry: Entry, items: Items) -> str:
    shown = items.on_route(entry.name, entry.pattern)
    return (shown.item(entry.params) if shown else None) or ""
