"""Events: named things that happened, often to an item; how they look to an app, and how they travel to SQL."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

#: How the names of events end that are views of an item.
VIEWED = ".viewed"
#: Bytes kept of a user agent and characters of a referrer's host: what their columns hold.
USER_AGENT_BYTES = 512
REFERRER_LENGTH = 255
#: Characters of the longest name and user, as their columns hold them.
NAME_LENGTH = 64
USER_LENGTH = 64
#: Random hexadecimal digits of an id, after the 12 of its milliseconds.
_RANDOM_BYTES = 10
_LAST_MILLISECOND = 2**48 - 1
_VISITORS = range(-(2**63), 2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: what happened (``product.viewed``), to which item, by whom, and when.

    ``id`` is 32 hexadecimal digits that grow with time. ``item_type`` and ``item_id`` are "" without an item.
    ``visitor`` and ``user_id`` are keyed hashes, 0 and "" where there is none. ``user_agent`` is cut to 512 bytes,
    ``referrer`` is a host name. ``moment`` is aware, to the millisecond. All may be left out, for tests of listeners.
    """

    id: str = ""
    name: str = ""
    item_type: str = ""
    item_id: str = ""
    visitor: int = 0
    user_id: str = ""
    user_agent: str = ""
    referrer: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict, hash=False)
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))


class Logged(NamedTuple):
    """An event as it travels and is stored: ``item`` is ``type:id`` or "", ``properties`` JSON or "".

    ``moment`` is milliseconds since 1970, UTC.
    """

    id: bytes
    name: str
    item: str
    visitor: int
    user_id: str
    user_agent: str
    referrer: str
    properties: str
    moment: int

    def text(self) -> str:
        """The event as one compact JSON object in ASCII; what is empty is left out."""
        parts = {
            "id": self.id.hex(),
            "name": self.name,
            "item": self.item,
            "visitor": self.visitor,
            "user": self.user_id,
            "agent": self.user_agent,
            "referrer": self.referrer,
            "properties": self.properties,
            "at": self.moment,
        }
        return json.dumps({key: value for key, value in parts.items() if value}, separators=(",", ":"))

    @classmethod
    def parse(cls, found: object) -> Logged:
        """The event of a JSON object that `text` made; raises ValueError for what no column holds."""
        if not isinstance(found, dict):
            raise ValueError("an event is a JSON object")
        get = found.get
        event = cls(
            _bytes(get("id")),
            get("name", ""),
            get("item", ""),
            get("visitor", 0),
            get("user", ""),
            get("agent", ""),
            get("referrer", ""),
            get("properties", ""),
            get("at", 0),
        )
        problem = _problem(event)
        if problem:
            raise ValueError(f"an event with {problem}")
        return event

    def event(self) -> Event:
        """The event as an app sees it."""
        item_type, _, item_id = self.item.partition(":")
        return Event(
            self.id.hex(),
            self.name,
            item_type,
            item_id,
            self.visitor,
            self.user_id,
            self.user_agent,
            self.referrer,
            json.loads(self.properties) if self.properties else {},
            _EPOCH + timedelta(milliseconds=self.moment),
        )


def viewed(item_type: str) -> str:
    """The name of the event that a view of an item of this type is."""
    return f"{item_type}{VIEWED}"


def milliseconds(moment: float) -> int:
    """Whole milliseconds since 1970 of a Unix time (s); never of a later second than the one it is in."""
    second = int(moment // 1)
    return second * 1_000 + min(int((moment - second) * 1_000), 999)


def new_id(moment: int) -> bytes:
    """A new id, 16 bytes: 48 bits of the event's milliseconds, then random, so that later ones are larger."""
    return min(max(moment, 0), _LAST_MILLISECOND).to_bytes(6, "big") + secrets.token_bytes(_RANDOM_BYTES)


def kept(text: str, size: int) -> str:
    """What is kept of a text that a client wrote: what every database stores, at most ``size`` bytes of UTF-8."""
    if not text.isprintable():
        text = "".join(filter(str.isprintable, text))
    return text if len(text) * 4 <= size else text.encode()[:size].decode("utf-8", "ignore")


def _bytes(found: object) -> bytes:
    identity = bytes.fromhex(found) if isinstance(found, str) else b""
    if len(identity) != 16:
        raise ValueError("an event needs an id of 32 hexadecimal digits")
    return identity


def _problem(event: Logged) -> str:
    """What a column would refuse, "" for nothing."""
    texts = (event.name, event.item, event.user_id, event.user_agent, event.referrer, event.properties)
    if not all(type(text) is str and (not text or text.isprintable()) for text in texts):
        return "a text that is none"
    if type(event.visitor) is not int or event.visitor not in _VISITORS:
        return "no visitor"
    if type(event.moment) is not int or not 0 <= event.moment <= _LAST_MILLISECOND:
        return "no moment"
    if not 0 < len(event.name) <= NAME_LENGTH or len(event.user_id) > USER_LENGTH:
        return "a name that is too long, or none"
    if len(event.user_agent) > USER_AGENT_BYTES or len(event.referrer) > REFERRER_LENGTH:
        return "a header that is too long"
    return ""
