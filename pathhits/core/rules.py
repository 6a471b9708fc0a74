"""What keeps views honest: how often one viewer may be counted, as data; one Redis script decides by it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, Self

from pathhits.core import labels
from pathhits.errors import SettingsError

#: Seconds of the session that per-session limits count in, unless a rule says otherwise.
SESSION = 86_400
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,23}")


class Limits(NamedTuple):
    """The numbers of `Rules` in the order the script reads them; 0 is off."""

    cooldown: int
    per_session: int
    session: int
    per_day: int
    once_per_day: int


class Refusal:
    """Why a view was not counted; it is a hit all the same."""

    COOLDOWN = "cooldown"
    SESSION_LIMIT = "session_limit"
    DAILY_LIMIT = "daily_limit"
    ALREADY_TODAY = "already_today"
    BOT = "bot"
    PREFETCH = "prefetch"
    METHOD = "method"
    DISABLED = "disabled"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    UNCERTAIN = "uncertain"
    NO_RESULTS = "no_results"


#: Each refusal and what it says to a reader of the counts.
REFUSALS: dict[str, str] = {
    Refusal.COOLDOWN: "The viewer saw the item a moment ago.",
    Refusal.SESSION_LIMIT: "The viewer saw the item often enough in this session.",
    Refusal.DAILY_LIMIT: "The viewer saw enough items today (UTC).",
    Refusal.ALREADY_TODAY: "The viewer saw the item today (UTC).",
    Refusal.BOT: "The user agent was a crawler, an HTTP library or empty.",
    Refusal.PREFETCH: "A browser fetched the page ahead, and nobody may have looked at it.",
    Refusal.METHOD: "The request was a HEAD: nobody sees what it is answered.",
    Refusal.DISABLED: "Counting is off, ENABLED=0; this is counted nowhere either.",
    Refusal.INVALID: "The app named no item that can be; the log says what to do.",
    Refusal.UNAVAILABLE: "Redis did not answer in time; the view is judged later.",
    Refusal.UNCERTAIN: "It was sent, and whether Redis kept it cannot be known.",
    Refusal.NO_RESULTS: "The search found nothing, and SEARCH_LOG=with_results.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a view was counted: truthy when it was, else ``reason`` is one of `REFUSALS`."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class Rules:
    """How often one viewer is counted; seconds and counts, 0 = off.

    ``cooldown`` seconds between two views of an item, ``per_session`` views of an item within ``session`` seconds of
    the first, ``per_day`` views of all items with such a limit a UTC day, ``once_per_day`` one view of an item a UTC
    day. A viewer is the user where known, else the visitor. Raises `SettingsError` for numbers that cannot be.
    """

    cooldown: int = 0
    per_session: int = 0
    session: int = SESSION
    per_day: int = 0
    once_per_day: bool = False

    def __post_init__(self) -> None:
        for name in ("cooldown", "per_session", "session", "per_day"):
            if type(getattr(self, name)) is not int:
                raise SettingsError(f"Rules({name}={getattr(self, name)!r}): give a whole number")
        for name in ("cooldown", "per_session", "per_day"):
            if getattr(self, name) < 0:
                raise SettingsError(f"Rules({name}={getattr(self, name)}): give 0 (off) or more")
        if self.session <= 0:
            raise SettingsError(f"Rules(session={self.session}): give a number of seconds above 0")

    @classmethod
    def none(cls) -> Self:
        """Every hit on the item is a view."""
        return cls()

    @classmethod
    def antispam(cls) -> Self:
        """One view per viewer and item in two minutes."""
        return cls(cooldown=120)

    @classmethod
    def strict(cls) -> Self:
        """Five minutes apart, 3 a session of 24 h, 100 a day in all, each item once a day."""
        return cls(cooldown=300, per_session=3, per_day=100, once_per_day=True)

    @property
    def limits(self) -> Limits:
        """The numbers the script reads."""
        return Limits(self.cooldown, self.per_session, self.session, self.per_day, int(self.once_per_day))


def check_type(item_type: object) -> str:
    """The type of an item: a short word of lower-case letters, digits and underscores; else `SettingsError`."""
    if not isinstance(item_type, str) or not _TYPE.fullmatch(item_type):
        raise SettingsError(f"item type {item_type!r}: give a word of at most 24 characters such as 'product'")
    return item_type


def check_id(item_type: str, item_id: object) -> object:
    """The id of an item, whatever names one; `SettingsError` for None and for a text without characters."""
    if item_id is None or item_id == "":
        raise SettingsError(f"{item_type} {item_id!r}: give the id of the {item_type}")
    return item_id


def subject(item_type: str, item_id: object) -> str:
    """What an item is counted under, ``type:id`` as a clean label."""
    return labels.clean(f"{item_type}:{item_id}")


def type_of(item: str) -> str:
    """The type in an item's subject."""
    return item.partition(":")[0]
