"""Where a visitor came from: the host of a referrer, and nothing else of it."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from pathhits.core.dimensions import DIRECT, INTERNAL, UNKNOWN
from pathhits.events import REFERRER_LENGTH, kept


def host_of(referrer: str) -> str:
    """The host name in a ``Referer`` header, in lower case; "" for none, and for one that is an address.

    Path and query say what somebody read or sought elsewhere, an address may be somebody's own: neither is kept.
    """
    try:
        # Python remembers what it splits: that is not to be what somebody read.
        host = kept(urlsplit(origin(referrer)).hostname or "", REFERRER_LENGTH).rstrip(".")
    except ValueError:
        return ""
    # No top-level domain is a number: what ends in one is an IPv4 address, in one of its spellings.
    last = host.rpartition(".")[2]
    return "" if ":" in host or last.isdigit() or last.startswith("0x") else host


def source(referrer: str, own: Collection[str]) -> str:
    """Where a hit came from: the bare host of the referrer, or `INTERNAL` where it is one of ``own`` (bare too).

    `DIRECT` without a referrer, `UNKNOWN` for one that names no host. A site that is visited by its address knows that.
    """
    if not referrer:
        return DIRECT
    host = bare(host_of(referrer))
    return INTERNAL if {host, _written_host(referrer)}.difference({""}).intersection(own) else host or UNKNOWN


def origin(referrer: str) -> str:
    """What of a referrer its `source` depends on: all up to the path."""
    return "/".join(referrer.split("/", 3)[:3])


def _written_host(referrer: str) -> str:
    """The host as a ``Host`` header has it, also where it is an address; "" for none."""
    try:
        return bare(urlsplit(origin(referrer)).netloc)
    except ValueError:
        return ""


def bare(host: str) -> str:
    """A host name in lower case without port and without ``www.``, which sites have or not."""
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    name = name.partition(":")[0].rstrip(".")
    rest = name.removeprefix("www.")
    return rest if "." in rest else name
