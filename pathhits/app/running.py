"""What the worker, the clock and the command line have done: sync, deliver, items, prune and their like."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from redis import RedisError

from pathhits.app.declaring import Declaring
from pathhits.core.listeners import switched_on
from pathhits.core.retention import DAY_MS, first_kept_day
from pathhits.errors import StoreUnavailable
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.jobs.deliver import DeliverReport
    from pathhits.jobs.doctor import Finding
    from pathhits.jobs.items import ItemsReport
    from pathhits.jobs.months import MonthsReport
    from pathhits.jobs.prune import PruneReport
    from pathhits.jobs.recount import RecountReport
    from pathhits.jobs.sync import SyncReport
    from pathhits.jobs.verify import VerifyReport
    from pathhits.storage.sql.deliveries import DeadDelivery

#: Seconds in which a run that asks for the next one has ended; the clock would take that one to be running already.
RUN_ENDS = 1.0


class Running(Declaring):
    """The jobs, each a method that may be called by hand."""

    def sync(self, force: bool = False) -> SyncReport:
        """Move what is in Redis into SQL, exactly once; raises `StoreUnavailable` or `NotMigrated`, losing nothing."""
        from pathhits.jobs.sync import sync

        self._make_listeners_known()
        report = sync(self.pending, self.ledger, force=force)
        if report.deliveries:
            self._ask_for_delivery()
        return report

    def deliver(self, now: datetime | None = None) -> DeliverReport:
        """Call the listeners with the events that are due, as of ``now``; one that fails is called again later.

        Raises `StoreUnavailable` or `NotMigrated`; what was not written down by then is delivered again.
        """
        from pathhits.jobs.deliver import deliver

        self._make_listeners_known()
        moment = None if now is None else round(now.timestamp() * 1000)
        report = deliver(self.deliveries, self.listeners, self.settings, *([] if moment is None else [lambda: moment]))
        if moment is None and (report.failed or report.more or report.seconds > self.settings.deliver_every):
            self._ask_for_delivery(at_next=True)
        return report

    def refresh_items(self, now: datetime | None = None, *, all_items: bool = False) -> ItemsReport:
        """Count the recent views of the items that are due, as of ``now``; those that so become hot or cool do.

        What `mirror` keeps is written. ``all_items`` takes every item to be due, as after a mirror was declared anew.
        Raises `StoreUnavailable` or `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.items import refresh
        from pathhits.storage.sql.hotness import Hotness
        from pathhits.storage.sql.mirrors import write_all

        hotness, moment = Hotness(self.engine), None if now is None else round(now.timestamp() * 1000)
        try:
            if all_items:
                hotness.touch_all()
            mirror = partial(write_all, self._mirrors)
            return refresh(hotness, self._thresholds, self.hot_version, mirror, moment)
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error

    def verify(self) -> VerifyReport:
        """Whether the sums in SQL agree with each other, and those of items with the log."""
        from pathhits.jobs.verify import verify
        from pathhits.storage.sql.months import Months
        from pathhits.storage.sql.recount import Recount
        from pathhits.storage.sql.tables import ITEMS, PATHS

        now = time.time_ns() // 1_000_000
        months = Months(self.engine)
        values_since = self.reads.values_since(first_kept_day(now, self.settings.retention_values))
        logged_since = Recount(self.engine).first_day(now, self.settings.retention_events)
        rolled = {family.totals.name: months.sums(family) for family in (PATHS, ITEMS)}
        return verify(self.reads, logged_since, values_since, now // DAY_MS, rolled)

    def recount(self) -> RecountReport:
        """Rebuild from the log what it can say of items: visitors, by day and in all, and when they were seen.

        Raises `StoreUnavailable` or `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.recount import recount
        from pathhits.storage.sql.recount import Recount

        return recount(Recount(self.engine), self.settings.retention_events)

    def prune(self, now: datetime | None = None) -> PruneReport:
        """Delete the events that are older than `Settings.retention_events`, and what the ledger no longer needs.

        Values of single labels go after `Settings.retention_values` days. All counts stay. Raises `StoreUnavailable` or
        `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.prune import prune
        from pathhits.storage.sql.retention import Retention

        moment = None if now is None else round(now.timestamp() * 1000)
        try:
            return prune(
                Retention(self.engine),
                self.deliveries,
                self.pending.live,
                self.settings.retention_events,
                moment,
                self.settings.retention_values,
            )
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error

    def roll_months(self, now: datetime | None = None) -> MonthsReport:
        """Sum up the months of labels and items that lists of long periods read, as far as their days are over.

        Raises `StoreUnavailable` or `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.months import roll
        from pathhits.storage.sql.months import Months

        return roll(Months(self.engine), None if now is None else round(now.timestamp() * 1000))

    def doctor(self) -> list[Finding]:
        """What is wrong with Redis, SQL, queue and settings, and what to do about it."""
        from pathhits.jobs.doctor import examine

        return examine(self.settings, self.pending, self.queue_connection, self.engine, self.reads)

    def migrate(self) -> None:
        """Create or change our tables as this version needs them; raises `StoreUnavailable` when SQL is away."""
        from pathhits.storage.sql.migrate import upgrade

        upgrade(self.engine)

    def dead_deliveries(self, listener: str = "", limit: int = 100) -> list[DeadDelivery]:
        """The deliveries that failed for good, the last ones first; raises `StoreUnavailable` or `NotMigrated`."""
        return self.deliveries.dead(listener, limit)

    def retry_dead(self, listener: str = "") -> int:
        """Have dead deliveries, of one listener or all, made anew by the worker; how many there are."""
        count = self.deliveries.retry(listener)
        if count:
            self._ask_for_delivery()
        return count

    def prepare_worker(self) -> None:
        """Make the listeners known before a worker's first job, so that they miss no event from then on.

        Raises `StoreUnavailable` or `NotMigrated`; a sync and the deliver job do the same.
        """
        self._make_listeners_known()
        if "engine" in self.__dict__:
            self.engine.dispose()  # the jobs run in processes of their own

    def _make_listeners_known(self) -> None:
        if "listeners" in self.__dict__ or self.settings.notifies:
            self.deliveries.register(self.listeners.patterns())

    def _ask_for_delivery(self, *, at_next: bool = False) -> None:
        """Have the clock run the deliver job now, or when the next delivery is due; it comes by itself a bit later."""
        wait = 0.0
        if at_next:  # the run that asks has to end first: one at a time
            due = self.deliveries.next_due(switched_on(self.listeners.patterns(), self.settings.listeners_off))
            if due is None:
                return
            wait = max(RUN_ENDS, due / 1000 - time.time())
        self._ask_for("deliver", wait)

    def _ask_for(self, job: str, wait: float) -> None:
        """Have the clock run a job in so many seconds; it comes by itself where that fails."""
        from pathhits.jobs.schedule import ask_for

        try:
            with closing(self.queue_connection()) as connection:
                ask_for(connection, self.settings.namespace, job, wait)
        except RedisError as error:
            self.guard.failed(f"the {job} job could not be asked for", error)
