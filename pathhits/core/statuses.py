"""Why a request is not a hit: the reasons of drops, and the rule for partial responses."""

from __future__ import annotations

import re


class Reason:
    """The reasons a request is dropped for; `REASONS` explains each in a sentence."""

    METHOD = "method"
    STATUS = "status"
    RANGE = "range"
    PREFETCH = "prefetch"
    BOT = "bot"
    EXCLUDED = "excluded"
    FAILED = "failed"
    UNMATCHED = "unmatched"
    OVERFLOW = "overflow"
    UNCERTAIN = "uncertain"
    REJECTED = "rejected"
    INTERNAL = "internal"


#: Each reason and what it says to a reader of the counts.
REASONS: dict[str, str] = {
    Reason.METHOD: "The request was not a GET.",
    Reason.STATUS: "The response had a status that makes no hit, such as a redirect or an error.",
    Reason.RANGE: "The response was a later part of something whose first part was counted.",
    Reason.PREFETCH: "A browser fetched the page ahead, and nobody may have looked at it.",
    Reason.BOT: "The user agent was a crawler, an HTTP library or empty.",
    Reason.EXCLUDED: "The settings exclude this label, path or content type.",
    Reason.FAILED: "The app raised an error, or the response did not begin or broke off.",
    Reason.UNMATCHED: "No route of the app matched the path.",
    Reason.OVERFLOW: "The buffer of the process was full, since Redis did not take what it held.",
    Reason.UNCERTAIN: "It was sent, and whether Redis kept it cannot be known: the server changed before it answered.",
    Reason.REJECTED: "Redis refused to add it, and would again.",
    Reason.INTERNAL: "A bug of pathhits, which is in the log; please report it.",
}

_FROM_ZERO = re.compile(r"\s*bytes\s+0-[0-9]", re.IGNORECASE)


def starts_at_zero(content_range: str) -> bool:
    """Whether a 206 begins at byte 0 (``bytes 0-99/1000``), and so is the first part.

    False without a Content-Range: a multipart/byteranges response has none.
    """
    return _FROM_ZERO.match(content_range) is not None
