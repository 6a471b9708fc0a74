"""Searches of `PathHits`: logged by the app, and read by how often which query was searched for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pathhits.app.parts import Parts
from pathhits.core.eventtypes import SEARCH
from pathhits.core.rules import Verdict
from pathhits.core.searches import SearchRow


class Searching(Parts):
    """The search log."""

    def track_search(
        self,
        query: str,
        filters: Mapping[str, Any] | None = None,
        result_count: int | None = None,
        entity_type: str = "",
        *,
        properties: Mapping[str, Any] | None = None,
        key: str | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        user_id: object | None = None,
    ) -> Verdict:
        """Log a search, the event ``search.performed``; truthy unless it is a bot's, nobody looks at the page yet, or
        `Settings.search_log` says no.

        ``query`` is cut at 500 characters, ``filters`` (JSON) are left out beyond 4 kB, ``result_count`` is how many
        were found, None where that is not known, ``entity_type`` a word for what was looked for. Whatever a visitor
        may send is taken; `EventError` is for arguments of another kind. The rest is as for `track`.
        """
        said = {"query": query, "filters": filters, "result_count": result_count, "entity_type": entity_type}
        return self.tracking.track(SEARCH, None, {**(properties or {}), **said}, 1, key, ip, user_agent, user_id)

    def popular_searches(
        self,
        since: datetime | None = None,
        limit: int = 10,
        *,
        until: datetime | None = None,
        entity_type: str | None = None,
    ) -> list[SearchRow]:
        """The queries searched for most between two aware datetimes, without searches that are known to be in vain.

        See `Stats.searches`.
        """
        return self.stats.searches(since, until, limit, entity_type)

    def failed_searches(
        self,
        since: datetime | None = None,
        limit: int = 10,
        *,
        until: datetime | None = None,
        entity_type: str | None = None,
    ) -> list[SearchRow]:
        """The queries searched for most that found nothing; else as `popular_searches`."""
        return self.stats.searches(since, until, limit, entity_type, failed=True)
