"""Short-lived tokens that say that one of our processes made them, and nothing of whom for."""

from __future__ import annotations

import re
from hashlib import blake2b
from hmac import compare_digest

#: Seconds for which a token is good: as long as a page may be open and still tell of its end.
TOKEN_LIFE = 3 * 3_600
#: Seconds by which another machine's clock may be ahead.
SKEW = 60
_TOKEN = re.compile(r"([0-9a-f]{8,10})\.[0-9a-f]{32}")


def make_token(key: bytes, moment: float) -> str:
    """A token of this moment (unix seconds), signed with a secret of 1 to 64 bytes."""
    stamp = f"{int(moment):x}"
    return f"{stamp}.{_signature(key, stamp)}"


def token_moment(token: str) -> float | None:
    """When a token says it was made; None for what is no token. It tells which secret to check it with."""
    found = _TOKEN.fullmatch(token)
    return float(int(found[1], 16)) if found else None


def is_good(token: str, key: bytes, now: float) -> bool:
    """Whether this token was made with this secret, and lately."""
    made = token_moment(token)
    if made is None or not -SKEW <= now - made <= TOKEN_LIFE:
        return False
    stamp, _, signature = token.partition(".")
    return compare_digest(signature, _signature(key, stamp))


def _signature(key: bytes, stamp: str) -> str:
    return blake2b(stamp.encode(), digest_size=16, key=key, person=b"beacon").hexdigest()
