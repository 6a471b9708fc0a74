"""Moves what is in Redis into SQL, exactly once: seal, one transaction a generation, delete. Can run twice at once."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import redis

from pathhits.core import dimensions, labels
from pathhits.core.clicks import reason_of
from pathhits.core.eventtypes import COUNTER_LENGTH
from pathhits.core.rules import type_of
from pathhits.errors import PathHitsError, StoreUnavailable
from pathhits.events import Logged
from pathhits.hits import (
    CORRECTED,
    DROPS,
    HITS,
    ITEM_TIMES,
    OWN_COUNTERS,
    REFUSALS,
    REQUESTS,
    SHOWN,
    SITE,
    VIEWS,
    Delta,
    Sketch,
)
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.pending import NotAGeneration, PendingStore
from pathhits.storage.sql.contents import Applied, Contents, Letter
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.tables import COUNTER_MAX

logger = logging.getLogger("pathhits")

#: What a letter about an event has in the place of its field.
EVENTS = "events"
#: Generations that may wait when the open one is sealed before they are in SQL.
SEALED_AHEAD = 2


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did: generations taken in, paths and hits and events written, fields set aside, seconds spent.

    ``deliveries`` are the calls of listeners that wait for the deliver job because of it.
    ``skipped`` is True when another sync was at it and this one left it the work.
    """

    batches: int = 0
    paths: int = 0
    hits: int = 0
    events: int = 0
    errors: int = 0
    seconds: float = 0.0
    skipped: bool = False
    deliveries: int = 0

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
            applied = [_take_in(read, ledger) for read in _read_ahead(pending, ledger)] if mine else []
        if not applied:
            # Nothing to write is no reason to say that all is well: the next hits will want to be written.
            ledger.check()
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
        events=sum(one.events for one in new),
        errors=sum(one.errors for one in new),
        seconds=time.monotonic() - started,
        skipped=not mine,
        deliveries=sum(one.deliveries for one in new),
    )
    logger.info(
        "sync: %d batches, %d paths, %d hits, %d errors, %d events, %.3f s%s",
        report.batches,
        report.paths,
        report.hits,
        report.errors,
        report.events,
        report.seconds,
        " (another sync is running)" if report.skipped else "",
    )
    return report


def sort_out(generation: str, fields: Mapping[bytes, bytes], entries: Iterable[bytes] = ()) -> Contents:
    """What a generation's fields and events mean; what makes no sense becomes a letter and loses nothing."""
    contents = Contents(generation)
    _sort_in_fields(contents, fields)
    for entry in entries:
        _sort_in_events(contents, entry)
    return contents


def _sort_in_fields(contents: Contents, fields: Mapping[bytes, bytes]) -> None:
    for field, amount in fields.items():
        try:
            delta = Delta.parse(field)
            if delta.is_trait:
                _sort_in_trait(contents, delta, _number(amount))
            else:
                _sort_in(contents, *delta, _number(amount, signed=_is_signed(delta.counter)))
        except ValueError as error:
            contents.letters.append(Letter(_shown(field), _shown(amount), str(error)))


def _sort_in_trait(contents: Contents, trait: Delta, amount: int) -> None:
    label, values = dimensions.split(trait)
    where = label, trait.hour // 24
    for value in values:
        hits = contents.values.setdefault(value, {})
        hits[where] = min(hits.get(where, 0) + amount, COUNTER_MAX)


def _sort_in_events(contents: Contents, entry: bytes) -> None:
    try:
        found = json.loads(entry)
        if not isinstance(found, list):
            raise ValueError("not a list of events")
    except ValueError as error:
        contents.letters.append(Letter(EVENTS, _shown(entry), str(error)))
        return
    for one in found:
        try:
            contents.events.append(_sensible(Logged.parse(one)))
        except ValueError as error:
            contents.letters.append(Letter(EVENTS, json.dumps(one), str(error)))


def _sensible(event: Logged) -> Logged:
    if event.item:
        _check_item(event.item)
    return event


def _check_item(subject: str) -> None:
    if labels.clean(subject) != subject or not type_of(subject).isidentifier():
        raise ValueError("not an item")


class _Read(NamedTuple):
    """A generation as Redis has it, and what becomes of it there once SQL has taken it in."""

    contents: Contents
    visitors: Mapping[Sketch, int]
    settle: Callable[[str], None]


