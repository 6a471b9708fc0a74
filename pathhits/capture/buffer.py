"""The process's buffer: request threads append, one flusher thread sends, once a second.

The flusher folds entries into deltas and visitors, cuts batches of about `BATCH_SIZE` and sends one at a time.
A batch of unknown outcome is kept and resent verbatim; Redis applies a sequence once. The thread is started by
the first hit, so a server that forks after import has one in every worker, and a forked child starts afresh.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Protocol, TypeVar

import redis

from pathhits.capture.accumulator import STAY_COST, VIEW_COST, cost_of
from pathhits.capture.bell import Bell
from pathhits.capture.detour import Aside, Detour
from pathhits.capture.folding import Folder, Seen, Told, say
from pathhits.capture.guard import Guard
from pathhits.capture.items import Items
from pathhits.capture.judge import Judge
from pathhits.capture.mark import make_mark
from pathhits.capture.recorder import Entry, EntryReader, Noted
from pathhits.capture.saltring import SaltRing, Salts
from pathhits.capture.traits import Traits
from pathhits.core.backoff import back_off
from pathhits.core.periods import hour_of
from pathhits.core.rules import Refusal
from pathhits.core.statuses import Reason
from pathhits.hits import DROPS, HITS, REQUESTS, VIEWS, Batch, Delta
from pathhits.settings import Settings
from pathhits.storage.redis.pending import Added

T = TypeVar("T")
logger = logging.getLogger("pathhits")

#: Deltas and visitors a script call takes, so that it never holds Redis for long.
BATCH_SIZE = 250
#: Longest wait in seconds between two tries while Redis is away.
LONGEST_BACKOFF = 10.0
#: Salt periods remembered: the current one, the one before for late hits, and the next after midnight.
SALTS_REMEMBERED = 4
#: Flush intervals without a sign of the flusher after which a request flushes in its stead.
LATE_INTERVALS = 5
#: Entries folded before other threads get a turn.
FOLD_SLICE = 500


class Sink(Protocol):
    """Where batches go; both may raise `redis.RedisError`."""

    def run_id(self) -> str: ...

    def add(self, batch: Batch, first_run_id: str) -> Added: ...


class Buffer:
    """Holds what one process counted until Redis has it, within bounds, across forks and failures."""

    def __init__(
        self,
        settings: Settings,
        sink: Sink,
        salts: Salts,
        guard: Guard,
        items: Items | None = None,
        find_aside: Callable[[], Aside] | None = None,
        reader: EntryReader | None = None,
    ) -> None:
        self._settings = settings
        # One that is still empty is false, and is filled by what the app declares later.
        self._items = Items() if items is None else items
        self._sink = sink
        self._salts = salts
        self._guard = guard
        self._judge = Judge(settings)
        self._traits = Traits(settings, guard)
        self._reader = reader or EntryReader(settings, guard)
        self._detour = Detour(settings.fallback_after, settings.flush_interval, find_aside, guard)
        self._most = settings.buffer_size
        self._late_after = max(LATE_INTERVALS * settings.flush_interval, 2.0)
        self._begin()

    def _begin(self) -> None:
        """State of a process that has counted nothing: a client of its own, and no thread yet."""
        self._mark = make_mark()
        self._client = secrets.token_hex(8)
        self._sequence = 0
        self._entries: deque[Noted] = deque()
        self._seen: deque[Seen] = deque()
        self._told: deque[Told] = deque()
        self._in_flight: Batch | None = None
        self._first_run_id = ""
        self._detour.begin()
        self._folder = self._make_folder()
        self._accumulator = self._folder.accumulator
        self._shed: dict[int, int] = {}
        # Reentrant: a SIGTERM may flush in the very thread that holds them.
        self._shed_lock = threading.RLock()
        self._start_lock = threading.RLock()
        self._lock = threading.Lock()
        #: How often the main thread is sending, or waits to, and what a signal left it to do thereafter, and when.
        self._in_main = 0
        self._then: Callable[[], object] | None = None
        self._then_at = inf
        self._bell = Bell()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._next_try = 0.0
        #: The flusher's last sign of life, and when a request has to look after it: at once where there is none.
        self._beat = time.time()
        self._late_at = 0.0
        self._suspected = 0.0
        #: Requests whose counts Redis has acknowledged, and batches sent again after an unknown outcome.
        self.sent = 0
        self.resent = 0

    def _make_folder(self) -> Folder:
        salts = SaltRing(self._settings, self._salts, lambda: self._detour.is_open)
        return Folder(self._settings, self._guard, self._items, self._judge, self._traits, salts, self._detour)

    # The request side.

    def append(self, entry: Noted) -> None:
        """Take one entry; costs a queue append, and starts the flusher when there is none."""
        if not self._mark[0]:
            self.after_fork()
        entries = self._entries
        if len(entries) < self._most:
            entries.append(entry)
        else:
            self._shed_one(entry.moment)
        if entry.moment > self._late_at:
            self._tend(entry.moment)

    def see(self, seen: Seen) -> None:
        """Take a view that an app asked about; when too many wait, it is shed and that is said in the log."""
        if self._has_room("views"):
            self._seen.append(seen)

    def tell(self, told: Told) -> None:
        """Take an event that an app told of; when too many wait, it is shed and that is said in the log."""
        if self._has_room("events"):
            self._told.append(told)

    def _has_room(self, what: str) -> bool:
        """Whether one more of them may wait, if any; what waits is in any case sent."""
        if not self._settings.enabled:
            return False
        if not self._mark[0]:
            self.after_fork()
        if self._thread is None:
            self._start()
        waiting = len(self._seen) if what == "views" else len(self._told) + self._accumulator.tracks
        if waiting >= self._most:
            self._guard.failed(f"{what} were shed", f"{waiting} wait already")
        return waiting < self._most

    def leave(self, entry: Entry) -> None:
        """Take that a page was left, if there is room; it is a part of a visit, and no request that counts."""
        if len(self._entries) < self._most:
            self.append(entry)

    def key(self, moment: float) -> bytes | None:
        """The salt of the moment's period, which signs what the beacon sends; may ask Redis, None when long over."""
        return self._folder.salts.of(moment, True)

    def viewer(self, entry: Entry, user_id: str | None) -> tuple[tuple[str, ...], int | None]:
        """The ids that the rules know a viewer by, and the visitor; see `Folder.viewer`. May ask Redis for salts."""
        return self._folder.viewer(entry, user_id)

    def _shed_one(self, moment: float) -> None:
        with self._shed_lock:
            hour = hour_of(moment)
            self._shed[hour] = self._shed.get(hour, 0) + 1

    def _tend(self, now: float) -> None:
        """Start the flusher, or flush in its stead when it gives no sign of life."""
        if self._thread is None:
            self._start()
        else:
            self._flush_late(now)

    def _live(self) -> None:
        """Give a sign of life."""
        self._beat = time.time()
        if self._thread is not None:
            self._late_at = self._beat + self._late_after

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._bell = Bell()
                if type(self._lock) is not type(threading.Lock()):
                    # It was made before gevent's patches, as gunicorn --preload does, and would stop the whole worker.
                    self._lock = threading.Lock()
                self._thread = threading.Thread(
                    target=self._run, args=(self._bell,), name="pathhits-flusher", daemon=True
                )
                self._live()
                try:
                    self._thread.start()
                except RuntimeError as error:
                    # Too many threads, or the interpreter ends: the entry is in, a late or the last flush sends it.
                    self._guard.failed("no thread could be started to flush", error)

    def _flush_late(self, now: float) -> None:
        """Threads do not seem to run here (uWSGI without --enable-threads): flush on this request's time.

        Only when a later request still finds no sign of the flusher; a process that just slept has woken it by then.
        """
        if self._suspected <= self._beat:
            self._suspected = now
            self._bell.ring()
        elif now - self._suspected > 0.1:
            self._live()
            with self._turn(0) as mine:
                if mine:
                    self._pass()

    # The flusher side.

    def _run(self, bell: Bell) -> None:
        while not bell.over:
            bell.wait(self._settings.flush_interval)
            self._live()
            with self._lock:
                self._pass()
            self._live()

    def flush(self, timeout: float = 5.0) -> bool:
        """Send all that was counted so far; True when Redis, or SQL in its stead, has it within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._turn(max(timeout, 0.001)) as mine:
            while mine and not self._pass(force=True, deadline=deadline):
                if time.monotonic() + 0.05 >= min(deadline, self._then_at):
                    return False
                time.sleep(0.05)
            return mine

    @contextmanager
    def _turn(self, timeout: float) -> Iterator[bool]:
        """Be the one that sends, if the one before is done within ``timeout`` seconds."""
        main = threading.current_thread() is threading.main_thread()
        self._in_main += main
        lock = self._lock
        mine = lock.acquire(timeout=timeout)
        try:
            yield mine
        finally:
            if mine:
                lock.release()
            self._in_main -= main
            if main and self._then is not None and not self._in_main:
                then, self._then, self._then_at = self._then, None, inf
                then()

    def put_off(self, then: Callable[[], object], seconds: float) -> bool:
        """For a signal handler: whether it interrupts a flush of its own thread, which it can not wait for.

        That flush then ends within some ``seconds``, and calls ``then``.
        """
        if not self._in_main:
            return False
        self._then, self._then_at = then, min(self._then_at, time.monotonic() + seconds)
        return True

    def close(self, timeout: float = 5.0) -> bool:
        """Flush a last time and end the thread; an append afterwards starts it again.

        Where Redis refuses, half of the time is SQL's, however short it has been refusing.
        """
        deadline = time.monotonic() + timeout
        done = self.flush(timeout / 2)
        if not done:
            self._detour.hurry()
            done = self.flush(deadline - time.monotonic())
        with self._start_lock:
            thread, self._thread = self._thread, None
            self._bell.end()
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(timeout=min(timeout, 1.0))
        if self._thread is None:
            self._late_at = 0.0
        return done

    def after_fork(self) -> None:
        """In a forked child: what is buffered is the parent's to send, the thread and the locks are gone."""
        self._guard.after_fork()
        self._begin()

    @property
    def waiting(self) -> int:
        """How many requests wait to be folded or sent; 0 when Redis has everything."""
        held = self._accumulator or self._in_flight is not None or self._detour.is_busy
        return len(self._entries) + len(self._seen) + len(self._told) + (1 if held else 0)

    def _pass(self, *, force: bool = False, deadline: float | None = None) -> bool:
        """Fold what came in and send what is due; True when nothing of it is left. Never raises. The lock is held."""
        folded = False
        try:
            due = force or time.monotonic() >= self._next_try
            folded = self._fold(ask_for_salts=due)
            if due:
                self._send(deadline)
                self._failures = 0
        except redis.RedisError as error:
            self._back_off(error)
        except Exception as error:
            self._guard.failed("internal", error)
        if self._detour.is_open:
            folded = self._fold_without_redis()
        self._folder.forget()
        self.sent += self._detour.send(self._accumulator, force=force)
        return folded and not self._accumulator and self._in_flight is None and not self._detour.is_busy

    def _fold_without_redis(self) -> bool:
        try:
            return self._fold(ask_for_salts=False)
        except Exception as error:
            self._guard.failed("internal", error)
            return False

    def _back_off(self, error: Exception) -> None:
        self._failures += 1
        self._detour.refused()
        self._next_try = time.monotonic() + back_off(self._failures, self._settings.flush_interval, LONGEST_BACKOFF)
        self._guard.failed("Redis is away, hits wait in the process", f"{type(error).__name__}: {error}")

    def _fold(self, *, ask_for_salts: bool) -> bool:
        """Turn the entries that are there now into deltas; False when some have to wait for their salt."""
        with self._shed_lock:
            shed, self._shed = self._shed, {}
        for hour, amount in shed.items():
            self._accumulator.request(hour, amount)
            self._accumulator.drop(hour, Reason.OVERFLOW, amount)
        for number in range(1, len(self._entries) + 1):
            entry = self._reader.read(self._entries.popleft())
            try:
                needs = self._folder.needs(entry, ask_for_salts)
            except LookupError:
                self._entries.appendleft(entry)
                self._strip()
                return False
            except BaseException:
                self._entries.appendleft(entry)
                self._strip()
                raise
            self._folder.fold(entry, needs)
            if number % FOLD_SLICE == 0:
                time.sleep(0)
        return self._fold_all(self._seen, self._folder.fold_seen, ask_for_salts) and self._fold_all(
            self._told, self._folder.fold_told, ask_for_salts
        )

    def _fold_all(self, waiting: deque[T], fold: Callable[[T, bool], None], ask: bool) -> bool:
        """Take over what the app asked about, or told of; False when some have to wait for their salts."""
        for _ in range(len(waiting)):
            try:
                fold(waiting[0], ask)
            except LookupError:
                return False
            except redis.RedisError:
                raise
            except Exception as error:
                self._guard.failed("internal", error)
            waiting.popleft()
        return True

    def _strip(self) -> None:
        """Keep of what has to wait only what counting needs: no cookies, nothing else that a request brought along."""
        for _ in range(len(self._entries)):
            self._entries.append(self._reader.read(self._entries.popleft()))

    def _send(self, deadline: float | None) -> None:
        run_id = ""
        while self._in_flight is not None or self._accumulator:
            if not run_id:
                # Asked before anything is sent: a connection that died is found by a question that may be repeated.
                run_id = self._sink.run_id()
            if self._in_flight is None:
                self._in_flight = self._cut()
                self._first_run_id = ""
            elif self._first_run_id:
                self.resent += 1
            self._send_one(self._in_flight, run_id)
            self._live()
            if deadline is not None and time.monotonic() > deadline:
                return

    def _send_one(self, batch: Batch, run_id: str) -> None:
        first_run_id = self._first_run_id
        # From here on the outcome is unknown, until Redis says otherwise.
        self._first_run_id = first_run_id or run_id
        try:
            added = self._sink.add(batch, first_run_id)
        except (redis.ResponseError, redis.exceptions.BusyLoadingError):
            self._first_run_id = first_run_id
            raise
        self._detour.ended()
        if added.status == "uncertain":
            self._reclassify(batch, set(batch.deltas), Reason.UNCERTAIN)
            for view in batch.views:
                self._accumulator.refuse(view.moment, view.item, Refusal.UNCERTAIN)
                say(view.item, Refusal.UNCERTAIN)
            for track in batch.tracks:
                self._accumulator.refuse(track.moment, track.kind, Refusal.UNCERTAIN)
            if batch.events or batch.tracks:
                self._guard.failed("events may have been lost", f"{len(batch.events) + len(batch.tracks)}")
        elif added.rejected:
            fields = {field for field, _ in added.rejected}
            self._reclassify(batch, {d for d in batch.deltas if d.field() in fields}, Reason.REJECTED)
            self._guard.failed("Redis refused a field", "; ".join(f"{f!r}: {why}" for f, why in added.rejected[:3]))
        if logger.isEnabledFor(logging.DEBUG):
            for view, refusal in zip(batch.views, added.reasons, strict=False):
                say(view.item, refusal)
        self._in_flight = None
        self.sent += batch.requests

    def _reclassify(self, batch: Batch, lost: set[Delta], reason: str) -> None:
        """Count what a batch could not add as drops, so that requests stay counted + drops."""
        if reason == Reason.UNCERTAIN:
            self._guard.failed("a batch may have been lost or kept by a Redis that was replaced", f"{batch.requests}")
        for delta in lost:
            amount = batch.deltas[delta]
            if delta.counter == REQUESTS:
                if reason == Reason.UNCERTAIN:
                    self._accumulator.request(delta.hour, amount)
            elif delta.counter == VIEWS and reason == Reason.UNCERTAIN:
                self._accumulator.refuse(delta.hour * 3_600, delta.subject, Refusal.UNCERTAIN, amount)
            elif delta.is_trait:
                # Its hits are lost as well, or one value of theirs could not be added to.
                continue
            elif delta.counter not in (HITS, DROPS):
                self._guard.failed("views were lost", f"{amount} of {delta.subject}: {reason}")
            elif delta[1:] != (DROPS, Reason.REJECTED):  # or it would be refused again, without end
                self._accumulator.drop(delta.hour, reason, amount)

    def _cut(self) -> Batch:
        self._sequence += 1
        views = self._accumulator.take_views(BATCH_SIZE // VIEW_COST)
        room = BATCH_SIZE - VIEW_COST * len(views)
        stays, judged = self._accumulator.take_stays(room, len(views))
        room -= STAY_COST * len(stays) + VIEW_COST * len(judged)
        tracks = self._accumulator.take_tracks(room)
        deltas, visitors = self._accumulator.take(max(room - cost_of(tracks), 0))
        identity = secrets.token_hex(8)
        return Batch(self._client, self._sequence, identity, deltas, visitors, views + judged, (), stays, tracks)
