"""Decides, in the flusher thread, what a candidate hit counts under, or why it does not, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from pathhits.capture.exchange import UNMATCHED
from pathhits.capture.recorder import Entry
from pathhits.core import labels
from pathhits.core.bots import is_bot
from pathhits.core.clients import client_address
from pathhits.core.statuses import Reason
from pathhits.core.visitors import hex_id, user_id_of, visitor_id
from pathhits.settings import Settings

#: Routes whose label is remembered; an app has hundreds, so this holds them all and still has an end.
ROUTES = 4096


class Judge:
    """The settings' view of an entry; pure but for its caches. Those of visitors hold addresses, until `forget`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._excluded = labels.compile_globs(settings.exclude)
        self._excluded_types = tuple(kind.lower() for kind in settings.exclude_types)
        self._drop_bots = settings.bots == "drop"
        self._visitors: dict[tuple[str, str, str | None, bytes], int] = {}
        self._addresses: dict[tuple[str, str], str] = {}
        self._route: Callable[[str | None, str | None, str], tuple[str, bool]] = lru_cache(ROUTES)(self._label)

    def reason(self, entry: Entry) -> str:
        """Why this entry is no hit, "" when it may be one."""
        if entry.reason:
            return entry.reason
        if entry.path is not None:
            if entry.path.startswith(self._settings.exclude_prefixes):
                return Reason.EXCLUDED
            if entry.content_type.lower().startswith(self._excluded_types):
                return Reason.EXCLUDED
            if entry.pattern == UNMATCHED and not entry.name:
                return Reason.UNMATCHED
        if self._drop_bots and entry.user_agent is not None and is_bot(entry.user_agent):
            return Reason.BOT
        return ""

    def label(self, entry: Entry) -> tuple[str, bool]:
        """The entry's label, and whether the settings exclude it."""
        if entry.path is None:
            return labels.clean(entry.name or ""), False
        if entry.pattern and self._settings.route_label != "path":
            return self._route(entry.name, entry.pattern, "")
        return self._label(entry.name, entry.pattern, entry.path)

    def viewer(self, entry: Entry, salt: bytes, user_id: str | None = None) -> str:
        """The keyed id that the rules know the entry's viewer by: the user where known, else the visitor."""
        return hex_id(self.visitor(entry, salt)) if user_id is None else user_id_of(user_id, salt)

    def ids(self, entry: Entry, salts: Sequence[bytes]) -> tuple[str, ...]:
        """The keyed ids of the entry's visitor under each of some salts."""
        return tuple(hex_id(self.visitor(entry, salt)) for salt in salts)

    def visitor(self, entry: Entry, salt: bytes) -> int:
        """The keyed hash of the entry's client address and user agent."""
        who = entry.peer, entry.forwarded, entry.user_agent, salt
        known = self._visitors.get(who)
        if known is None:
            known = self._visitors[who] = visitor_id(self.address(entry), entry.user_agent or "", salt)
        return known

    def address(self, entry: Entry) -> str:
        """The entry's client address, which takes longer to find than to hash under each of some salts."""
        client = entry.peer, entry.forwarded
        known = self._addresses.get(client)
        if known is None:
            known = self._addresses[client] = client_address(*client, self._settings.trusted_proxies)
        return known

    def forget(self) -> None:
        """Forget who was seen: one visitor is seen often in a second, and nobody is to be kept for longer."""
        self._visitors.clear()
        self._addresses.clear()

    def _label(self, name: str | None, pattern: str | None, path: str) -> tuple[str, bool]:
        label = labels.choose(name, pattern, path, self._settings.route_label)
        return label, any(self._excluded(word) for word in (label, name, pattern) if word)
