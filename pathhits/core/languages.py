"""The language a browser asks for first."""

from __future__ import annotations

import re

from pathhits.core.dimensions import UNKNOWN

# RFC 9110, 12.5.4: browsers send the tags in the order of preference.
_FIRST = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]+)?\s*(?:[,;]|$)")


def language(accepted: str) -> str:
    """The primary subtag of the first language in an ``Accept-Language`` header, in lower case: ``de`` of ``de-AT``."""
    found = _FIRST.match(accepted[:64])
    return found[1].lower() if found else UNKNOWN
