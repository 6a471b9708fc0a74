"""The explicit way to count a view: asks the rules once, within the deadline of a request, and never raises."""

from __future__ import annotations

import logging
import secrets
from typing import Protocol

import redis

from pathhits.capture.asking import Asking
from pathhits.capture.buffer import Buffer
from pathhits.capture.deadline import Deadline, Overdue
from pathhits.capture.exchange import current
from pathhits.capture.folding import Seen
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.capture.recorder import Entry, EntryReader
from pathhits.capture.unseen import unseen
from pathhits.core.bots import is_bot
from pathhits.core.rules import Refusal, Verdict, check_id, check_type, subject
from pathhits.hits import ASKED, PASSED, REFUSED, View

logger = logging.getLogger("pathhits")

#: Types of items that were not registered and of which that is said.
MOST_STRANGE = 20
#: Views of one request that are a part of its visit; an app may ask about more.
MOST_VIEWED = 20


class Court(Protocol):
    """Who decides; may raise `redis.RedisError`."""

    def judge(self, view: View) -> str: ...


class Viewing:
    """Judges views for the app; what it decides is counted by the buffer, as everything else."""

    def __init__(
        self,
        items: Items,
        buffer: Buffer,
        court: Court,
        deadline: Deadline,
        guard: Guard,
        reader: EntryReader,
        asking: Asking,
        drop_bots: bool,
        enabled: bool = True,
    ) -> None:
        self._enabled = enabled
        self._strange: set[str] = set()
        self._asking = asking
        self._items = items
        self._buffer = buffer
        self._court = court
        self._deadline = deadline
        self._guard = guard
        self._reader = reader
        self._drop_bots = drop_bots

    def track(
        self, item_type: str, item_id: object, ip: str | None, user_agent: str | None, user_id: object | None
    ) -> Verdict:
        """Judge and count one view; one round trip to Redis, `Refusal.UNAVAILABLE` when it takes too long."""
        entry = self.person(ip, user_agent)
        seen = Seen(
            entry,
            subject(check_type(item_type), check_id(item_type, item_id)),
            self._items.rules(item_type).limits,
            secrets.token_hex(8),
            user_of(entry, user_id),
            None,
        )
        self._look_up(item_type)
        reason: str | None = self.uncounted() or self.by_bot(entry)
        if not reason:
            reason = self._asked(seen)
        self._buffer.see(seen._replace(verdict=reason))
        if ip is None and user_agent is None:
            _mark(seen, reason)
        return Verdict(Refusal.UNAVAILABLE if reason is None else reason)

    def _asked(self, seen: Seen) -> str | None:
        """The verdict; None when there was none in time, and the view has to be judged with its batch."""

        def ask() -> str:
            viewers, visitor = self._buffer.viewer(seen.entry, seen.user_id)
            return self._court.judge(View(seen.entry.moment, seen.item, viewers, visitor, seen.limits, seen.grant))

        try:
            return self._deadline.ask(ask)
        except (redis.RedisError, Overdue) as error:
            self._guard.failed("a view could not be judged in time", error)
        except Exception as error:
            self._guard.failed("internal", error)
        return None

    def uncounted(self) -> str:
        """Why nothing counts that the app tells of now, whatever it is; "" when it does."""
        return unseen() if self._enabled else Refusal.DISABLED

    def _look_up(self, item_type: str) -> None:
        """Say once of a type that it was not registered, where others were: that is a slip of the pen."""
        names = self._items.names
        if not names or item_type in names or item_type in self._strange or len(self._strange) >= MOST_STRANGE:
            return
        self._strange.add(item_type)
        known = ", ".join(sorted(names))
        logger.warning("track_view(%r): this type is not registered and has no rules; there are %s", item_type, known)

    def by_bot(self, entry: Entry) -> str:
        """`Refusal.BOT` where it is a bot's doing, and bots do not count; else ""."""
        is_one = self._drop_bots and entry.user_agent is not None and is_bot(entry.user_agent)
        return Refusal.BOT if is_one else ""

    def person(self, ip: str | None, user_agent: str | None) -> Entry:
        """Whose view, or event, it is: the one given, else the one of the request in progress, else nobody's."""
        if ip is not None or user_agent is not None:
            return self._reader.person(None)._replace(peer=ip or "", user_agent=user_agent, anonymous=ip is None)
        exchange = current.get()
        user = self._asking.user(exchange) if exchange is not None and self._asking.wanted else None
        return self._reader.person(exchange)._replace(user=user)


def user_of(entry: Entry, user_id: object | None) -> str | None:
    """The id of the user that the app gives, else of the one whose request it is; None for nobody.

    A text without characters names nobody: guests must not be taken for one and the same user.
    """
    return (None if user_id is None else str(user_id)) or entry.user


def _mark(seen: Seen, reason: str | None) -> None:
    """Tell the request in progress what it showed, so that its time counts for the item."""
    exchange = current.get()
    if exchange is not None:
        mark = f"{ASKED}{seen.grant}" if reason is None else REFUSED if reason else PASSED
        exchange.viewed = (*exchange.viewed, (mark, seen.item))[-MOST_VIEWED:]
