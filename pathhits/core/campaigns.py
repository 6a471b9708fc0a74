"""The campaign that a link belongs to, as its query string says (``utm_source``, ``utm_medium``, ``utm_campaign``)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from pathhits.core.dimensions import KINDS, clean

#: What a query string of interest has in it: the rest is neither read nor kept.
MARK = "utm_"
#: Parameters that are looked at, at most.
MAX_PARAMETERS = 100


def campaign(query: str) -> tuple[str, ...]:
    """Source, medium and campaign, each "" where the query string (bytes as latin-1) does not say; the first counts."""
    if MARK not in query:
        return ("",) * len(KINDS["campaign"])
    try:
        # What a client sent without percent-encoding it is UTF-8 as a rule.
        text = query.encode("latin-1", "replace").decode("utf-8", "replace")
        found = parse_qsl(text, errors="replace", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        found = []
    first = dict(reversed(found))
    return tuple(clean(first.get(name, "")) for name in KINDS["campaign"])
