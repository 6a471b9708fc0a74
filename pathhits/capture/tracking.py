"""The explicit way to log an event: checked at once, on the app's time; counted by the buffer, as everything else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pathhits.capture.buffer import Buffer
from pathhits.capture.folding import Told
from pathhits.capture.guard import Guard
from pathhits.capture.shares import Shares
from pathhits.capture.viewing import Viewing, user_of
from pathhits.core.clicks import CLICKED_VERB, MAX_REASONS, click_properties, reason_of
from pathhits.core.eventtypes import MOST, RATED, SEARCH, EventType, EventTypes, properties_text
from pathhits.core.rules import Refusal, Verdict, check_type, subject
from pathhits.core.searches import search_properties
from pathhits.errors import EventError
from pathhits.hits import OTHER, SHOWN
from pathhits.settings import Settings


class Tracking:
    """Takes events of the app; never asks Redis or SQL."""

    def __init__(self, types: EventTypes, buffer: Buffer, viewing: Viewing, guard: Guard, settings: Settings) -> None:
        self._types = types
        self._buffer = buffer
        self._viewing = viewing
        self._guard = guard
        self._reasons = Shares(MAX_REASONS)
        self._with_results = settings.search_log == "with_results"

    def track(
        self,
        name: str,
        item_id: object | None,
        properties: Mapping[str, Any] | None,
        value: int,
        key: str | None,
        ip: str | None,
        user_agent: str | None,
        user_id: object | None,
    ) -> Verdict:
        """Check and take one event; raises `EventError` for one that cannot be, and nothing else."""
        kind = self._types[name]
        amounts = kind.amounts(kind.check(value))
        valued = name.endswith(f".{RATED}") or value != 1
        if name == SEARCH and isinstance(properties, Mapping):
            properties = search_properties(properties)
        if name.endswith(CLICKED_VERB) and isinstance(properties, Mapping):
            properties = self._admitted(kind.item_type, click_properties(properties))
        text = properties_text(name, properties, value, valued=valued)
        told_key = None if key is None else str(key)
        try:
            entry = self._viewing.person(ip, user_agent)
            user = user_of(entry, user_id)
            bot = self._viewing.by_bot(entry) if user is None else ""
            reason = self._viewing.uncounted() or bot or self._unwanted(name, properties)
            self._buffer.tell(
                Told(entry, name, _item(kind, item_id), amounts, text, user, told_key, reason),
            )
            return Verdict(reason)
        except EventError:
            raise
        except Exception as error:
            self._guard.failed("internal", error)
            return Verdict(Refusal.UNAVAILABLE)

    def shown(self, item_type: str, reason: str, count: object, ip: str | None, user_agent: str | None) -> Verdict:
        """Count recommendations that a visitor was shown; none to a crawler."""
        if type(count) is not int or not 0 <= count <= MOST:
            raise EventError(f"track_recommendations_shown(count={count!r}): give a whole number from 0 on")
        check_type(item_type)
        try:
            entry = self._viewing.person(ip, user_agent)
            if refusal := self._viewing.uncounted() or self._viewing.by_bot(entry):
                return Verdict(refusal)
            counted = self._admitted(item_type, {"reason": reason_of(reason)})["reason"]
            if count:
                amounts = ((SHOWN, count),)
                self._buffer.tell(Told(entry, SHOWN, f"{item_type}:{counted}", amounts, "", None, None))
            return Verdict()
        except Exception as error:
            self._guard.failed("internal", error)
            return Verdict(Refusal.UNAVAILABLE)

    def _admitted(self, item_type: str, properties: dict[str, Any]) -> dict[str, Any]:
        """The properties, whose reason is `OTHER` once the day has had its share of reasons."""
        reason = properties.get("reason")
        day = int(time.time() // 86_400)
        if reason is None or self._reasons.admit(day, f"{item_type}:{reason}"):
            return properties
        return properties | {"reason": OTHER}

    def _unwanted(self, name: str, properties: Mapping[str, Any] | None) -> str:
        """Why an event is not logged although it can be."""
        in_vain = name == SEARCH and properties is not None and properties.get("result_count") == 0
        return Refusal.NO_RESULTS if in_vain and self._with_results else ""


def _item(kind: EventType, item_id: object | None) -> str:
    """The item it happens to, as ``type:id``, "" for none."""
    if item_id is None or item_id == "":
        if kind.needs_item:
            raise EventError(f"track({kind.name!r}): give the id of the {kind.item_type} it happens to")
        return ""
    if kind.name == SEARCH:
        raise EventError(f"track({kind.name!r}, {item_id!r}): a search happens to no item; put it into properties=")
    return subject(kind.item_type, item_id)
