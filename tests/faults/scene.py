"""A scene of fault tests: writers, syncers that are killed, a reader that looks on, and the reckoning at the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import distinct, func, select

from pathhits import PathHits
from pathhits.errors import StoreUnavailable
from pathhits.storage.sql import tables
from tests.faults.syncer import STEPS, Slot, slots
from tests.faults.truth import LABELS, Truth
from tests.faults.writer import ITEM_TYPE
from tests.servers.processes import Process, wait_until

FLUSH_INTERVAL = 0.03


class Scene:
    """Real processes on the two stores of the URLs; the URLs of writers and syncers may lead through proxies.

    ``with`` starts them; `finish` ends the writers, moves the rest into SQL and compares every number to the truth.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        database_url: str,
        *,
        writers: int = 2,
        syncers: int = 3,
        process_redis_url: str = "",
        process_database_url: str = "",
        redis_timeout: float = 1.0,
    ) -> None:
        self.hits = observer(redis_url, database_url)
        self.hits.migrate()
        self.environment = {
            "REDIS_URL": process_redis_url or redis_url,
            "DATABASE_URL": process_database_url or database_url,
            "PATHHITS_FLUSH_INTERVAL": str(FLUSH_INTERVAL),
            "PATHHITS_REDIS_TIMEOUT": str(redis_timeout),
        }
        self.truths = [Truth.create(folder / f"truth-{n}") for n in range(writers)]
        self.slots = slots(folder, syncers)
        self.reader = Reader(observer(redis_url, database_url), self.truths)
        self.died_at: Counter[str] = Counter()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._writers = [self._start("writer", truth.path) for truth in self.truths]
            self._start("syncer", "loop", *(slot.path for slot in self.slots))
            for writer in self._writers:
                writer.wait_for_line("ready")
            wait_until(lambda: all(slot["done"] for slot in self.slots), message="every syncer has synced")
            self.reader.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.stop()
        self._stack.close()
        self.hits.close()

    def _start(self, module: str, *words: str | Path) -> Process:
        command = [sys.executable, "-m", f"tests.faults.{module}", *words]
        return self._stack.enter_context(Process(command, env=self.environment))

    def kill_syncers(self, times: int, rng: random.Random, longest: float = 0.15) -> None:
        """SIGKILL for a syncer chosen by chance, at a moment chosen by chance, that often; every other one is at work.

        A moment is looked at with the process stopped, so that the step it dies at is known, however short it is.
        """
        for number in range(times):
            wait_until(lambda: any(slot["pid"] and slot["step"] for slot in self.slots), message="a syncer that works")
            time.sleep(rng.random() * longest)  # the moment of the kill is what varies here
            slot = wait_until(lambda n=number: self._stopped(rng, at_work=n % 2 == 1), message="one to kill")  # type: ignore[misc]  # mypy reads no defaults
            pid, done = slot["pid"], slot["done"]
            self.died_at[STEPS[slot["step"]]] += 1
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda s=slot, p=pid: s["pid"] != p, message="a new syncer")  # type: ignore[misc]  # mypy reads no defaults
            assert slot["done"] >= done

    def _stopped(self, rng: random.Random, *, at_work: bool) -> Slot | None:
        """A syncer that stands still until it is killed; None when it is not at work and has to be."""
        slot = rng.choice(self.slots)
        pid = slot["pid"]
        os.kill(pid, signal.SIGSTOP)
        if at_work and STEPS[slot["step"]] == "between":
            os.kill(pid, signal.SIGCONT)
            time.sleep(rng.random() * 0.01)  # looking every 20 ms could keep step with the syncer
            return None
        return slot

    @property
    def syncs(self) -> int:
        """Syncs that went through so far."""
        return sum(slot["done"] for slot in self.slots)

    def wait_for_syncs(self, number: int, timeout: float = 120.0) -> None:
        """Return when that many more syncs went through."""
        there = self.syncs
        wait_until(lambda: self.syncs >= there + number, timeout, f"{number} more syncs")

    def finish(self) -> Mapping[str, Any]:
        """End the writers, take the rest in, and compare: nothing lost, nothing doubled, every sum agrees."""
        for truth in self.truths:
            truth["stop"] = 1
        reports = [json.loads(writer.wait_for_line(r"^\{.*\}$", 90.0)[0]) for writer in self._writers]
        assert all(report["done"] for report in reports), reports
        wait_until(lambda: self._settled(), 120.0, "everything is in SQL")
        self.reader.stop()
        check(self.hits, self.truths)
        check_events(self.hits, {f"{ITEM_TYPE}:{label}": sum(one[label] for one in self.truths) for label in LABELS})
        self.reader.check()
        return {
            "sent": sum(report["sent"] for report in reports),
            "resent": sum(report["resent"] for report in reports),
            "syncs": self.syncs,
            "failed syncs": sum(slot["failed"] for slot in self.slots),
            "polls": self.reader.polls,
        }

    def _settled(self) -> bool:
        self.hits.sync(force=True)
        return not self.hits.pending.live()


