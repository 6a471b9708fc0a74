"""What watches over the rest: how the scheduled jobs are doing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from redis import RedisError

from pathhits.app.parts import Parts
from pathhits.errors import StoreUnavailable
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.jobs.runs import JobState


class Watching(Parts):
    """Looks at the jobs."""

    def schedule(self) -> list[JobState]:
        """Every scheduled job: its period, last run, next run and last error; raises `StoreUnavailable`."""
        from pathhits.jobs.runs import read_schedule

        try:
            with closing(self.queue_connection()) as connection:
                return read_schedule(self.settings, connection)
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.queue_url or self.settings.redis_url)) from error
