"""Sends the requests: a few threads, each person one request after the other, from an address of their own."""

from __future__ import annotations

import heapq
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from demo_app.traffic.people import Person
from demo_app.traffic.plans import Plan, Step
from demo_app.traffic.tally import Tally

THREADS = 16
TIMEOUT_S = 30.0
_COOKIE = re.compile(r"([^=;]+)=([^;]*)")


@dataclass(order=True)
class _Turn:
    """The next thing somebody does, and when (monotonic seconds)."""

    due: float
    number: int
    plan: Plan
    at: int


class Timetable:
    """Whose turn it is; safe to be asked by many threads."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        now, numbers = time.monotonic(), itertools.count()
        self._turns = [_Turn(now + plan.start + plan.steps[0].pause, next(numbers), plan, 0) for plan in plans]
        heapq.heapify(self._turns)
        self._changed = threading.Condition()
        self._under_way = 0
        self._stopped = False

    def take(self) -> _Turn | None:
        """The next turn, once it is due; None when there will be no more."""
        with self._changed:
            while (self._turns or self._under_way) and not self._stopped:
                wait = self._turns[0].due - time.monotonic() if self._turns else None
                if wait is not None and wait <= 0:
                    self._under_way += 1
                    return heapq.heappop(self._turns)
                self._changed.wait(wait)
            return None

    def done(self, turn: _Turn) -> None:
        """Let the same person go on, after the pause they make."""
        with self._changed:
            self._under_way -= 1
            turn.at += 1
            if turn.at < len(turn.plan.steps):
                turn.due = time.monotonic() + turn.plan.steps[turn.at].pause
                heapq.heappush(self._turns, turn)
            self._changed.notify_all()

    def stop(self) -> None:
        """Have everybody go home."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class Sender:
    """Sends plans to a site on this machine; ``url`` is its address, ``forwarded`` has people named in a header."""

    def __init__(self, url: str, tally: Tally, *, forwarded: bool = False) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 80
        self._origin = f"http://{where.netloc}"
        self._tally = tally
        self._forwarded = forwarded

    def send(self, plans: Iterable[Plan], progressed: Callable[[], object], threads: int = THREADS) -> None:
        """Send all of them and return; KeyboardInterrupt ends it after the requests that are under way."""
        timetable = Timetable(plans)
        workers = [
            threading.Thread(target=self._work, args=(timetable, progressed), name=f"visitors {n}", daemon=True)
            for n in range(threads)
        ]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        finally:
            timetable.stop()
            for worker in workers:
                worker.join()

    def _work(self, timetable: Timetable, progressed: Callable[[], object]) -> None:
        while (turn := timetable.take()) is not None:
            try:
                self._do(turn.plan.person, turn.plan.steps[turn.at])
            finally:
                timetable.done(turn)
                progressed()

    def _do(self, person: Person, step: Step) -> None:
        if not self._tally.may_ask(person, step, time.time()):
            return
        try:
            status = self.request(person, step)
        except (HTTPException, OSError) as error:
            self._tally.surprise(f"{step.method} {step.path}: {type(error).__name__}")
        else:
            self._tally.answered(person, step, status, time.time())

    def request(self, person: Person, step: Step) -> int:
        """Send one request and read its answer to the end; its status. Raises OSError or HTTPException."""
        source = None if self._forwarded else (person.address, 0)
        connection = HTTPConnection(self._host, self._port, timeout=TIMEOUT_S, source_address=source)
        try:
            connection.request(step.method, step.path, headers=self._headers(person, step))
            response = connection.getresponse()
            response.read()
            _keep_cookies(person, response)
            return response.status
        finally:
            connection.close()

    def _headers(self, person: Person, step: Step) -> dict[str, str]:
        headers = {**person.headers, **step.headers, "Connection": "close"}
        if headers.get("Referer", "").startswith("/"):
            headers["Referer"] = self._origin + headers["Referer"]
        if step.method == "POST":
            headers |= {"Origin": self._origin, "Content-Length": "0"}
        if self._forwarded:
            headers["X-Forwarded-For"] = person.address
        return headers


def _keep_cookies(person: Person, response: HTTPResponse) -> None:
    for given in response.headers.get_all("Set-Cookie") or ():
        if found := _COOKIE.match(given):
            person.cookies[found[1].strip()] = found[2]
