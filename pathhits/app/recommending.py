"""Recommendations of `PathHits`: what the same visitors viewed, read by pages and made by a job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from redis import RedisError

from pathhits.app.running import Running
from pathhits.core.clicks import CLICKED_VERB, ClickRate
from pathhits.core.recommending import ALSO_VIEWED, Recommended
from pathhits.core.rules import Verdict, subject
from pathhits.errors import StoreUnavailable
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.jobs.recommend import RecommendReport


class Recommending(Running):
    """Which items go with which."""

    def also_viewed(self, item_type: str, item_id: object, limit: int = 10) -> list[Recommended]:
        """Items of the same type that visitors of this one viewed too, the likest first; at most 20.

        For templates: answers within `Settings.request_deadline`, with the last known ones when SQL is too slow, and
        never raises. The `recommend` job makes the lists.
        """
        item = subject(item_type, item_id)
        found = self._answer(lambda: self.item_reads.also_viewed(item_type, item_id))
        if found is None:
            found = self._last_recommended.get(item) or []
        else:
            self._last_recommended.put(item, found)
        return found[: max(limit, 0)]

    def track_recommendations_shown(
        self,
        item_type: str,
        reason: str = ALSO_VIEWED,
        count: int = 1,
        *,
        ip: str | None = None,
        user_agent: str | None = None,
    ) -> Verdict:
        """Count that a page showed so many recommended items for a reason; truthy unless to a crawler or
        ahead of a visit.

        Asks neither Redis nor SQL, and no row is written for each. ``reason`` is a word of yours. Raises `EventError`
        for a count that is none, `SettingsError` for a type that is none.
        """
        return self.tracking.shown(item_type, reason, count, ip, user_agent)

    def track_recommendation_clicked(
        self,
        item_type: str,
        item_id: object,
        reason: str = ALSO_VIEWED,
        position: int | None = None,
        *,
        properties: Mapping[str, Any] | None = None,
        key: str | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        user_id: object | None = None,
    ) -> Verdict:
        """Log that a recommended item was clicked: the event ``<type>.recommendation_clicked``, else as `track`.

        ``reason`` is why it was recommended, ``position`` its place in the list; a position that is none is left out.
        """
        said = {**(properties or {}), "reason": reason, "position": position}
        name = f"{item_type}{CLICKED_VERB}"
        return self.tracking.track(name, item_id, said, 1, key, ip, user_agent, user_id)

    def click_rates(
        self, since: datetime | None = None, until: datetime | None = None, *, item_type: str | None = None
    ) -> list[ClickRate]:
        """How often recommendations were shown and clicked, by type and reason; see `Stats.click_rates`."""
        return [one for one in self.stats.click_rates(since, until) if item_type in (None, one.item_type)]

    def recommend(self, now: datetime | None = None) -> RecommendReport:
        """Make the lists of `also_viewed` anew that views since the last run may have changed, as of ``now``.

        Raises `StoreUnavailable` or `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.recommend import recommend
        from pathhits.storage.sql.recommendations import Recommendations

        moment, settings = None if now is None else round(now.timestamp() * 1000), self.settings
        days, least = settings.recommend_days, settings.recommend_min_visitors
        try:
            report = recommend(Recommendations(self.engine), days, least, self.recommended_version.changed, moment)
        except RedisError as error:
            raise StoreUnavailable(explain(error, settings.redis_url)) from error
        if report.more:
            self._ask_for("recommend", 1.0)
        return report
