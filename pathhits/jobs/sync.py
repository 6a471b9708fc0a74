"""Moves what is in Redis into SQL, exactly once: seal, one transaction a generation, delete. Can run twice at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import redis

from pathhits.core import labels
from pathhits.errors import PathHitsError, StoreUnavailable
from pathhits.hits import DROPS, HITS, REQUESTS, SITE, Delta, Sketch
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.sql.ledger import Applied, Contents, Ledger, Letter
from pathhits.storage.sql.tables import COUNTER_MAX

logger = logging.getLogger("pathhits")


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did: generations taken in, paths and hits and events written, fields set aside, seconds spent.

    ``skipped`` is True when another sync was at it and this one left it the work.
    """

    batches: int = 0
    paths: int = 0
    hits: int = 0
    events: int = 0
    errors: int = 0
    seconds: float = 0.0
    skipped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def sync(pending: PendingStore, ledger: Ledger, *, force: bool = False) -> SyncReport:
    """Take every generation into SQL; ``force`` does not wait for another run to end.

    Raises `StoreUnavailable` when Redis or SQL is away and `NotMigrated` when tables are missing; what was not
    taken in stays in Redis for the next run.
    """
    started = time.monotonic()
    try:
        with nullcontext(True) if force else pending.sync_lock() as mine:
            applied = [_take_in(generation, pending, ledger) for generation in pending.seal()] if mine else []
    except redis.RedisError as error:
        logger.error("sync failed: %s", type(error).__name__)
        raise StoreUnavailable(_where(pending, error)) from error
    except PathHitsError as error:
        logger.error("sync failed after %.3f s: %s", time.monotonic() - started, error)
        raise
    new = [one for one in applied if one.new]
    report = SyncReport(
        batches=len(new),
        paths=sum(one.paths for one in new),
        hits=sum(one.hits for one in new),
        errors=sum(one.errors for one in new),
        seconds=time.monotonic() - started,
        skipped=not mine,
    )
    logger.info(
        "sync: %d batches, %d paths, %d hits, %d errors, %.3f s%s",
        report.batches,
        report.paths,
        report.hits,
        report.errors,
        report.seconds,
        " (another sync is running)" if report.skipped else "",
    )
    return report


def sort_out(generation: str, fields: Mapping[bytes, bytes]) -> Contents:
    """What a generation's fields mean; a field that makes no sense becomes a letter and loses nothing."""
    contents = Contents(generation)
    for field, amount in fields.items():
        try:
            _sort_in(contents, Delta.parse(field), _number(amount))
        except ValueError as error:
            contents.letters.append(Letter(_shown(field), _shown(amount), str(error)))
    return contents


def _take_in(generation: str, pending: PendingStore, ledger: Ledger) -> Applied:
    fields = pending.read(generation)
    if not fields:
        # Another sync has settled it, or it was never added to.
        pending.settle(generation)
        return Applied(False)
    contents = sort_out(generation, fields)
    applied = ledger.apply(contents, pending.visitors(_sketches(contents)))
    pending.settle(generation)
    return applied


def _sort_in(contents: Contents, delta: Delta, amount: int) -> None:
    if delta.counter == HITS:
        if labels.clean(delta.subject) != delta.subject:
            raise ValueError("not a clean label")
        hours = contents.paths.setdefault(delta.subject, {})
        hours[delta.hour] = hours.get(delta.hour, 0) + amount
        name = HITS
    elif delta.counter == DROPS and delta.subject.isidentifier():
        name = f"{DROPS}:{delta.subject}"
    elif delta.counter == REQUESTS and not delta.subject:
        name = REQUESTS
    else:
        raise ValueError("not a counter this version knows")
    key = (name, delta.hour)
    contents.site[key] = min(contents.site.get(key, 0) + amount, COUNTER_MAX)


def _number(amount: bytes) -> int:
    number = int(amount)
    if not 0 <= number <= COUNTER_MAX:
        raise ValueError("an amount out of range")
    return number


def _sketches(contents: Contents) -> list[Sketch]:
    """The sketches that may have grown while this generation was added to."""
    touched = {Sketch(hour // 24, label) for label, hours in contents.paths.items() for hour in hours}
    return sorted(touched | {Sketch(sketch.day, SITE) for sketch in touched})


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _where(pending: PendingStore, error: Exception) -> str:
    options = pending.client.connection_pool.connection_kwargs
    return explain(error, f"redis://{options.get('host', options.get('path', ''))}:{options.get('port', '')}")
