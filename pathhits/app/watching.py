"""What watches over the rest: how the scheduled jobs are doing, and whether the traffic is as usual."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis import RedisError

from pathhits.app.running import Running
from pathhits.errors import StoreUnavailable
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.jobs.runs import JobState
    from pathhits.jobs.spikes import SpikesReport


class Watching(Running):
    """Looks at the jobs and at the traffic."""

    def schedule(self) -> list[JobState]:
        """Every scheduled job: its period, last run, next run and last error; raises `StoreUnavailable`."""
        from pathhits.jobs.runs import read_schedule

        try:
            with closing(self.queue_connection()) as connection:
                return read_schedule(self.settings, connection)
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.queue_url or self.settings.redis_url)) from error

    def look_for_spikes(self, now: datetime | None = None) -> SpikesReport:
        """Compare the last hours with the same ones of the days before, as of ``now`` (aware, by default this moment).

        What is odd becomes an event, ``site.traffic_spiked`` or ``site.fell_silent``, at most `Settings.spike_alarms`
        times a UTC day each. Raises `StoreUnavailable` or `NotMigrated`.
        """
        from pathhits.jobs.spikes import look
        from pathhits.storage.sql.alarms import Alarms

        self._make_listeners_known()
        report = look(self.settings, self.stats, Alarms(self.engine), now or datetime.now(UTC))
        if report.said:
            self._ask_for_delivery()
        return report
