"""Who is the same visitor: a keyed hash that only holds for one salt period."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from pathhits.settings import SaltRotation

#: Random bytes of a salt.
SALT_BYTES = 16
#: Seconds before the end of a period in which the next has to be reckoned with: other machines' clocks, what waits.
BORDER = 60.0
#: Seconds a salt is kept after its period has ended, for visits that cross the border.
SALT_KEPT_AFTER = 48 * 3600

_DAY = 86_400
# 1970-01-01 was a Thursday: three days into the week that began on a Monday.
_EPOCH_WEEKDAY = 3
_NEVER = "never"


def visitor_id(address: str, user_agent: str, salt: bytes) -> int:
    """The visitor as a signed 64-bit number, from the normalised address and the user agent as it was sent.

    ``salt`` is 1 to 64 secret bytes; others raise ValueError, for an unkeyed hash of an address is the address.
    """
    if not salt:
        raise ValueError("a visitor needs a salt")
    first, second = (text.encode("utf-8", "surrogatepass") for text in (address, user_agent))
    digest = blake2b(len(first).to_bytes(4, "big") + first + second, digest_size=8, key=salt, person=b"visitor")
    return int.from_bytes(digest.digest(), "big", signed=True)


def user_id_of(user: str, salt: bytes) -> str:
    """What rules and the event log know a user by: as a visitor, keyed by ``salt``."""
    return hex_id(visitor_id("user", user, salt))


def hex_id(number: int) -> str:
    """A 64-bit number as it stands in keys: 16 hexadecimal digits."""
    return f"{number & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def once_id(key: str, salt: bytes) -> str:
    """What is remembered of the key of an event, which may name a user: 32 hexadecimal digits, keyed."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, key=salt, person=b"once").hexdigest()


def has_cookie(cookies: str, name: str) -> bool:
    """Whether a Cookie header names a cookie ``name``; never for an empty name."""
    if not name or name not in cookies:
        return False
    return any(pair.partition("=")[0].strip() == name for pair in cookies.split(";") if "=" in pair)


def salt_period(moment: float, rotation: SaltRotation) -> str:
    """The name of the salt period (UTC) that holds ``moment`` (unix seconds).

    ``d20778``: day since 1970; ``w2968``: week since 1970, beginning on Monday; ``m2026-11``; ``never``.
    """
    day = int(moment // _DAY)
    if rotation == "day":
        return f"d{day}"
    if rotation == "week":
        return f"w{(day + _EPOCH_WEEKDAY) // 7}"
    if rotation == "month":
        return f"m{datetime.fromtimestamp(moment, UTC):%Y-%m}"
    return _NEVER


def previous_period(moment: float, rotation: SaltRotation) -> str | None:
    """The salt period before the one of ``moment``; None when there is only one."""
    days = {"day": 1, "week": 7, "month": datetime.fromtimestamp(moment, UTC).day, "never": 0}[rotation]
    return salt_period(moment - days * 86_400, rotation) if days else None


def visit_periods(moment: float, now: float, rotation: SaltRotation) -> tuple[tuple[str, ...], int]:
    """The salt periods in which a visit that holds ``moment`` may be known, and the index of the moment's own.

    Its own, the one before, and first of all the next, once that may have begun: a late hit finds the visit that went
    on after the border. ``now`` is the present moment.
    """
    own, before = salt_period(moment, rotation), previous_period(moment, rotation)
    if before is None:
        return (own,), 0
    if period_end(before) <= now < period_end(own) - BORDER:
        return (own, before), 0
    return (salt_period(period_end(own), rotation), own, before), 1


def period_end(period: str) -> float:
    """The unix second at which a period of `salt_period` ends and the next begins; infinite for ``never``.

    Raises ValueError for a text that is no period.
    """
    if period == _NEVER:
        return math.inf
    kind, number = period[:1], period[1:]
    if kind == "d":
        return float((int(number) + 1) * _DAY)
    if kind == "w":
        return float(((int(number) + 1) * 7 - _EPOCH_WEEKDAY) * _DAY)
    if kind == "m":
        first = datetime.strptime(number, "%Y-%m").replace(tzinfo=UTC)
        return (first + timedelta(days=31)).replace(day=1).timestamp()
    raise ValueError(f"not a salt period: {period!r}")


def secret_salt(secret: str) -> bytes:
    """The 32-byte salt of ``salt_rotation=never``, derived from the configured secret: the same in every process."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=32, person=b"pathhits-salt").digest()