def _read_ahead(pending: PendingStore, ledger: Ledger) -> Iterator[_Read]:
    """Read every generation, the next one while SQL takes in the one before.

    The open one is sealed at once where SQL answers and few wait, else when those that waited are in SQL: runs that
    fail do not pile up more.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="pathhits-sync") as reader:
        waiting = pending.sealed()
        if 0 < len(waiting) <= SEALED_AHEAD:
            ledger.reach()
        else:
            yield from _in_turn(waiting, pending, reader)
        yield from _in_turn(pending.seal(), pending, reader)


def _in_turn(generations: Iterable[str], pending: PendingStore, reader: ThreadPoolExecutor) -> Iterator[_Read]:
    ahead: deque[Future[_Read]] = deque()
    for generation in generations:
        ahead.append(reader.submit(_read, generation, pending))
        if len(ahead) > 1:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _read(generation: str, pending: PendingStore) -> _Read:
    try:
        contents = sort_out(generation, pending.read(generation), pending.events(generation))
    except NotAGeneration as error:
        letter = Letter(pending.keys.generation(generation), "", str(error))
        return _Read(Contents(generation, letters=[letter]), {}, pending.set_aside)
    try:
        _sort_in_fields(contents, pending.traits(generation))
    except NotAGeneration as error:
        # The hits are there all the same.
        contents.letters.append(Letter(pending.keys.generation_traits(generation), "", str(error)))
    return _Read(contents, pending.visitors(_sketches(contents)), pending.settle)


def _take_in(read: _Read, ledger: Ledger) -> Applied:
    # An empty one was settled by another sync, or never added to.
    applied = ledger.apply(read.contents, read.visitors) if read.contents else Applied(False)
    read.settle(read.contents.generation)
    return applied


def _sort_in(contents: Contents, hour: int, counter: str, subject: str, amount: int) -> None:
    if counter == HITS:
        if labels.clean(subject) != subject:
            raise ValueError("not a clean label")
        contents.paths.setdefault(subject, {})[hour] = amount
        name = HITS
    elif counter == VIEWS:
        _check_item(subject)
        contents.items.setdefault(subject, {})[hour] = amount
        name = f"{VIEWS}:{type_of(subject)}"
    elif counter in ITEM_TIMES and subject:
        _check_item(subject)
        contents.times.setdefault(subject, {})[counter, hour] = amount
        return
    elif counter in CORRECTED and not subject:
        name = counter
    elif counter not in OWN_COUNTERS and len(counter) <= COUNTER_LENGTH and ":" in subject:
        _check_item(subject)
        contents.counters.setdefault(subject, {})[counter, hour] = amount
        return
    elif counter == SHOWN and _is_reason(subject):
        name = f"{SHOWN}:{subject}"
    elif counter == REFUSALS and subject.replace(":", "_").isidentifier():
        name = f"{REFUSALS}:{subject}"
    elif counter == DROPS and subject.isidentifier():
        name = f"{DROPS}:{subject}"
    elif counter == REQUESTS and not subject:
        name = REQUESTS
    else:
        raise ValueError("not a counter this version knows")
    total = contents.site.get((name, hour), 0) + amount
    contents.site[name, hour] = total if total < COUNTER_MAX else COUNTER_MAX


def _is_reason(subject: str) -> bool:
    """Whether it is ``type:reason``, as recommendations that were shown count."""
    item_type, _, reason = subject.partition(":")
    return item_type.isidentifier() and reason_of(reason) == reason


def _is_signed(counter: str) -> bool:
    return counter in CORRECTED or counter not in OWN_COUNTERS


def _number(amount: bytes, *, signed: bool = False) -> int:
    number = int(amount)
    if not (-COUNTER_MAX if signed else 0) <= number <= COUNTER_MAX:
        raise ValueError("an amount out of range")
    return number


def _sketches(contents: Contents) -> list[Sketch]:
    """The sketches that may have grown while this generation was added to."""
    # Plain tuples: they equal sketches, and 50,000 of them cost a quarter, and the garbage collector nothing.
    touched = {(hour // 24, label) for label, hours in contents.paths.items() for hour in hours}
    days = {day for day, _ in touched} | {hour // 24 for hours in contents.items.values() for hour in hours}
    touched |= {(day, SITE) for day in days}
    return cast("list[Sketch]", list(touched))


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _where(pending: PendingStore, error: Exception) -> str:
    options = pending.client.connection_pool.connection_kwargs
    return explain(error, f"redis://{options.get('host', options.get('path', ''))}:{options.get('port', '')}")
