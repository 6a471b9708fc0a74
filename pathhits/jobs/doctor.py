"""Looks at everything pathhits stands on and says what is wrong and what to do about it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from pathhits.capture.places import open_database
from pathhits.core.listeners import switched_on
from pathhits.errors import PathHitsError
from pathhits.jobs.clock import clock_alive, workers_alive
from pathhits.jobs.runs import JobState, read_schedule
from pathhits.notify.channels import channels
from pathhits.notify.queueing import Failed, failed
from pathhits.settings import Settings, redact
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.sql import migrate
from pathhits.storage.sql.deliveries import Deliveries
from pathhits.storage.sql.reads import Reads

State = Literal["ok", "warning", "error"]

#: Seconds the oldest sealed generation may wait before it is worth a warning.
LONG_WAIT = 600
#: Seconds after which a listener that no worker made known is taken to be gone, and events that wait to be stuck.
LISTENER_GONE = 600
#: Oldest Redis whose commands are enough.
OLDEST_REDIS = (6, 2)
#: What INFO says of the last time the server wrote to its disk.
LAST_WRITES = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
#: What is not promised where the server's run_id cannot be known.
WEAKER = "a Redis that came back from an older snapshot, or was replaced, is not noticed, and may count twice or lose"
HIDDEN = f"it answers, but refuses INFO to this user: {WEAKER}; allow it with '+info' (eviction and disk go unseen too)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state, and a sentence that says what to do when it is not ok."""

    what: str
    state: State
    says: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def examine(
    settings: Settings, pending: PendingStore, queue: Callable[[], redis.Redis], engine: Engine, reads: Reads
) -> list[Finding]:
    """Findings about Redis, SQL, queue, clock and client addresses; never raises for what it examines."""
    return [
        *_redis(settings, pending),
        *_queue(settings, queue),
        *_sql(settings, engine, reads),
        _addresses(settings),
        *_countries(settings),
    ]


def _redis(settings: Settings, pending: PendingStore) -> Iterator[Finding]:
    try:
        info = _info(pending.client)
        yield _version(info) if info else Finding("Redis", "warning", HIDDEN)
        if info:
            yield _eviction("eviction", info, "counts", "error")
            yield _persistence(info)
        yield _writes(pending, info)
        yield _backlog(pending)
    except redis.RedisError as error:
        yield Finding("Redis", "error", f"{explain(error, settings.redis_url)}; check REDIS_URL and the server")


def _info(client: redis.Redis) -> dict[str, Any]:
    """What the server says of itself; nothing where this user may not ask."""
    try:
        return client.info()
    except redis.ResponseError:
        # It may be that the connection itself is refused, as with the number of a database that there is not.
        client.ping()
        return {}


def _version(info: dict[str, Any]) -> Finding:
    shown = str(info.get("redis_version", "0"))
    version = tuple(int(part) for part in shown.split(".")[:2] if part.isdigit())
    if version < OLDEST_REDIS:
        return Finding("Redis", "error", f"version {shown} is too old: 6.2 or newer is needed")
    if not info.get("run_id"):
        return Finding("Redis", "warning", f"version {shown} hides its run_id: {WEAKER}")
    return Finding("Redis", "ok", f"version {shown} answers")


def _eviction(what: str, info: dict[str, Any], deletes: str, state: State) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        advice = f"it may delete {deletes}: set 'maxmemory-policy noeviction', or give pathhits a Redis of its own"
        return Finding(what, state, f"maxmemory-policy is {policy}, {advice}")
    return Finding(what, "ok", "maxmemory-policy is noeviction")


def _persistence(info: dict[str, Any]) -> Finding:
    failed = [name for name in LAST_WRITES if str(info.get(name, "ok")) != "ok"]
    if failed:
        advice = "a crash loses what was not yet synced: look at the server's log and at its disk"
        return Finding("persistence", "warning", f"{', '.join(failed)}: the last save failed, {advice}")
    if info.get("aof_enabled"):
        return Finding("persistence", "ok", "the append-only file is on")
    advice = "a crash loses what was not yet synced: set 'appendonly yes', or accept at most SYNC_EVERY seconds of hits"
    return Finding("persistence", "warning", f"the append-only file is off, {advice}")


def _writes(pending: PendingStore, info: dict[str, Any]) -> Finding:
    """Whether counts are taken at all: a replica, a full memory, a broken disk and an ACL refuse each in its way."""
    try:
        pending.probe()
    except redis.ReadOnlyError:
        primary = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        return Finding(
            "writes", "error", f"this is a read-only replica of {primary}, it takes no counts: point REDIS_URL at that"
        )
    except redis.ResponseError as error:
        return Finding("writes", "error", f"refused, hits wait in the processes until they overflow: {error}")
    if info.get("role") == "slave":
        advice = "its next resync deletes the counts it was given: point REDIS_URL at the primary"
        return Finding("writes", "error", f"this is a replica that takes writes, {advice}")
    return Finding("writes", "ok", "taken")


def _backlog(pending: PendingStore) -> Finding:
    count, age = pending.waiting()
    if age is not None and age > LONG_WAIT:
        advice = "no sync gets through: look at the worker's log and run 'pathhits sync'"
        return Finding("backlog", "error", f"{count} generations wait, the oldest for {age:.0f} s: {advice}")
    return Finding("backlog", "ok", f"{count} generations wait for SQL")


