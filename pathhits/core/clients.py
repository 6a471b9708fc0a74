"""The client's address, as far as trusted proxies vouch for it.

Everything is read from the right, where the trusted proxies write: what a client puts into the header itself,
further left, never changes the answer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from pathhits.settings import TrustedProxies

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

#: Entries of the header that are looked at, at most.
MAX_ENTRIES = 32
#: Characters of the longest text that can be an address, with brackets, zone and port.
_MAX_TEXT = 100
_IPV6_NETWORK_BITS = 64
# A number, or what RFC 7239 lets a proxy write instead of one.
_PORT = re.compile(r":(?:[0-9]{1,5}|_[\w.-]+)")
# One parameter of an RFC 7239 element; a quoted value may hold anything, commas and semicolons too.
_PARAMETER = re.compile(r"""\s*([\w!#$%&'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s;"]*)\s*(?:;|$)""")


def client_address(peer: str, forwarded: str, trusted: TrustedProxies) -> str:
    """The normalised address of the client ("" when it has none, as behind a unix socket nobody forwards for).

    ``peer`` is the address that connected (REMOTE_ADDR), ``forwarded`` the whole value of the proxies' header:
    the list of X-Forwarded-For, or of RFC 7239 Forwarded (``for=``). ``trusted`` says how far it is believed:

    - 0: not at all, the peer is the client.
    - n hops: the n-th entry from the right, which the outermost of n proxies wrote. With fewer entries a proxy was
      bypassed, and the left-most is what the outermost proxy on the way wrote; no entry, or one that is no
      address, gives the peer.
    - networks: from a peer inside them, entries are followed from the right while they are inside too; the first
      outside is the client, else the left-most. An entry that is no address ends the walk: the last good
      address counts. A peer outside the networks, or without an address, is never believed: behind a unix
      socket give a number of hops.
    """
    if isinstance(trusted, int):
        return _after_hops(peer, forwarded, trusted)
    return _after_networks(peer, forwarded, trusted)


def normalise_address(text: str) -> str:
    """The canonical form of an address: IPv4 as it is (IPv4-mapped IPv6 too), IPv6 as its /64 network.

    Ports, brackets, quotes and zone ids are dropped; "" when ``text`` is no address (a unix socket's peer, a
    host name). A canonical form is its own canonical form.
    """
    return _canonical(_parse(text))


def _after_hops(peer: str, forwarded: str, hops: int) -> str:
    found = ""
    if hops > 0 and forwarded:
        for count, entry in enumerate(_from_the_right(forwarded), 1):
            found = entry
            if count == hops:
                break
    return normalise_address(found) or normalise_address(peer)


def _after_networks(peer: str, forwarded: str, networks: Networks) -> str:
    client = _parse(peer)
    if client is None or not _inside(client, networks) or not forwarded:
        return _canonical(client)
    for count, entry in enumerate(_from_the_right(forwarded), 1):
        address = _parse(entry)
        if address is None:
            break
        client = address
        if count == MAX_ENTRIES or not _inside(client, networks):
            break
    return _canonical(client)


def _from_the_right(forwarded: str) -> Iterator[str]:
    """The entries of the header from the last to the first, each as the text that should be an address."""
    end = len(forwarded)
    while end >= 0:
        comma = _last_comma(forwarded, end)
        yield _for(forwarded[comma + 1 : end].strip())
        end = comma


def _last_comma(text: str, end: int) -> int:
    """Where the last comma before ``end`` outside quotes is, or -1.

    Quotes are paired from the right: a quote that a client left open, further left, swallows nothing.
    """
    comma = text.rfind(",", 0, end)
    while (quote := text.rfind('"', comma + 1, end)) >= 0:
        end = _opening_quote(text, quote)
        if end < 0:
            return -1
        if comma >= end:
            comma = text.rfind(",", 0, end)
    return comma


def _opening_quote(text: str, closing: int) -> int:
    """Where the quoted string that ends at ``closing`` begins, or -1; a quote after a backslash is inside it."""
    quote = text.rfind('"', 0, closing)
    while quote >= 0:
        backslashes = quote
        while backslashes > 0 and text[backslashes - 1] == "\\":
            backslashes -= 1
        if (quote - backslashes) % 2 == 0:
            return quote
        quote = text.rfind('"', 0, quote)
    return -1


def _for(entry: str) -> str:
    """The address text of one entry: the entry itself, or the one ``for`` of an RFC 7239 element ("" if none)."""
    if "=" not in entry:
        return entry
    found, at = [], 0
    while at < len(entry):
        parameter = _PARAMETER.match(entry, at)
        if parameter is None:
            return ""
        if parameter[1].lower() == "for":
            found.append(parameter[2])
        at = parameter.end()
    return found[0] if len(found) == 1 else ""


def _parse(text: str) -> Address | None:
    # No answer is remembered here: an address is nobody's to keep, and who asks again knows for how long.
    if len(text) > _MAX_TEXT:
        return None
    try:
        address = ipaddress.ip_address(_bare(text.strip().strip('"')))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bare(text: str) -> str:
    """The address without brackets, port, zone id and the /64 of a canonical form."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        text = host if not port or _PORT.fullmatch(port) else ""
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        text = host if _PORT.fullmatch(f":{port}") else ""
    return text.removesuffix(f"/{_IPV6_NETWORK_BITS}").partition("%")[0] if ":" in text else text


def _canonical(address: Address | None) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_NETWORK_BITS), strict=False))
    return "" if address is None else str(address)


def _inside(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
