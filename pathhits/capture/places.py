"""The country of an address, out of a MaxMind database that the user has; no address leaves the process for it."""

from __future__ import annotations

import logging
from typing import Any

from pathhits.core.dimensions import UNKNOWN, clean

logger = logging.getLogger("pathhits")


class Places:
    """Opens the database when the first country is asked for; one that cannot be read is said once, in the log."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader: Any = None
        self._opened = False

    @property
    def known(self) -> bool:
        """Whether countries can be told."""
        if not self._opened:
            self._opened = True
            try:
                self._reader = open_database(self._path)
            except ValueError as error:
                logger.warning("countries are not counted: %s", error)
        return self._reader is not None

    def country(self, address: str) -> str:
        """The country of a normalised address as two letters (ISO 3166-1), `UNKNOWN` where the database has none."""
        if not address:
            return UNKNOWN
        return country_in(self._reader.get(address.partition("/")[0]))


def open_database(path: str) -> Any:
    """A reader of the database; ValueError with one clear line when there is none to be had."""
    try:
        import maxminddb
    except ImportError:
        raise ValueError("GEOIP_PATH needs maxminddb: pip install 'pathhits[geoip]'") from None
    try:
        return maxminddb.open_database(path)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise ValueError(f"GEOIP_PATH={path} cannot be read: {error}") from error


def country_in(record: Any) -> str:
    """The code in a record, as MaxMind (``country.iso_code``) or others (``country``, ``country_code``) write it."""
    found = record if isinstance(record, dict) else {}
    for name in ("country", "registered_country", "country_code"):
        value = found.get(name)
        code = value.get("iso_code") if isinstance(value, dict) else value
        if isinstance(code, str) and len(code) == 2:
            return clean(code.upper())
    return UNKNOWN
