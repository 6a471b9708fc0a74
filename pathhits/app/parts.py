"""What a `PathHits` is made of. The only place that builds stores, buffers and readers, each when first used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from redis import Redis

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
from pathhits.core.itemstats import HotRow, ItemStats
from pathhits.core.listeners import Listeners
from pathhits.core.recommending import Recommended
from pathhits.core.remembered import Remembered
from pathhits.errors import PathHitsError, SettingsError
from pathhits.notify import Notifier, declare
from pathhits.settings import Settings
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.redis.rules import RuleStore
from pathhits.storage.redis.salts import SaltStore
from pathhits.storage.redis.versions import Version

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pathhits.browsing import Browsing
    from pathhits.capture.detour import Aside
    from pathhits.capture.explaining import FindRoute
    from pathhits.itemstats import ItemReads
    from pathhits.stats import Stats
    from pathhits.storage.sql.apikeys import ApiKeys
    from pathhits.storage.sql.deliveries import Deliveries
    from pathhits.storage.sql.ledger import Ledger
    from pathhits.storage.sql.mirrors import Mirror
    from pathhits.storage.sql.reads import Reads
    from pathhits.valuestats import ValueReads

T = TypeVar("T")
#: Labels whose last known count is kept for when a store does not answer in time.
COUNTS_REMEMBERED = 1_000


class Parts:
    """Settings, and the parts that follow from them; building it connects to nothing."""

    def __init__(self, settings: Settings | None = None, *, identify: Identify | None = None, **overrides: Any) -> None:
        if settings is not None and overrides:
            raise SettingsError(f"give settings or keywords, not both: {', '.join(sorted(overrides))}")
        try:
            self.settings = settings or Settings.from_env(**overrides)
        except TypeError as error:
            raise SettingsError(f"unknown setting: {error}") from None
        self.guard = Guard()
        #: Set by the integration that knows the app's routes.
        self.find_route: FindRoute | None = None
        self._deadline = Deadline(self.settings.request_deadline)
        self._last_counts: OrderedDict[str, Count] = OrderedDict()
        self._mirrors: list[Mirror] = []
        self._last_items: Remembered[str, ItemStats] = Remembered(inf, COUNTS_REMEMBERED)
        self._last_hot: Remembered[tuple[str, int], list[HotRow]] = Remembered(inf, COUNTS_REMEMBERED)
        self._last_recommended: Remembered[str, list[Recommended]] = Remembered(inf, COUNTS_REMEMBERED)
        shutdown.renew(self.guard, Guard.after_fork)
        shutdown.renew(self._deadline, Deadline.after_fork)
        self._identify = identify if identify is None else check_identify(identify)

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
    def salts(self) -> SaltStore:
        """The salts of visitors, in Redis."""
        return SaltStore(self.redis, self.keys)

    @built
    def buffer(self) -> Buffer:
        """The buffer of this process; flushed when the process ends."""
        buffer = Buffer(self.settings, self.pending, self.salts, self.guard, self.items, self._sql_sink, self.reader)
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
        """What the app has declared to be called with events, and who tells of them by the settings."""
        listeners = Listeners()
        if self.settings.notifies:
            declare(listeners, self.settings.notify_events, self.notifier)
        return listeners

    @built
    def notifier(self) -> Notifier:
        """Who tells people and programs of events."""
        return Notifier(self.settings, self.queue_connection)

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
    def hot_version(self) -> Version:
        """Tells which version of the hot items is the present one."""
        return Version(self.redis, self.keys.hot_version())

    @built
    def recommended_version(self) -> Version:
        """Tells which version of the recommendations is the present one."""
        return Version(self.redis, self.keys.recommended_version())

    @built
    def viewing(self) -> Viewing:
        """The explicit way to count views."""
        if self.settings.enabled:
            shutdown.flush_on_sigterm()
        drop_bots = self.settings.bots == "drop"
        return Viewing(
            self.items,
            self.buffer,
            self.court,
            self._deadline,
            self.guard,
            self.reader,
            self.asking,
            drop_bots,
            self.settings.enabled,
        )

    @built
    def tracking(self) -> Tracking:
        """The explicit way to log events."""
        return Tracking(self.event_types, self.buffer, self.viewing, self.guard, self.settings)

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
        from pathhits.storage.sql.dialects.engines import make_engine

        engine = make_engine(self.settings.database_url, self.settings.sql_timeout)
        shutdown.renew(engine, lambda mine: mine.dispose(close=False))
        return engine

    @built
    def ledger(self) -> Ledger:
        """The one writer of counts into SQL."""
        from pathhits.storage.sql.ledger import Ledger

        return Ledger(self.engine, max_searches=self.settings.max_searches)

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
    def api_keys(self) -> ApiKeys:
        """The keys of the API."""
        from pathhits.storage.sql.apikeys import ApiKeys

        return ApiKeys(self.engine)

    @built
    def browsing(self) -> Browsing:
        """Questions of the dashboard to both stores."""
        from pathhits.browsing import Browsing
        from pathhits.storage.sql.browse import Browse

        browse = Browse(self.engine)
        return Browsing(self.pending, self.reads, browse, self.value_reads, self.settings.redis_url)

    @built
    def value_reads(self) -> ValueReads:
        """Questions to both stores about what hits are told apart by besides their label."""
        from pathhits.valuestats import ValueReads

        return ValueReads(self.pending, self.reads, self.settings.redis_url)

    @built
    def item_reads(self) -> ItemReads:
        """Questions to both stores about items."""
        from pathhits.itemstats import ItemReads

        return ItemReads(
            self.pending,
            self.reads,
            self.hot_version.get,
            self.settings,
            recommended_version=self.recommended_version.get,
            counters=lambda: self.event_types.counters,
        )

    def queue_connection(self) -> Redis:
        """A client for the Redis of RQ and the clock."""
        url = self.settings.queue_url or self.settings.redis_url
        return connect(url, timeout=self.settings.redis_timeout, verify=self.settings.redis_tls_verify)

    def _sql_sink(self) -> Aside:
        """Where counts go while Redis is away; the request side hands them over without knowing SQL."""
        from pathhits.jobs.fallback import TRIES, SqlSink
        from pathhits.storage.sql.ledger import Ledger

        return SqlSink(Ledger(self.engine, tries=TRIES, max_searches=self.settings.max_searches))

    def _answer(self, ask: Callable[[], T]) -> T | None:
        """What ``ask`` reads, in time; else None, and the reason is in the log."""
        try:
            return self._deadline.ask(ask)
        except SettingsError as error:
            self.guard.failed("what was asked for cannot be counted", error)
        except (PathHitsError, Overdue) as error:
            self.guard.failed("a count could not be read in time", error)
        except Exception as error:
            self.guard.failed("internal", error)
        return None
