"""Folds what requests left behind into deltas, visitors, visits, views and events; the flusher's work."""

from __future__ import annotations

import logging
from typing import NamedTuple

from pathhits.capture.accumulator import Accumulator, Whose
from pathhits.capture.detour import Detour
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.capture.judge import Judge
from pathhits.capture.recorder import Entry
from pathhits.capture.saltring import SaltRing, VisitSalts
from pathhits.capture.traits import Traits
from pathhits.core.periods import hour_of
from pathhits.core.referrers import host_of
from pathhits.core.rules import Limits, Refusal, subject, type_of
from pathhits.core.statuses import Reason
from pathhits.core.visitors import (
    once_id,
)
from pathhits.events import USER_AGENT_BYTES, USER_LENGTH, Logged, kept, milliseconds, new_id, viewed
from pathhits.hits import SHOWN, Step, Track, View
from pathhits.settings import Settings

logger = logging.getLogger("pathhits")

#: What an entry needs to be folded: the salt of its visitor, the view it may be, the salts of its visit.
Needs = tuple[bytes | None, View | None, VisitSalts | None]


class Seen(NamedTuple):
    """A view that an app asked about: whose it was, and the verdict, None where there was no time for one."""

    entry: Entry
    item: str
    limits: Limits
    grant: str
    user_id: str | None
    verdict: str | None


class Told(NamedTuple):
    """An event that an app told of: whose it was, its item ("" for none), and what it adds to that item's counters.

    ``properties`` are JSON or ""; with a ``key`` it happens once a day. Recommendations that were shown are no event:
    their name is `SHOWN`, their item ``type:reason``.
    """

    entry: Entry
    name: str
    item: str
    amounts: tuple[tuple[str, int], ...]
    properties: str
    user_id: str | None
    key: str | None
    refusal: str = ""


