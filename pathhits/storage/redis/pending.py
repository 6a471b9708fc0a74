"""Counts that are in Redis and not yet in SQL: batches are added, generations are sealed, read and deleted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import redis

from pathhits.hits import REFUSALS, VIEWS, Batch, Delta, Sketch, Stay, Track, View
from pathhits.storage.redis.keys import (
    ACTIVE,
    CLIENT_TTL,
    ONCE_TTL,
    PROBE_TTL,
    SKETCH_TTL,
    SYNC_LOCK_TTL,
    VISIT_KEPT,
    Keys,
)
from pathhits.storage.redis.rules import arguments
from pathhits.storage.redis.scripts import script

#: Fields at which a generation is closed, so that one SQL transaction stays short.
GENERATION_FIELDS = 50_000
#: Events at which it is closed as well, or kilobytes of them.
GENERATION_EVENTS = 20_000
#: Seconds after which a generation that SQL has not taken in no longer makes a sync come early: something is wrong.
OVERDUE = 5.0
#: Members at which a sketch stops being an exact set (Redis keeps smaller sets of integers in 10 bytes a member).
EXACT_VISITORS = 512
#: Seconds without a hit after which a visit is over, unless the settings say otherwise.
VISIT_TIMEOUT = 1_800
#: Fields asked of Redis at a time, sketches counted by one script call.
SCAN_COUNT = 2_000
SKETCHES_A_CALL = 500

Status = Literal["added", "duplicate", "uncertain"]


@dataclass(frozen=True, slots=True)
class Added:
    """What Redis said to a batch: its status, the server that said it, and the fields it could not add.

    ``reasons`` are the verdicts on its views, "" for one that counts; empty when the batch was not added just now.
    """

    status: Status
    run_id: str
    rejected: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """What one live generation holds of some counters, in the order they were asked for."""

    generation: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PendingHours:
    """What one live generation holds of some counters by UTC hour, in the order they were asked for."""

    generation: str
    hours: dict[int, tuple[int, ...]]


class NotAGeneration(Exception):
    """The key of a generation holds something that is none; the message names it."""


class PendingStore:
    """The counting side of Redis. Every method may raise `redis.RedisError`; none repeats by itself."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        generation_fields: int = GENERATION_FIELDS,
        generation_events: int = GENERATION_EVENTS,
        visit_timeout: int = VISIT_TIMEOUT,
    ) -> None:
        self.client = client
        self.keys = keys
        self._generation_fields = generation_fields
        self._generation_events = generation_events
        self._visit_timeout = visit_timeout
        self._add = script(client, "add")
        self._seal = script(client, "seal")
        self._snapshot = script(client, "snapshot")
        self._hours = script(client, "hours")
        self._count_visitors = script(client, "count_visitors")
        self._release = script(client, "release")

    def run_id(self) -> str:
        """The server's run_id, "unknown" where INFO is refused; also proves that the connection is alive."""
        try:
            info = self.client.info("server")
        except redis.ResponseError:
            self.client.ping()
            return "unknown"
        return str(info.get("run_id", "unknown"))

    def probe(self) -> None:
        """Write a key that is gone in a second; raises `redis.ResponseError` when the server refuses writes."""
        self.client.set(self.keys.probe(), 1, px=PROBE_TTL)

    def add(self, batch: Batch, first_run_id: str) -> Added:
        """Add ``batch`` once, however often it is sent; ``first_run_id`` is "" unless this is a resend."""
        args: list[Any] = [batch.sequence, first_run_id, batch.generation, int(time.time())]
        args += [self._generation_fields, CLIENT_TTL, SKETCH_TTL, EXACT_VISITORS]
        args += [self.keys.generation(""), self.keys.rule(), self._generation_events, self.keys.visit()]
        args += [self._visit_timeout * 1000, self._visit_timeout + VISIT_KEPT, ACTIVE, ONCE_TTL]
        deltas = [one for one in batch.deltas.items() if not one[0].is_trait]
        args.append(len(deltas))
        for delta, amount in deltas:
            args += (delta.hour, delta.field(), amount)
        args.append(len(batch.deltas) - len(deltas))
        for delta, amount in batch.deltas.items():
            if delta.is_trait:
                args += (delta.field(), amount)
        args.append(len(batch.visitors))
        for sketch, members in batch.visitors.items():
            args += (self.keys.sketch(sketch), len(members), *members)
        args.append(len(batch.views))
        for view in batch.views:
            args += (*_counters(view), *arguments(view))
        args.append(len(batch.tracks))
        for track in batch.tracks:
            args += _track_arguments(track)
        args += (len(batch.events), *batch.events)
        args.append(len(batch.stays))
        for stay in batch.stays:
            args += _stay_arguments(stay)
        keys = [self.keys.open(), self.keys.sealed(), self.keys.client(batch.client), self.keys.active()]
        status, run_id, rejected, reasons = self._add(keys=keys, args=args)
        words = [_text(word) for word in rejected]
        refused = tuple(zip(words[::2], words[1::2], strict=True))
        return Added(cast(Status, _text(status)), _text(run_id), refused, tuple(map(_text, reasons)))

    def seal(self) -> list[str]:
        """Close the open generation; the ids of all generations that wait for SQL, the oldest first."""
        ids = self._seal(keys=[self.keys.open(), self.keys.sealed()], args=[int(time.time())])
        return [_text(identity) for identity in ids]

    def sealed(self) -> list[str]:
        """The ids of the generations that wait for SQL, the oldest first."""
        return [_text(identity) for identity in self.client.zrange(self.keys.sealed(), 0, -1)]

    def live(self) -> list[str]:
        """The ids of all generations, sealed and open, at one moment."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.zrange(self.keys.sealed(), 0, -1)
            pipe.hget(self.keys.open(), "id")
            sealed, opened = pipe.execute()
        return [_text(identity) for identity in [*sealed, *([opened] if opened else [])]]

    def read(self, generation: str) -> dict[bytes, bytes]:
        """All fields of a generation but traits and their amounts, as Redis has them; empty when it is gone.

        Raises `NotAGeneration` when its key holds another type.
        """
        return self._read(self.keys.generation(generation))

    def traits(self, generation: str) -> dict[bytes, bytes]:
        """What tells the hits of a generation apart, apart from these: few readers want it; otherwise as `read`."""
        return self._read(self.keys.generation_traits(generation))

    def _read(self, key: str) -> dict[bytes, bytes]:
        try:
            return self._scanned(key)
        except redis.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise NotAGeneration(f"{key} is no hash") from error
            raise

    def _scanned(self, key: str) -> dict[bytes, bytes]:
        while True:
            expected = self.client.hlen(key)
            fields: dict[bytes, bytes] = {}
            for field, amount in self.client.hscan_iter(key, count=SCAN_COUNT):
                fields[_bytes(field)] = _bytes(amount)
            # A server that was replaced on the way has its fields in another order: the scan then misses some.
            if len(fields) >= expected:
                return fields

    def events(self, generation: str) -> list[bytes]:
        """The events of a generation, JSON arrays as they were added; raises `NotAGeneration` as `read` does."""
        key = self.keys.generation_events(generation)
        try:
            return [_bytes(entry) for entry in cast("list[Any]", self.client.lrange(key, 0, -1))]
        except redis.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise NotAGeneration(f"{key} is no list") from error
            raise

    def settle(self, generation: str) -> None:
        """Delete a generation that SQL has taken in."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.zrem(self.keys.sealed(), generation)
            of_it = (
                self.keys.generation,
                self.keys.generation_hours,
                self.keys.generation_events,
                self.keys.generation_traits,
            )
            pipe.unlink(*(key(generation) for key in of_it))
            pipe.execute()

    def set_aside(self, generation: str) -> None:
        """Wait no longer for a generation that is none; what its key holds stays for a person to look at."""
        self.client.zrem(self.keys.sealed(), generation)

    def snapshot(self, counters: Sequence[tuple[str, str]]) -> list[Pending]:
        """What every live generation holds of each ``(counter, subject)``, at one moment, without a scan."""
        names = [f"{counter}:{subject}" for counter, subject in counters]
        keys = [self.keys.open(), self.keys.sealed()]
        answer = self._snapshot(keys=keys, args=[self.keys.generation(""), *names])
        return [
            Pending(_text(identity), tuple(int(n) for n in sums))
            for identity, sums in zip(answer[::2], answer[1::2], strict=True)
        ]

    def by_hour(self, counters: Sequence[tuple[str, str]]) -> list[PendingHours]:
        """What every live generation holds of each ``(counter, subject)`` by hour, at one moment, without a scan."""
        names = [f"{counter}:{subject}" for counter, subject in counters]
        answer = self._hours(keys=[self.keys.open(), self.keys.sealed()], args=[self.keys.generation(""), *names])
        width = len(names) + 1
        return [
            PendingHours(
                _text(identity),
                {int(rows[at]): tuple(map(int, rows[at + 1 : at + width])) for at in range(0, len(rows), width)},
            )
            for identity, rows in zip(answer[::2], answer[1::2], strict=True)
        ]

    def visitors(self, sketches: Sequence[Sketch]) -> dict[Sketch, int]:
        """How many visitors each sketch has seen: exact up to `EXACT_VISITORS`, then within about 1 %."""
        counts: dict[Sketch, int] = {}
        for first in range(0, len(sketches), SKETCHES_A_CALL):
            some = sketches[first : first + SKETCHES_A_CALL]
            found = self._count_visitors(keys=[self.keys.sketch(sketch) for sketch in some])
            counts.update(zip(some, found, strict=True))
        return counts

    def active_visitors(self) -> int:
        """Visitors who made a hit in the last `ACTIVE` seconds."""
        return self.client.zcount(self.keys.active(), time.time() - ACTIVE, "+inf")

    def waiting(self) -> tuple[int, float | None]:
        """How many generations are sealed, and the age in seconds of the oldest (None when there is none)."""
        oldest = cast("list[tuple[Any, float]]", self.client.zrange(self.keys.sealed(), 0, 0, withscores=True))
        count = self.client.zcard(self.keys.sealed())
        return count, time.time() - oldest[0][1] if oldest else None

    def events_wait(self) -> bool:
        """Whether events wait for a sync, and nothing says that one could not take them in just now."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hget(self.keys.open(), "events")
            pipe.zrange(self.keys.sealed(), 0, 0, withscores=True)
            events, oldest = pipe.execute()
        return int(events or 0) > 0 and not (oldest and time.time() - oldest[0][1] > OVERDUE)

    @contextmanager
    def sync_lock(self) -> Iterator[bool]:
        """Whether no other sync runs; only saves work, two at once are harmless."""
        token = uuid.uuid4().hex
        key = self.keys.sync_lock()
        mine = bool(self.client.set(key, token, nx=True, ex=SYNC_LOCK_TTL))
        try:
            yield mine
        finally:
            if mine:
                self._release(keys=[key], args=[token])


def _counters(view: View) -> tuple[Any, ...]:
    """What a view adds to when it counts, and when it does not, and what is logged of it."""
    hour = int(view.moment // 3_600)
    counted, refused = Delta(hour, VIEWS, view.subject), Delta(hour, REFUSALS, f"{view.item.partition(':')[0]}:")
    return hour, counted.field(), refused.field(), view.event


def _track_arguments(track: Track) -> Iterator[Any]:
    yield int(track.moment // 3_600)
    yield track.event
    yield len(track.once)
    yield from track.once
    yield len(track.amounts)
    for delta, amount in track.deltas:
        yield delta.field()
        yield amount


def _stay_arguments(stay: Stay) -> Iterator[Any]:
    """The stay as ``read_stay`` of visits.lua reads it."""
    yield len(stay.ids)
    yield from stay.ids
    yield stay.home + 1
    yield len(stay.steps)
    for step in stay.steps:
        yield int(step.moment * 1000)
        yield "" if step.age is None else int(step.age * 1000)
        yield len(step.shown)
        for shown in step.shown:
            yield from shown


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
