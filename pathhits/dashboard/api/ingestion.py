"""Takes in events that other services tell of: a batch of JSON, each event apart, none taken halfway."""

from __future__ import annotations

import contextvars
import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from pathhits.app import PathHits
from pathhits.core.eventtypes import PROPERTIES_SIZE
from pathhits.core.rules import Refusal
from pathhits.dashboard.api.problems import Problem
from pathhits.errors import EventError
from pathhits.events import NAME_LENGTH, USER_AGENT_BYTES

#: Events of one batch, and bytes of its JSON.
MOST_EVENTS = 1_000
MOST_BYTES = 2 * 1024 * 1024
#: Characters of the longest id, key and user.
LONGEST = 1_024
#: Seconds that a batch may take to be in Redis before the answer says that it is on its way.
FLUSH = 2.0

_TEXTS = {"name": NAME_LENGTH, "key": LONGEST, "ip": 64, "user_agent": 4 * USER_AGENT_BYTES}
_NAMES = ("name", "item_id", "properties", "value", "key", "ip", "user_agent", "user_id")

BATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {
        "events": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_EVENTS,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "maxLength": NAME_LENGTH, "description": "As product.liked."},
                    "item_id": {"type": ["string", "integer", "null"], "description": "The item it happened to."},
                    "properties": {"type": "object", "description": f"At most {PROPERTIES_SIZE:,} bytes of JSON."},
                    "value": {"type": "integer", "minimum": 1, "description": "How often, or the rating."},
                    "key": {"type": ["string", "null"], "description": "Taken once a day for its name and item."},
                    "ip": {"type": ["string", "null"], "description": "Whose event it is; only a keyed hash is kept."},
                    "user_agent": {"type": ["string", "null"]},
                    "user_id": {"type": ["string", "integer", "null"]},
                },
            },
        }
    },
}
RECEIPT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["accepted", "rejected", "stored"],
    "additionalProperties": False,
    "properties": {
        "accepted": {"type": "integer", "description": "How many were taken; those of bots are counted, not logged."},
        "stored": {"type": "boolean", "description": "Whether Redis has them; else they wait in the process."},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "field", "detail"],
                "additionalProperties": False,
                "properties": {
                    "index": {"type": "integer", "description": "The place of the event in the batch, from 0."},
                    "field": {"type": ["string", "null"]},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


class _Rejected(Exception):
    def __init__(self, field: str | None, says: str) -> None:
        super().__init__(says)
        self.field = field


def ingest(hits: PathHits, content_type: str, body: bytes) -> dict[str, Any]:
    """Take the events of a batch; raises `Problem` when none of it was taken."""
    events = _events(content_type, body)
    if hits.buffer.waiting + len(events) > hits.settings.buffer_size:
        raise Problem(503, "full", "The buffer is full, as Redis does not take what waits: send the batch again later.")
    accepted, rejected = 0, list[dict[str, Any]]()
    for index, event in enumerate(events):
        try:
            # In a context of its own: it is not the event of whoever sends it.
            contextvars.Context().run(_take, hits, event)
            accepted += 1
        except _Rejected as error:
            rejected.append({"index": index, "field": error.field, "detail": str(error)})
        except (EventError, ValueError) as error:
            rejected.append({"index": index, "field": None, "detail": str(error)})
    return {"accepted": accepted, "stored": hits.flush(FLUSH), "rejected": rejected}


def _events(content_type: str, body: bytes) -> list[Any]:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "no-json", "Send the batch with Content-Type: application/json.")
    if len(body) > MOST_BYTES:
        raise Problem(413, "too-large", f"A batch has at most {MOST_BYTES:,} bytes: send several.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "bad-body", "The body is no JSON.") from None
    events = found.get("events") if isinstance(found, dict) and found.keys() == {"events"} else None
    if not isinstance(events, list) or not events:
        raise Problem(400, "bad-body", 'Send {"events": [{"name": ...}, ...]}.', "events")
    if len(events) > MOST_EVENTS:
        raise Problem(413, "too-large", f"A batch has at most {MOST_EVENTS:,} events: send several.", "events")
    return events


def _take(hits: PathHits, event: Any) -> None:
    if not isinstance(event, dict):
        raise _Rejected("events", "an event is a JSON object")
    for field in event:
        if field not in _NAMES:
            raise _Rejected(field, "there is no such field")
    for field, size in _TEXTS.items():
        _check_text(field, event.get(field), size)
    for field in ("item_id", "user_id"):
        if type(event.get(field)) not in (str, int, type(None)):
            raise _Rejected(field, "give a text or a whole number")
        _check_text(field, None if event.get(field) is None else str(event[field]), LONGEST)
    if not isinstance(event.get("properties", {}), Mapping):
        raise _Rejected("properties", "give a JSON object")
    if type(event.get("value", 1)) is not int:
        raise _Rejected("value", "give a whole number")
    if not event.get("name"):
        raise _Rejected("name", "an event has a name, as product.liked")
    _check_address(event.get("ip"))
    verdict = hits.track(
        event["name"],
        event.get("item_id"),
        properties=event.get("properties"),
        value=event.get("value", 1),
        key=event.get("key"),
        ip=event.get("ip"),
        user_agent=event.get("user_agent"),
        user_id=event.get("user_id"),
    )
    if verdict.reason == Refusal.UNAVAILABLE:
        raise _Rejected(None, "it could not be taken: send it again later")


def _check_text(field: str, text: Any, size: int) -> None:
    if text is None:
        return
    if not isinstance(text, str) or len(text) > size:
        raise _Rejected(field, f"give a text of at most {size:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Rejected(field, "there is half a character in it") from None


def _check_address(text: str | None) -> None:
    try:
        if text is not None:
            ipaddress.ip_address(text)
    except ValueError:
        raise _Rejected("ip", "give an address, as 192.0.2.1 or 2001:db8::1") from None
