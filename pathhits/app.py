"""`PathHits`: what an app holds in its hand. The only place that builds stores, buffers and middleware."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from wsgiref.types import WSGIApplication

from redis import Redis, RedisError

from pathhits.built import built
from pathhits.capture import shutdown
from pathhits.capture.asking import Asking, Identify, check_identify
from pathhits.capture.beacon import Beacon
from pathhits.capture.buffer import Buffer
from pathhits.capture.deadline import Deadline, Overdue
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.capture.recorder import EntryReader, Recorder
from pathhits.capture.tracking import Tracking
from pathhits.capture.viewing import Viewing
from pathhits.core.counts import Count
from pathhits.core.eventtypes import EventTypes
from pathhits.core.hotness import Thresholds, check_thresholds
from pathhits.core.itemstats import HotRow, ItemStats, last_known
from pathhits.core.listeners import Listeners, switched_on
from pathhits.core.remembered import Remembered
from pathhits.core.rules import Refusal, Rules, Verdict, subject
from pathhits.errors import PathHitsError, SettingsError, StoreUnavailable
from pathhits.hits import ITEM_MARK
from pathhits.middleware.asgi import AsgiApp, count_asgi
from pathhits.middleware.beacon import serve_asgi, serve_wsgi
from pathhits.middleware.wsgi import count_wsgi
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect, explain
from pathhits.storage.redis.hot import HotVersion
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.redis.rules import RuleStore
from pathhits.storage.redis.salts import SaltStore

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select

    from pathhits.capture.detour import Aside
    from pathhits.core.periods import By
    from pathhits.events import Event
    from pathhits.itemstats import ItemReads
    from pathhits.jobs.deliver import DeliverReport
    from pathhits.jobs.doctor import Finding
    from pathhits.jobs.items import ItemsReport
    from pathhits.jobs.prune import PruneReport
    from pathhits.jobs.recount import RecountReport
    from pathhits.jobs.sync import SyncReport
    from pathhits.jobs.verify import VerifyReport
    from pathhits.stats import ItemRow, Metric, PathRow, Point, Stats, Visits
    from pathhits.storage.sql.deliveries import DeadDelivery, Deliveries
    from pathhits.storage.sql.ledger import Ledger
    from pathhits.storage.sql.mirrors import Mirror
    from pathhits.storage.sql.reads import Reads

T = TypeVar("T")
F = TypeVar("F", bound="Callable[[Event], Any]")
S = TypeVar("S", bound="Select[Any]")

#: Seconds that the end of an ASGI app's lifespan may spend on the last flush.
LIFESPAN_FLUSH = 3.0
#: Labels whose last known count is kept for when a store does not answer in time.
COUNTS_REMEMBERED = 1_000


class PathHits:
    """Counts the pages of one app. Building it connects to nothing; what it needs is made when first used.

    ``PathHits()`` takes its settings from the environment, keywords win over it, ``settings`` replaces both.
    ``identify`` is a function from a request, as the framework has it, to the id of its user, None for nobody.
    Raises `SettingsError` for a setting that is unknown or impossible.
    """

    def __init__(self, settings: Settings | None = None, *, identify: Identify | None = None, **overrides: Any) -> None:
        if settings is not None and overrides:
            raise SettingsError(f"give settings or keywords, not both: {', '.join(sorted(overrides))}")
        try:
            self.settings = settings or Settings.from_env(**overrides)
        except TypeError as error:
            raise SettingsError(f"unknown setting: {error}") from None
        self.guard = Guard()
        self._deadline = Deadline(self.settings.request_deadline)
        self._last_counts: OrderedDict[str, Count] = OrderedDict()
        self._mirrors: list[Mirror] = []
        self._last_items: Remembered[str, ItemStats] = Remembered(inf, COUNTS_REMEMBERED)
        self._last_hot: Remembered[tuple[str, int], list[HotRow]] = Remembered(inf, COUNTS_REMEMBERED)
        shutdown.renew(self.guard, self._deadline)
        self._identify = identify if identify is None else check_identify(identify)

    # Counting.

    def wsgi(self, app: WSGIApplication) -> WSGIApplication:
        """``app`` with every request counted; its responses are the same to the byte."""
        if not self.settings.enabled:
            return app
        return self.with_beacon(count_wsgi(app, self.recorder, self.settings.believed_header))

    def asgi(
        self, app: AsgiApp, *, has_lifespan: bool = True, as_request: Callable[[Any], Any] | None = None
    ) -> AsgiApp:
        """``app`` with every HTTP request counted; websockets pass, the end of the lifespan flushes.

        ``has_lifespan=False`` says that the app refuses the lifespan, as Django's does: it is answered in its place,
        as uvicorn tells nobody else that it ends. ``as_request`` makes of a scope what ``identify`` and the functions
        of `register_item` are given; without it that is the scope.
        """
        if not self.settings.enabled:
            return app
        header = self.settings.believed_header
        counted = count_asgi(
            app, self.recorder, header, self._last_flush, has_lifespan=has_lifespan, as_request=as_request
        )
        return serve_asgi(counted, self._beacon, header) if self.settings.beacon else counted

    def with_beacon(self, app: WSGIApplication) -> WSGIApplication:
        """A WSGI app that is counted already, with the beacon answered where `Settings.beacon` is on."""
        return serve_wsgi(app, self._beacon, self.settings.believed_header) if self.settings.beacon else app

    def init_app(self, app: Any, *, identify: Identify | None = None) -> None:
        """Count the requests of a Flask app; it is then ``app.extensions["pathhits"]``. ``identify`` as above."""
        if identify is not None:
            self.asking.identify_by(identify)
        # An adapter is a layer above: it is found by name, and Flask is imported only by those who have it.
        importlib.import_module("pathhits.integrations.flask").init_app(self, app)

    def register_item(
        self,
        item_type: str,
        *,
        route: str = "",
        id: str | Callable[[Any], object] = "",
        rules: Rules | None = None,
        hot_at: int | None = None,
        cold_below: int | None = None,
    ) -> None:
        """Declare what is an item: a hit on ``route`` may be a view of the one that its parameter ``id`` names.

        ``route`` is a route's name or pattern as it is counted, "" for a type whose views only `track_view` counts.
        ``id`` may be a function from the request, as the framework has it, to the id, or None where there is no item;
        without a route it is asked for every GET.
        ``rules`` say which hits are views, by default all. ``hot_at`` and ``cold_below`` are by default the settings.
        Raises `SettingsError` for a type or route that is taken and for numbers that cannot be.
        """
        if bool(route) != bool(id) and not (callable(id) and not route):
            raise SettingsError(f"register_item({item_type!r}): give route and id together, or neither")
        thresholds = None
        if hot_at is not None or cold_below is not None:
            usual = self._usual_thresholds
            thresholds = check_thresholds(
                usual.hot_at if hot_at is None else hot_at, usual.cold_below if cold_below is None else cold_below
            )
        if self.items.register(item_type, route, id, rules or Rules.none(), thresholds).asks:
            self.asking.wanted = True

    def mirror(
        self,
        item_type: str,
        model: Any,
        *,
        id: Any,
        views: Any = None,
        hot: Any = None,
        visitors: Any = None,
        recent_views: Any = None,
        engine: Engine | None = None,
    ) -> None:
        """Keep columns of the app's own table (``Product.view_count``) at the figures of its items.

        ``id`` is the column that holds their ids. The items job writes them, in bulk and only where they changed, so
        PATHHITS_APP has to name the app to the worker. ``engine`` is for a table in another database than ours. Raises
        `SettingsError` for what is no column, or none of ``model``.
        """
        from pathhits.storage.sql.mirrors import make

        given = {"id": id, "views": views, "hot": hot, "visitors": visitors, "recent_views": recent_views}
        mirror = make(item_type, given, engine)
        if mirror.table is not getattr(model, "__table__", model):
            raise SettingsError(f"mirror({item_type!r}): the columns are not of {getattr(model, '__name__', model)}")
        self._mirrors.append(mirror)

    def order_by_views(self, statement: S, column: Any, item_type: str | None = None) -> S:
        """A select of the app's own rows with the most viewed first, by stored views; equals by ``column``.

        ``column`` holds the ids of items (``Product.slug``), of the type ``item_type``, by default the model's name in
        small letters. The tables of pathhits must be in the same database.
        """
        from pathhits.storage.sql.ordering import by_views

        return by_views(statement, column, item_type)

    def track_view(
        self,
        item_type: str,
        item_id: object,
        *,
        ip: str | None = None,
        user_agent: str | None = None,
        user_id: object | None = None,
    ) -> Verdict:
        """Count a view of an item when its rules allow it; truthy when counted, else with a reason. Never raises.

        Inside a request that is counted, address and agent are known; else give them. ``user_id`` makes the rules
        look at the user instead of the visitor; it is stored keyed. One round trip to Redis within
        `Settings.request_deadline`; where that is not enough the reason is ``unavailable``, and it is judged later.
        """
        if not self.settings.enabled:
            return Verdict(Refusal.UNAVAILABLE)
        try:
            return self.viewing.track(item_type, item_id, ip, user_agent, user_id)
        except Exception as error:
            self.guard.failed("internal", error)
            return Verdict(Refusal.UNAVAILABLE)

    async def atrack_view(self, item_type: str, item_id: object, **whose: Any) -> Verdict:
        """`track_view` for async code: it does not hold up the event loop."""
        return await asyncio.to_thread(self.track_view, item_type, item_id, **whose)

    def event_type(self, name: str, *, counter: str = "", value: int = 1) -> None:
        """Declare a type of events, ``product.shared``: each adds ``value`` to a counter of its item ("" for none).

        Built in for any item type: downloaded, rated, liked, unliked, watchlisted, unwatchlisted,
        recommendation_clicked, featured, updated, unfeatured. Raises `SettingsError` for what cannot be.
        """
        self.event_types.declare(name, counter, value)

    def track(
        self,
        name: str,
        item_id: object | None = None,
        *,
        properties: Mapping[str, Any] | None = None,
        value: int = 1,
        key: str | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        user_id: object | None = None,
    ) -> Verdict:
        """Log an event, ``track("movie.liked", 7)``, and add it to its counter; truthy unless it is a bot's.

        Asks neither Redis nor SQL. Inside a request it is that visitor's; else, or in an app that knows better, give
        ``ip``, ``user_agent`` and ``user_id``. ``value`` is how often, or the rating (1 to 5); ``properties`` are kept
        with it, up to 8 kB of JSON. Events of one name, item and ``key`` are one for a day. Raises `EventError`
        for an event that cannot be.
        """
        return self.tracking.track(name, item_id, properties, value, key, ip, user_agent, user_id)

    def track_hit(self, label: str) -> None:
        """Count one hit under ``label``; never raises, never blocks. Inside a request it is that visitor's hit."""
        if self.settings.enabled:
            self.recorder.track(label)

    def on(self, pattern: str, *, name: str = "") -> Callable[[F], F]:
        """Declare a listener: the worker calls the function with each `Event` that matches, at least once.

        ``pattern`` is the name of an event; ``product.*``, ``*.viewed`` and ``*`` take several in. ``name``, by default
        the function's module and name, is how its deliveries are known; give one to what may be moved or renamed.
        Events that are stored before a worker, or a sync with PATHHITS_APP, has made the listener known are not its.
        Raises `SettingsError` for a pattern that can match nothing and for a name that is taken.
        """

        def declare(function: F) -> F:
            self.listeners.add(pattern, function, name)
            return function

        return declare

    def flush(self, timeout: float = 5.0) -> bool:
        """Send to Redis all this process has counted; False when ``timeout`` seconds were not enough."""
        return self.buffer.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush a last time and let go of all connections; False when Redis did not take everything in time."""
        done = self.buffer.close(timeout) if "buffer" in self.__dict__ else True
        if "redis" in self.__dict__:
            self.redis.close()
        if "engine" in self.__dict__:
            self.engine.dispose()
        return done

    # Jobs.

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
        if moment is None and (report.failed or report.seconds > self.settings.deliver_every):
            self._ask_for_delivery(at_next=True)
        return report

    def dead_deliveries(self, listener: str = "", limit: int = 100) -> list[DeadDelivery]:
        """The deliveries that failed for good, the last ones first; raises `StoreUnavailable` or `NotMigrated`."""
        return self.deliveries.dead(listener, limit)

    def retry_dead(self, listener: str = "") -> int:
        """Have dead deliveries, of one listener or all, made anew by the worker; how many there are."""
        count = self.deliveries.retry(listener)
        if count:
            self._ask_for_delivery()
        return count

    def _make_listeners_known(self) -> None:
        if "listeners" in self.__dict__:
            self.deliveries.register(self.listeners.patterns())

    def _ask_for_delivery(self, *, at_next: bool = False) -> None:
        """Have the clock run the deliver job now, or when the next delivery is due; it comes by itself a bit later."""
        from pathhits.jobs.schedule import ask_for

        wait = 0.0
        if at_next:
            due = self.deliveries.next_due(switched_on(self.listeners.patterns(), self.settings.listeners_off))
            if due is None:
                return
            wait = max(0.0, due / 1000 - time.time())
        try:
            with closing(self.queue_connection()) as connection:
                ask_for(connection, self.settings.namespace, "deliver", wait)
        except RedisError as error:
            self.guard.failed("the deliver job could not be asked for", error)

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

    def _thresholds(self, item_type: str) -> Thresholds:
        return self.items.thresholds(item_type) or self._usual_thresholds

    @property
    def _usual_thresholds(self) -> Thresholds:
        return Thresholds(self.settings.hot_at, self.settings.cold_below)

    def verify(self) -> VerifyReport:
        """Whether the sums in SQL agree with each other, and those of items with the log."""
        from pathhits.jobs.verify import verify
        from pathhits.storage.sql.recount import Recount

        now = time.time_ns() // 1_000_000
        return verify(self.reads, Recount(self.engine).first_day(now, self.settings.retention_events))

    def recount(self) -> RecountReport:
        """Rebuild from the log what it can say of items: visitors, by day and in all, and when they were seen.

        Raises `StoreUnavailable` or `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.recount import recount
        from pathhits.storage.sql.recount import Recount

        return recount(Recount(self.engine), self.settings.retention_events)

    def prune(self, now: datetime | None = None) -> PruneReport:
        """Delete the events that are older than `Settings.retention_events`, and what the ledger no longer needs.

        All counts stay. Raises `StoreUnavailable` or `NotMigrated`; what was done until then stays.
        """
        from pathhits.jobs.prune import prune
        from pathhits.storage.sql.retention import Retention

        moment = None if now is None else round(now.timestamp() * 1000)
        try:
            return prune(
                Retention(self.engine), self.deliveries, self.pending.live, self.settings.retention_events, moment
            )
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error

    def doctor(self) -> list[Finding]:
        """What is wrong with Redis, SQL, queue and settings, and what to do about it."""
        from pathhits.jobs.doctor import examine

        return examine(self.settings, self.pending, self.queue_connection, self.engine, self.reads)

    def migrate(self) -> None:
        """Create or change our tables as this version needs them; raises `StoreUnavailable` when SQL is away."""
        from pathhits.storage.sql.migrate import upgrade

        upgrade(self.engine)

    # Reading. The counts of a page are for templates: they answer within `Settings.request_deadline` and never raise.

    def warm_up(self) -> None:
        """Import and build what reads need; called where an app is made, it gives the first visitor a count in time."""
        _ = self.stats, self.item_reads

    def hit_count(self, label: str) -> Count:
        """All hits of ``label``, stored + pending; ``.partial`` when a store did not answer in time."""
        return self.hit_counts([label])[label]

    def hit_counts(self, labels: Iterable[str]) -> dict[str, Count]:
        """All hits of each label, in one Redis call and one SQL statement; a partial one is the last that was known."""
        wanted = list(dict.fromkeys(labels))
        return self._in_time("", wanted, lambda: self.stats.hit_counts(wanted))

    def stored_hit_count(self, label: str) -> int:
        """The part of `hit_count` that is in SQL."""
        return self.hit_count(label).stored

    def pending_hit_count(self, label: str) -> int:
        """The part of `hit_count` that is in Redis and not yet in SQL."""
        return self.hit_count(label).pending

    def view_count(self, item_type: str, item_id: object) -> Count:
        """All views of an item, stored + pending; else as `hit_count`."""
        return self.view_counts(item_type, [item_id])[str(item_id)]

    def view_counts(self, item_type: str, ids: Iterable[object]) -> dict[str, Count]:
        """All views of each item, by its id as text; one Redis call and one SQL statement."""
        wanted = list(dict.fromkeys(str(one) for one in ids))
        return self._in_time(f"{ITEM_MARK}{item_type}:", wanted, lambda: self.stats.view_counts(item_type, wanted))

    def stored_view_count(self, item_type: str, item_id: object) -> int:
        """The part of `view_count` that is in SQL."""
        return self.view_count(item_type, item_id).stored

    def pending_view_count(self, item_type: str, item_id: object) -> int:
        """The part of `view_count` that is in Redis and not yet in SQL."""
        return self.view_count(item_type, item_id).pending

    def counter(self, item_type: str, item_id: object, name: str) -> Count:
        """A counter of an item that events add to (``likes``), stored + pending; else as `hit_count`."""
        return self.counters(item_type, [item_id], [name])[str(item_id)][name]

    def counters(self, item_type: str, ids: Iterable[object], names: Iterable[str]) -> dict[str, dict[str, Count]]:
        """Some counters of each item, by its id as text and by name; one Redis call and one SQL statement."""
        wanted = [(one, name) for one in dict.fromkeys(map(str, ids)) for name in dict.fromkeys(names)]
        asked = {ITEM_MARK.join((name, item_type, one)): (one, name) for one, name in wanted}
        found = self._in_time(
            ITEM_MARK,
            asked,
            lambda: dict(zip(asked, self.stats.counters(item_type, wanted), strict=True)),
        )
        counts: dict[str, dict[str, Count]] = {}
        for label, (one, name) in asked.items():
            counts.setdefault(one, {})[name] = found[label]
        return counts

    def item_stats(self, item_type: str, item_id: object) -> ItemStats:
        """All that is known of an item, stored + pending; a partial one is the last that was known."""
        name = subject(item_type, item_id)
        found = self._answer(lambda: self.item_reads.item_stats(item_type, item_id))
        if found is None or found.partial:
            return last_known(self._last_items.get(name), found, item_type, str(item_id))
        self._last_items.put(name, found)
        return found

    async def aitem_stats(self, item_type: str, item_id: object) -> ItemStats:
        """`item_stats` for async code: it does not hold up the event loop."""
        return await asyncio.to_thread(self.item_stats, item_type, item_id)

    def hot_items(self, item_type: str, limit: int = 10) -> list[HotRow]:
        """The hot items of a type, those with the most recent views first; the last known ones when SQL is too slow."""
        found = self._answer(lambda: self.item_reads.hot_items(item_type, limit))
        if found is None:
            return self._last_hot.get((item_type, limit)) or []
        self._last_hot.put((item_type, limit), found)
        return found

    def top_items(
        self, item_type: str, since: datetime | None = None, until: datetime | None = None, limit: int = 10
    ) -> list[ItemRow]:
        """The items of a type with the most views between two aware datetimes; see `Stats.top_items`."""
        return self.stats.top_items(item_type, since, until, limit)

    def rule_stats(self) -> dict[str, Any]:
        """The limits in force by item type, the live keys of the rules, and refusals by ``type:reason``.

        Counting live keys scans all of Redis: for a person who looks, not for a page. Raises `StoreUnavailable`.
        """
        try:
            live_keys = self.court.live_keys()
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error
        limits = {declared.name: declared.rules.limits._asdict() for declared in self.items}
        return {"limits": limits, "live_keys": live_keys, "refusals": self.stats.refusals()}

    def top_paths(self, since: datetime | None = None, until: datetime | None = None, limit: int = 10) -> list[PathRow]:
        """The labels with the most hits between two aware datetimes; see `Stats.top_paths`."""
        return self.stats.top_paths(since, until, limit)

    def series(
        self,
        metric: Metric,
        since: datetime,
        until: datetime,
        by: By = "hour",
        tz: str = "UTC",
        label: str | None = None,
        item: tuple[str, object] | None = None,
    ) -> list[Point]:
        """One number a step in a time zone; see `Stats.series`."""
        return self.stats.series(metric, since, until, by, tz, label, item)

    def visits(self, since: datetime | None = None, until: datetime | None = None) -> Visits:
        """Visits, bounces and seconds of the visits that began between two aware datetimes; see `Stats.visits`."""
        return self.stats.visits(since, until)

    def active_visitors(self) -> int:
        """Visitors who made a hit in the last five minutes; 0 where `Settings.visit_timeout` is."""
        return self.stats.active_visitors()

    def drops(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """Requests seen and not counted, by reason, stored + pending."""
        return self.stats.drops(since, until)

    def total(self, metric: Literal["hits", "requests"] = "hits") -> int:
        """Hits, or requests seen, of the whole site since the beginning, stored + pending."""
        return self.stats.total(metric)

    # What it is made of, built when first used.

    @built
    def redis(self) -> Redis:
        """The client for counts; it never repeats a command by itself."""
        return connect(
            self.settings.redis_url, timeout=self.settings.redis_timeout, verify=self.settings.redis_tls_verify
        )

    @built
    def keys(self) -> Keys:
        """The names of our Redis keys."""
        return Keys(self.settings.namespace)

    @built
    def pending(self) -> PendingStore:
        """The counting side of Redis."""
        return PendingStore(self.redis, self.keys, visit_timeout=self.settings.visit_timeout)

    @built
    def buffer(self) -> Buffer:
        """The buffer of this process; flushed when the process ends."""
        salts = SaltStore(self.redis, self.keys)
        buffer = Buffer(self.settings, self.pending, salts, self.guard, self.items, self._sql_sink, self.reader)
        shutdown.watch(buffer)
        return buffer

    @built
    def reader(self) -> EntryReader:
        """Reads what the middleware noted."""
        return EntryReader(self.settings, self.guard)

    @built
    def items(self) -> Items:
        """What the app has declared to be items."""
        return Items()

    @built
    def listeners(self) -> Listeners:
        """What the app has declared to be called with events."""
        return Listeners()

    @built
    def event_types(self) -> EventTypes:
        """The types of events there are."""
        return EventTypes()

    @built
    def asking(self) -> Asking:
        """What the app is asked for, on the time of a request."""
        asking = Asking(self.items, self.guard)
        if self._identify is not None:
            asking.identify_by(self._identify)
        return asking

    @built
    def court(self) -> RuleStore:
        """The rules' side of Redis."""
        return RuleStore(self.redis, self.keys)

    @built
    def hot_version(self) -> HotVersion:
        """Tells which version of the hot items is the present one."""
        return HotVersion(self.redis, self.keys)

    @built
    def viewing(self) -> Viewing:
        """The explicit way to count views."""
        shutdown.flush_on_sigterm()
        drop_bots = self.settings.bots == "drop"
        return Viewing(
            self.items, self.buffer, self.court, self._deadline, self.guard, self.reader, self.asking, drop_bots
        )

    @built
    def tracking(self) -> Tracking:
        """The explicit way to log events."""
        return Tracking(self.event_types, self.buffer, self.viewing, self.guard, self.settings.bots == "drop")

    @built
    def _beacon(self) -> Beacon:
        return Beacon(self.buffer.key, self.buffer.leave, self.reader, self._deadline, self.guard)

    @built
    def recorder(self) -> Recorder:
        """The request side; the process that has one counts, and flushes when it ends."""
        shutdown.flush_on_sigterm()
        return Recorder(self.settings, self.buffer.append, self.guard, self.reader, self.asking)

    @built
    def engine(self) -> Engine:
        """The SQL engine; its connections stay with the process that made them."""
        from pathhits.storage.sql.dialects import make_engine

        engine = make_engine(self.settings.database_url, self.settings.sql_timeout)
        os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
        return engine

    @built
    def ledger(self) -> Ledger:
        """The one writer of counts into SQL."""
        from pathhits.storage.sql.ledger import Ledger

        return Ledger(self.engine)

    @built
    def deliveries(self) -> Deliveries:
        """Which listener has yet to be called with which event."""
        from pathhits.storage.sql.deliveries import Deliveries

        return Deliveries(self.engine)

    @built
    def reads(self) -> Reads:
        """Questions to SQL."""
        from pathhits.storage.sql.reads import Reads

        return Reads(self.engine)

    @built
    def stats(self) -> Stats:
        """Questions to both stores."""
        from pathhits.stats import Stats

        return Stats(self.pending, self.reads, self.settings.redis_url)

    @built
    def item_reads(self) -> ItemReads:
        """Questions to both stores about items."""
        from pathhits.itemstats import ItemReads

        return ItemReads(self.pending, self.reads, self.hot_version.get, self.settings)

    def queue_connection(self) -> Redis:
        """A client for the Redis of RQ and the clock."""
        url = self.settings.queue_url or self.settings.redis_url
        return connect(url, timeout=self.settings.redis_timeout, verify=self.settings.redis_tls_verify)

    def _sql_sink(self) -> Aside:
        """Where counts go while Redis is away; the request side hands them over without knowing SQL."""
        from pathhits.jobs.fallback import TRIES, SqlSink
        from pathhits.storage.sql.ledger import Ledger

        return SqlSink(Ledger(self.engine, tries=TRIES))

    async def _last_flush(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.buffer.close, LIFESPAN_FLUSH)
        except Exception:
            # Not asyncio (trio), or its threads are gone: flush here, nobody is served any more.
            self.buffer.close(LIFESPAN_FLUSH)

    def _in_time(self, prefix: str, wanted: Iterable[str], ask: Callable[[], dict[str, Count]]) -> dict[str, Count]:
        """The counts that ``ask`` reads, or the last known ones, which are remembered under ``prefix`` and name."""
        counts = self._answer(ask)
        if counts is None:
            return {name: self._last_known(prefix + name) for name in wanted}
        return {name: self._best(prefix + name, count) for name, count in counts.items()}

    def _answer(self, ask: Callable[[], T]) -> T | None:
        """What ``ask`` reads, in time; else None, and the reason is in the log."""
        try:
            return self._deadline.ask(ask)
        except (PathHitsError, Overdue) as error:
            self.guard.failed("a count could not be read in time", error)
        except Exception as error:
            self.guard.failed("internal", error)
        return None

    def _best(self, name: str, count: Count) -> Count:
        """The count just read and remembered for worse times, or the last one where that knows of more."""
        if count.partial:
            return max(count, self._last_known(name))
        # Each step is one of the dict's own, so that no lock is needed that a fork could leave held.
        self._last_counts[name] = count
        if len(self._last_counts) > COUNTS_REMEMBERED:
            self._last_counts.popitem(last=False)
        return count

    def _last_known(self, name: str) -> Count:
        known = self._last_counts.get(name)
        return Count(known.stored, known.pending, partial=True) if known else Count(0, 0, partial=True)


def load(path: str = "") -> PathHits:
    """The PathHits of ``path`` ("module:attribute", by default PATHHITS_APP), else a new one from the environment.

    The attribute may be a PathHits, a function that returns one, or an app that has one in ``extensions``. Raises
    `SettingsError` when there is none.
    """
    path = path or os.environ.get("PATHHITS_APP", "")
    if not path:
        return PathHits()
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise SettingsError(f"APP={path}: {module_name!r} is no module; give module:attribute of your PathHits object")
    try:
        found: Any = importlib.import_module(module_name)
        for name in (attribute or "hits").split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"APP={path}: {error}; give module:attribute of your PathHits object") from error
    return _as_pathhits(found, path)


def _as_pathhits(found: Any, path: str) -> PathHits:
    if callable(found) and not isinstance(found, PathHits) and not hasattr(found, "extensions"):
        found = found()
    found = getattr(found, "extensions", {}).get("pathhits", found)
    if not isinstance(found, PathHits):
        raise SettingsError(f"APP={path} is a {type(found).__name__}: give module:attribute of your PathHits object")
    return found
