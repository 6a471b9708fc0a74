"""Recommendations of `PathHits`: what the same visitors viewed, read by pages and made by a job."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from redis import RedisError

from pathhits.app.running import Running
from pathhits.core.recommending import Recommended
from pathhits.core.rules import subject
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