class Folder:
    """What one process counted since its last batch, in ``accumulator``; one thread at a time folds."""

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        items: Items,
        judge: Judge,
        traits: Traits,
        salts: SaltRing,
        detour: Detour,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._items = items
        self._judge = judge
        self._traits = traits
        self._detour = detour
        self.salts = salts
        self.accumulator = Accumulator(settings.max_labels, settings.buffer_size)

    def needs(self, entry: Entry, ask: bool) -> Needs:
        """What the entry needs; LookupError when it has to wait for a salt. To ``ask`` may raise what Redis does."""
        candidate = not entry.reason and not entry.anonymous
        salt = self.salts.of(entry.moment, ask) if candidate else None
        shown = self._shown(entry, ask)
        visits = candidate and self._settings.visit_timeout and not self._detour.is_open
        return salt, shown, self.salts.of_visit(entry.moment, ask) if visits else None

    def fold(self, entry: Entry, needs: Needs) -> None:
        """Take over an entry with what `needs` found for it; never raises but for a bug of ours."""
        salt, shown, keys = needs
        if entry.left is not None:
            self._fold_left(entry, keys)
            return
        hour = hour_of(entry.moment)
        self.accumulator.request(hour)
        try:
            reason = self._judge.reason(entry)
            label, excluded = ("", False) if reason else self._judge.label(entry)
            visitor = None if reason or excluded or salt is None else self._judge.visitor(entry, salt)
            whose = Whose(self._judge.ids(entry, keys.salts), keys.home) if visitor is not None and keys else None
        except Exception as error:
            self._guard.failed("internal", error)
            reason, excluded, label, visitor, whose = Reason.INTERNAL, False, "", None, None
        if reason or excluded:
            self.accumulator.drop(hour, reason or Reason.EXCLUDED)
            if shown and reason == Reason.BOT:
                self.accumulator.refuse(shown.moment, shown.item, Refusal.BOT)
                say(shown.item, Refusal.BOT)
        else:
            self.accumulator.hit(hour, label, visitor, self._traits.of(entry))
            view = self._with_event(shown, entry, entry.user) if shown else None
            if whose is not None:
                self.accumulator.step(whose, Step(entry.moment, entry.viewed), view)
            elif view is not None:
                self.accumulator.candidate(view)

    def fold_seen(self, seen: Seen, ask: bool) -> None:
        """Take over a view that the app asked about; LookupError when it has to wait for its salts."""
        if seen.verdict:
            self.accumulator.refuse(seen.entry.moment, seen.item, seen.verdict)
            say(seen.item, seen.verdict)
            return
        viewers, visitor = self.viewer(seen.entry, seen.user_id, ask=ask)
        view = View(seen.entry.moment, seen.item, viewers, visitor, seen.limits, seen.grant)
        take = self.accumulator.candidate if seen.verdict is None else self.accumulator.viewed
        take(self._with_event(view, seen.entry, seen.user_id))

    def fold_told(self, told: Told, ask: bool) -> None:
        """Take over an event that the app told of; LookupError when it has to wait for its salts."""
        entry = told.entry
        if told.name == SHOWN:
            self.accumulator.show(entry.moment, told.item, sum(n for _, n in told.amounts))
            return
        if told.refusal:
            self.accumulator.refuse(entry.moment, told.item or told.name.partition(".")[0], told.refusal)
            return
        viewers, visitor = self.viewer(entry, told.user_id, ask=ask)
        keys = () if told.key is None else (*self.salts.around(entry.moment, ask), *self._detour.salts)
        once = tuple(once_id(f"{told.name}\n{told.item}\n{told.key}", key) for key in keys)
        item = told.item and self.accumulator.admit_item(entry.moment, told.item)
        view = View(entry.moment, item, viewers, visitor, ())
        event = self._logged(told.name, view, entry, told.user_id, told.properties)
        self.accumulator.track(Track(entry.moment, told.name, item, told.amounts, event.text(), once))

    def viewer(self, entry: Entry, user_id: str | None, *, ask: bool = True) -> tuple[tuple[str, ...], int | None]:
        """The ids that the rules know a viewer by, and the visitor for the sketch (None for one who is none).

        May ask Redis for the salts; LookupError when it must not and does not know them.
        """
        nobody = entry.user_agent is None and not entry.peer
        if nobody and user_id is None:
            return (), None
        salts = self.salts.around(entry.moment, ask)
        # Of one whose salt is away, an id that tells viewers apart in this process.
        keys = salts or self._detour.salts
        ids = tuple(dict.fromkeys(self._judge.viewer(entry, key, user_id) for key in keys))
        known = bool(salts) and not entry.anonymous and not nobody
        return ids, self._judge.visitor(entry, salts[0]) if known else None

    def forget(self) -> None:
        """Keep nobody who was seen, and no salt for longer than Redis does."""
        self._judge.forget()
        self._traits.forget()
        self.salts.forget()

    def _fold_left(self, entry: Entry, keys: VisitSalts | None) -> None:
        try:
            if keys is not None and not self._judge.reason(entry):
                whose = Whose(self._judge.ids(entry, keys.salts), keys.home)
                self.accumulator.step(whose, Step(entry.moment, age=entry.left))
        except Exception as error:
            self._guard.failed("internal", error)

    def _shown(self, entry: Entry, ask: bool) -> View | None:
        """The view that this entry may be; None when its route shows no item."""
        if not self._items or entry.reason:
            return None
        try:
            asked = entry.item
            shown = self._items.on_route(entry.name, entry.pattern) if asked is None else self._items[asked[0]]
            item = subject(*asked) if asked else shown.item(entry.params) if shown else None
        except Exception as error:
            # A route parameter that has no text: the hit counts, and nothing behind it waits.
            self._guard.failed("internal", error)
            return None
        if shown is None or item is None:
            return None
        viewers, visitor = self.viewer(entry, entry.user, ask=ask)
        return View(entry.moment, item, viewers, visitor, shown.rules.limits)

    def _with_event(self, view: View, entry: Entry, user_id: str | None) -> View:
        """The view, under the item it counts for, with the event that is logged when it counts."""
        shown = view._replace(item=self.accumulator.admit_item(view.moment, view.item))
        event = self._logged(viewed(type_of(shown.item)), shown, entry, user_id)
        return view._replace(event=event.text(), counts_as=shown.item)

    def _logged(self, name: str, view: View, entry: Entry, user_id: str | None, properties: str = "") -> Logged:
        """What the event log is told of an event that happened to the item of ``view``."""
        moment = milliseconds(view.moment)
        # Of one who opted out, nothing but that it was: what the app itself said of a viewer is not such a client's.
        told = not entry.anonymous or entry.referrer is None
        return Logged(
            id=new_id(moment),
            name=name,
            item=view.item,
            visitor=view.visitor or 0,
            user_id=self._logged_user(view, user_id) if told and user_id is not None else "",
            user_agent=kept(entry.user_agent or "", USER_AGENT_BYTES) if told else "",
            referrer=host_of(entry.referrer or "") if told else "",
            properties=properties,
            moment=moment,
        )

    def _logged_user(self, view: View, user_id: str) -> str:
        """What the event log is told of a user: the keyed id, unless the app wants it plain."""
        if self._settings.user_ids == "plain":
            return kept(user_id, USER_LENGTH)
        # An id that only this process could tell again says nothing.
        return view.viewers[0] if view.viewers and self.salts.has(view.moment) else ""


def say(item: str, refusal: str) -> None:
    """One line about one view, for who wants to see why a number stands still; it names nobody."""
    logger.debug("view of %s: %s", item, f"refused, {refusal}" if refusal else "counted")
