"""Where a visitor came from: the host of a referrer, and nothing else of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pathhits.events import REFERRER_LENGTH, kept


def host_of(referrer: str) -> str:
    """The host name in a ``Referer`` header, in lower case; "" for none, and for one that is an address.

    Path and query say what somebody read or sought elsewhere, an address may be somebody's own: neither is kept.
    """
    try:
        host = kept(urlsplit(referrer).hostname or "", REFERRER_LENGTH).rstrip(".")
    except ValueError:
        return ""
    # No top-level domain is a number: what ends in one is an IPv4 address, in one of its spellings.
    last = host.rpartition(".")[2]
    return "" if ":" in host or last.isdigit() or last.startswith("0x") else host
