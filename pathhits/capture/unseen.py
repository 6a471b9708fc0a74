"""Whether anybody looks at what the request in progress is answered: nobody does yet at a prefetch, ever at a HEAD."""

from __future__ import annotations

from pathhits.capture.exchange import current
from pathhits.core.bots import is_prefetch
from pathhits.core.statuses import Reason


def unseen() -> str:
    """Why nobody looks, as the reason for which the request itself is no hit; "" outside of a request."""
    exchange = current.get()
    if exchange is None:
        return ""
    if exchange.method == "HEAD":
        return Reason.METHOD
    return Reason.PREFETCH if is_prefetch(exchange.purpose) else ""
