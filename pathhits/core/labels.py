"""What a hit is counted under: clean labels, their keys, and one spelling for each URL path."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from hashlib import sha256

from pathhits.settings import RouteLabel

#: Characters of the longest label; the width of the column that keeps it.
MAX_LABEL = 255
#: The label of a hit that was given an empty one.
EMPTY = "(empty)"

_ELLIPSIS = "…"
_HEAD = MAX_LABEL - len(_ELLIPSIS) - sha256().digest_size * 2
_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# RFC 3986 pchar without "%" and digits: unreserved, sub-delims, ":" and "@".
_PCHAR = r"A-Za-z\-._~!$&'()*+,;=:@"
_NOT_PCHAR = re.compile(f"[^0-9{_PCHAR}]")
# No digit and shorter than a UUID: it is no value and needs no escape, so it is its own label.
_PLAIN_SEGMENT = re.compile(f"[{_PCHAR}]{{1,35}}")
_PLAIN_PATH = re.compile(f"(?:/[{_PCHAR}]{{1,35}})+")
_VALUE = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})"
    r"|(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<int>[0-9]+)"
    r"|(?P<hex>(?=[a-fA-F]*[0-9])[0-9a-fA-F]{16,})"
)
# An eight-digit number is a day only in these years, so that most eight-digit ids stay ids.
_COMPACT_YEARS = range(1900, 2100)


def clean(label: str) -> str:
    """The canonical form of ``label``: never empty, at most `MAX_LABEL` characters, storable in every database.

    Control characters and surrogates are percent-encoded (a byte that was no UTF-8 as that byte); an empty label
    is ``(empty)``; an over-long one is its head, an ellipsis and the SHA-256 of its full clean form, so that two
    of them stay apart. ``clean(clean(x)) == clean(x)``. Never raises.
    """
    if 0 < len(label) <= MAX_LABEL and label.isprintable():
        return label
    whole = _UNSTORABLE.sub(_escape, label) or EMPTY
    if len(whole) <= MAX_LABEL:
        return whole
    return f"{whole[:_HEAD]}{_ELLIPSIS}{sha256(whole.encode()).hexdigest()}"


def key(label: str) -> bytes:
    """What a label is stored and compared by: the SHA-256 (32 bytes) of its clean form in UTF-8."""
    return key_of_clean(clean(label))


def key_of_clean(label: str) -> bytes:
    """The `key` of a label that is known to be clean."""
    return sha256(label.encode()).digest()


def normalise_path(path: str) -> str:
    """The label of a decoded URL path: one spelling for each path, and one label for all values of a segment.

    Runs of slashes are one slash and a trailing one goes; ``.`` and ``..`` stay. Whole segments become ``{date}``
    (2026-11-20, and 20261120 in the years 1900 to 2099), ``{uuid}``, ``{int}`` (ASCII digits) or ``{hex}`` (16 or
    more hex digits with at least one decimal among them). What RFC 3986 does not allow in a segment is
    percent-encoded in upper case, but printable non-ASCII characters stay; bytes that were no UTF-8 come as
    surrogateescape. Case is kept. The result begins with "/" and is clean.
    """
    if len(path) <= MAX_LABEL and _PLAIN_PATH.fullmatch(path):
        return path
    return clean("/" + "/".join([_segment(segment) for segment in path.split("/") if segment]))


def choose(name: str | None, pattern: str | None, path: str, prefer: RouteLabel) -> str:
    """The clean label of a request: what ``prefer`` asks for, else the next of route name, pattern, path.

    ``path`` is decoded and is normalised; it is what remains when the route is unknown (None or "").
    """
    if prefer == "name" and name:
        return clean(name)
    if prefer != "path" and pattern:
        return clean(pattern)
    return normalise_path(path)


@lru_cache(maxsize=64)
def compile_globs(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """A test that is true for a label that any of the globs (``*``, ``?``, ``[…]``) matches whole, case included."""
    if not globs:
        return lambda label: False
    match = re.compile("|".join(fnmatch.translate(glob) for glob in globs)).match
    return lambda label: match(label) is not None


def _segment(segment: str) -> str:
    if _PLAIN_SEGMENT.fullmatch(segment):
        return segment
    value = _VALUE.fullmatch(segment)
    kind = _kind(value) if value is not None else ""
    return f"{{{kind}}}" if kind else _NOT_PCHAR.sub(_escape_unless_printable, segment)


def _kind(value: re.Match[str]) -> str:
    """The name of the placeholder for a segment that `_VALUE` matched; "" for a day no calendar has."""
    kind = value.lastgroup or ""
    if kind != "date" or _is_day(value[0]):
        return kind
    return "int" if value[0].isdigit() else ""


def _is_day(text: str) -> bool:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return False
    return "-" in text or day.year in _COMPACT_YEARS


def _escape_unless_printable(character: re.Match[str]) -> str:
    found = character[0]
    return found if found > "\x7f" and found.isprintable() else _escape(character)


def _escape(character: re.Match[str]) -> str:
    """One character as percent-encoded bytes; U+DC80 to U+DCFF stand for the byte they escape (PEP 383)."""
    found = character[0]
    escaped_byte = "\udc80" <= found <= "\udcff"
    raw = found.encode("utf-8", "surrogateescape" if escaped_byte else "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in raw)
