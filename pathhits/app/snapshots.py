"""What a dashboard shows, computed every half hour so that nobody waits for it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from redis import RedisError

from pathhits.app.parts import Parts
from pathhits.built import built
from pathhits.errors import StoreUnavailable
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.snapshots import SnapshotCopy

if TYPE_CHECKING:
    from pathhits.core.dashboard import Snapshot
    from pathhits.jobs.snapshot import Part, SnapshotReport
    from pathhits.storage.sql.snapshots import Snapshots


class Snapshotting(Parts):
    """Stores the dashboard and reads it."""

    def snapshot(self) -> Snapshot:
        """What a dashboard shows of the last days: the last one that was computed, with its ``age()`` and ``source``.

        It is read from Redis, else from SQL; where there is none, or a very old one because no worker runs, it is
        computed now. Raises `StoreUnavailable` or `NotMigrated` where nothing of that can be done.
        """
        from pathhits.jobs.snapshot import compute, read

        period = self.settings.snapshot_every
        return read(self._copied_snapshot, self._snapshots.newest, lambda: compute(self._snapshot_parts()), period)

    def refresh_snapshot(self, now: datetime | None = None) -> SnapshotReport:
        """Compute and store it as of ``now``, as the job does, and delete those that were kept long enough.

        Raises `StoreUnavailable` or `NotMigrated`; what was stored until then stays.
        """
        from pathhits.jobs.snapshot import store

        try:
            return store(
                self._snapshot_parts(), self._snapshots, self._snapshot_copy, self.settings.retention_snapshots, now
            )
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error

    def _snapshot_parts(self) -> dict[str, Part]:
        from pathhits.jobs.snapshot import parts_of

        return parts_of(self.stats, self.item_reads, self.value_reads, self.settings.dimensions)

    def _copied_snapshot(self) -> bytes | None:
        try:
            return self._snapshot_copy.get()
        except RedisError:
            return None

    @built
    def _snapshot_copy(self) -> SnapshotCopy:
        return SnapshotCopy(self.redis, self.keys)

    @built
    def _snapshots(self) -> Snapshots:
        from pathhits.storage.sql.snapshots import Snapshots

        return Snapshots(self.engine)