def _queue(settings: Settings, queue: Callable[[], redis.Redis]) -> Iterator[Finding]:
    url = settings.queue_url or settings.redis_url
    try:
        connection = queue()
        ago = clock_alive(connection, settings.namespace)
        workers = workers_alive(connection, settings.namespace)
        jobs = read_schedule(settings, connection)
        untold = failed(settings, connection)
        if settings.queue_url not in ("", settings.redis_url):
            yield _eviction("queue eviction", _info(connection), "jobs", "warning")
    except redis.RedisError as error:
        name = "QUEUE_URL" if settings.queue_url else "REDIS_URL (the queue is there too, as QUEUE_URL is not set)"
        yield Finding("queue", "error", f"{explain(error, url)}; check {name}")
        return
    if ago is None:
        yield Finding("clock", "error", "no clock runs, nothing is synced by itself: start 'pathhits clock'")
    else:
        yield Finding("clock", "ok", f"last pass {ago:.0f} s ago")
    if not workers:
        yield Finding("worker", "error", "no worker runs, nothing is synced by itself: start 'pathhits worker'")
    else:
        yield Finding("worker", "ok", f"{workers} running")
    yield from _jobs(jobs)
    yield from _notifications(settings, untold)


def _jobs(jobs: Sequence[JobState]) -> Iterator[Finding]:
    """Whether the last run of each job went well."""
    failing = [job for job in jobs if job.failures]
    for job in failing:
        runs = "the last run" if job.failures == 1 else f"the last {job.failures:,} runs"
        advice = "look at the worker's log and at 'pathhits schedule'"
        yield Finding("job", "warning", f"{runs} of {job.job} failed ({job.error}): {advice}")
    if not failing:
        run = sum(job.last_run is not None for job in jobs)
        yield Finding("jobs", "ok", f"{run} of {len(jobs)} have run, none failed the last time")


def _notifications(settings: Settings, untold: Sequence[Failed]) -> Iterator[Finding]:
    """Whether everybody who is to be told of something was."""
    if untold:
        advice = "see 'pathhits notify', then 'pathhits notify --retry'"
        last = untold[-1]
        says = f"{len(untold)} failed for good, the last one to {last.channel} ({last.error}): {advice}"
        yield Finding("notifications", "warning", says)
    elif settings.notifies:
        yield Finding("notifications", "ok", f"go to {', '.join(one.shown for one in channels(settings))}")


def _sql(settings: Settings, engine: Engine, reads: Reads) -> Iterator[Finding]:
    url = redact(settings.database_url)
    try:
        at, wanted = migrate.current(engine), migrate.head(engine)
        if at != wanted:
            has = f"is at revision {at}, this version needs {wanted}" if at else "has no tables of pathhits yet"
            yield Finding("SQL", "error", f"{url} {has}: run 'pathhits db upgrade'")
            return
        yield Finding("SQL", "ok", f"{url} answers, revision {at}")
        dead_letters, near_max = reads.warnings()
        yield from _listeners(settings, Deliveries(engine))
    except (SQLAlchemyError, PathHitsError) as error:
        reason = redact(str(getattr(error, "orig", None) or error).partition("\n")[0])
        yield Finding("SQL", "error", f"{url} did not answer: {reason}; check DATABASE_URL and the server")
        return
    if near_max:
        yield Finding("counters", "error", f"{near_max} of path_counters are near 2^63 and will be clamped there")
    if dead_letters:
        yield Finding(
            "dead letters", "warning", f"{dead_letters} fields could not be stored: see pathhits_dead_letters"
        )


def _listeners(settings: Settings, deliveries: Deliveries) -> Iterator[Finding]:
    """Whether each listener that events are kept for is still called."""
    known, now = deliveries.listeners(), time.time()
    on = set(switched_on([one.name for one in known], settings.listeners_off))
    for one in known:
        gone = now - one.seen_at / 1000
        if gone > LISTENER_GONE:
            advice = (
                "start the workers with PATHHITS_APP, "
                f"or, if it is no more: pathhits listeners --forget {shlex.quote(one.name)}"
            )
            yield Finding("listener", "warning", f"{one.name} is in no worker, {one.due} events wait for it: {advice}")
        elif one.name not in on and one.due:
            yield Finding("listener", "warning", f"{one.name} is switched off, {one.due} events wait for it")
    dead = sum(one.dead for one in known)
    if dead:
        advice = "see 'pathhits dead list', then 'pathhits dead retry'"
        yield Finding("listeners", "warning", f"{dead} deliveries failed for good: {advice}")
    elif known:
        yield Finding("listeners", "ok", f"{len(known)} known, {sum(one.due for one in known)} deliveries due")


def _countries(settings: Settings) -> Iterator[Finding]:
    if settings.geoip_path and "country" in settings.dimensions:
        try:
            with open_database(settings.geoip_path) as reader:
                yield Finding("countries", "ok", f"{reader.metadata().database_type} in {settings.geoip_path}")
        except ValueError as error:
            yield Finding("countries", "warning", f"{error}; no countries are counted")


def _addresses(settings: Settings) -> Finding:
    trusted = settings.trusted_proxies
    if not trusted:
        how = "the address of the connection; behind a proxy set TRUSTED_PROXIES, or all visitors look like one"
    elif isinstance(trusted, int):
        how = f"entry {trusted} from the right of {settings.proxy_header}"
    else:
        how = f"{settings.proxy_header}, past the networks {', '.join(map(str, trusted))}"
    return Finding("client address", "ok", how)