class Reader:
    """Polls all counts, and one alone, over connections of its own; finds dips, and numbers beyond the truth."""

    def __init__(self, hits: PathHits, truths: list[Truth]) -> None:
        self.hits = hits
        self.truths = truths
        self.polls = self.unanswered = 0
        self.problems: list[str] = []
        self._last = dict.fromkeys(LABELS, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the last poll."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.hits.close()

    def check(self) -> None:
        """Fail when a poll saw what must not be, or when there was none."""
        assert not self.problems, self.problems[:5]
        assert self.polls > 10, "the reader saw next to nothing"

    def _run(self) -> None:
        rng = random.Random(0)
        while not self._stop.is_set():
            try:
                counts = {**self.hits.stats.hit_counts(LABELS)}
                self._compare(counts)
                label = rng.choice(LABELS)
                count = self.hits.hit_count(label)
                if not count.partial:
                    self._compare({label: count})
            except StoreUnavailable:
                self.unanswered += 1
            except Exception as error:
                self.problems.append(repr(error))
                raise

    def _compare(self, counts: Mapping[str, int]) -> None:
        # The truth is raised before a hit is counted and read after the poll: it can only be ahead.
        for label, count in counts.items():
            truth = sum(one[label] for one in self.truths)
            if count < self._last[label]:
                self.problems.append(f"{label} dipped from {self._last[label]} to {count}")
            if count > truth:
                self.problems.append(f"{label} is {count}, and {truth} were made")
            self._last[label] = count
        self.polls += 1


def observer(redis_url: str, database_url: str) -> PathHits:
    """A PathHits of the test itself, which has all the time it needs."""
    return PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, redis_timeout=30.0)


def check(hits: PathHits, truths: list[Truth]) -> None:
    """Compare what is in SQL to the truth, number by number."""
    expected = {label: sum(truth[label] for truth in truths) for label in LABELS}
    found = {label: count.stored for label, count in hits.stats.hit_counts(LABELS).items()}
    wrong = {label: (found[label], n) for label, n in expected.items() if found[label] != n}
    assert not wrong, f"(found, truth): {wrong}"
    browsers = {label: {row.value: row.hits for row in hits.top_values("browser", label=label)} for label in LABELS}
    assert browsers == {label: {"Firefox": n} if n else {} for label, n in expected.items()}
    assert hits.drops() == {"bot": sum(truth["bots"] for truth in truths)}
    assert hits.total("requests") == sum(truth["requests"] for truth in truths)
    report = hits.verify()
    assert report.ok, report
    assert report.dead_letters == 0
    assert not hits.pending.live()


def check_events(hits: PathHits, views: Mapping[str, int]) -> None:
    """Compare the event log, and all that is counted out of it, to the number of views of each item."""
    events, items, days = tables.events.c, tables.items.c, tables.item_days.c
    logged = select(items.item, func.count(), func.count(distinct(events.visitor))).join_from(
        tables.events, tables.items, events.item_id == items.id
    )
    daily = select(items.item, func.sum(days.views), func.sum(days.visitors)).join_from(
        tables.item_days, tables.items, days.item_id == items.id
    )
    with hits.engine.connect() as connection:
        log = {item: (n, visitors) for item, n, visitors in connection.execute(logged.group_by(items.item))}
        sums = {row.item: (row.view_count, row.visitors) for row in connection.execute(select(tables.items))}
        by_day = {item: (int(n), int(visitors)) for item, n, visitors in connection.execute(daily.group_by(items.item))}
    assert {item: n for item, (n, _) in log.items()} == {item: n for item, n in views.items() if n}
    # The salt period is a day: so is a visitor, and the sums of both are the same.
    assert sums == log == by_day


@contextlib.contextmanager
def said(title: str, counts: Mapping[Any, Any]) -> Iterator[None]:
    """Print what really happened, also when the block fails."""
    try:
        yield
    finally:
        shown = {getattr(key, "name", key): value for key, value in counts.items()}
        print(f"\n{title}: " + ", ".join(f"{key} {value}" for key, value in sorted(shown.items())))
