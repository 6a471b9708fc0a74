"""A TCP proxy that loses requests and replies on purpose, and counts what it really lost.

A *request* is what one read from the client returns, a *reply* what comes back until the next request. That fits
clients that send, wait, and send again: redis-py (a pipeline too), psycopg and PyMySQL.
"""

from __future__ import annotations

import contextlib
import enum
import random
import re
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 1 << 20  # bytes of one read: more than a request of the tests has
TICK = 0.02  # seconds between two looks at the state of the proxy
Address = tuple[str, int] | str


class Fault(enum.Enum):
    """What can happen to one request."""

    LOSE_REQUEST = "cut before the request is forwarded"
    HALF_REQUEST = "forward the first half of the request, then cut"
    LOSE_REPLY = "forward the request, wait for the reply, cut without passing it on"
    HALF_REPLY = "pass on the first half of the reply, then cut"
    HANG = "keep the request and say nothing until `release`"
    HANG_REPLY = "forward the request and keep the reply until `release`"


ON_REPLY = frozenset({Fault.LOSE_REPLY, Fault.HALF_REPLY, Fault.HANG_REPLY})
CUTS = (Fault.LOSE_REQUEST, Fault.HALF_REQUEST, Fault.LOSE_REPLY, Fault.HALF_REPLY)


def is_commit(request: bytes) -> bool:
    """Whether the request commits a transaction; not true for the SET AUTOCOMMIT that opens a session."""
    return re.search(rb"(?i)(?<![a-z])commit(?![a-z])", request) is not None


@dataclass
class Plan:
    """A fault to be done to requests that match, a number of times."""

    fault: Fault
    times: int
    when: Callable[[bytes], bool]


class FaultProxy:
    """Forwards a loopback port to ``target``: ``(host, port)`` or the path of a unix socket.

    `counts` says how often each fault was really done: a cut reply counts when there was a reply to cut.
    ``target`` may be changed at any time (a failover); connections made from then on go there.
    """

    def __init__(self, target: Address, *, seed: int = 0) -> None:
        self.target = target
        self.counts: Counter[Fault] = Counter()
        self.connections = 0  # made since the start
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._plans: list[Plan] = []
        self._rate = 0.0
        self._faults: Sequence[Fault] = CUTS
        self._when: Callable[[bytes], bool] = bool
        self._closing = threading.Event()
        self._released = threading.Event()
        self._generation = 0  # raised to cut every connection that is there now
        self._refusing = False
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK)

    @classmethod
    def to(cls, url: str, *, seed: int = 0) -> Self:
        """A proxy to the server of a redis:// or SQLAlchemy URL."""
        parts = urlsplit(url)
        assert parts.hostname, f"no host in {url}"
        assert parts.port, f"no port in {url}"
        return cls((parts.hostname, parts.port), seed=seed)

    @property
    def port(self) -> int:
        """The port clients connect to, on 127.0.0.1."""
        port: int = self._listener.getsockname()[1]
        return port

    def url_for(self, url: str) -> str:
        """The URL with this proxy in place of its host and port."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    # --- what shall happen ---

    def arm(self, fault: Fault, times: int = 1, when: Callable[[bytes], bool] = bool) -> None:
        """Do ``fault`` to the next ``times`` requests for which ``when(request)`` is true."""
        with self._lock:
            self._plans.append(Plan(fault, times, when))

    def at_random(self, rate: float, faults: Sequence[Fault] = CUTS, when: Callable[[bytes], bool] = bool) -> None:
        """From now on do one of ``faults`` to this share of the requests (0 to 1) for which ``when`` is true."""
        with self._lock:
            self._rate, self._faults, self._when = rate, tuple(faults), when

    def calm(self) -> None:
        """Do no fault any more, forget what was armed, let go what hangs, accept connections again."""
        with self._lock:
            self._plans.clear()
            self._rate, self._refusing = 0.0, False
        self.release()

    def release(self) -> None:
        """Forward what hangs now."""
        with self._lock:
            released, self._released = self._released, threading.Event()
        released.set()

    def cut_all(self) -> None:
        """Cut every connection there is now."""
        with self._lock:
            self._generation += 1

    def refuse(self) -> None:
        """Cut every connection, and each new one at once, until `calm`."""
        with self._lock:
            self._refusing = True
            self._generation += 1

    # --- its life ---

    def start(self) -> Self:
        """Listen; return when clients can connect."""
        self._spawn(self._accept)
        return self

    def close(self) -> None:
        """Cut everything, stop listening, end all threads."""
        self._closing.set()
        self.release()
        while self._threads:
            self._threads.pop().join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside ---

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="fault-proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            with self._lock:
                self.connections += 1
                refused, generation = self._refusing, self._generation
            if refused:
                client.close()
            else:
                self._spawn(self._serve, client, generation)

    def _serve(self, client: socket.socket, generation: int) -> None:
        with client, contextlib.suppress(OSError):  # whoever hangs up first ends the connection
            with _connect(self.target) as server:
                for end in (client, server):
                    end.settimeout(5.0)
                _Connection(self, client, server, generation).run()

    def _choose(self, request: bytes) -> Fault | None:
        """The fault for this request: what is armed first, else by chance."""
        with self._lock:
            for plan in self._plans:
                if plan.when(request):
                    plan.times -= 1
                    if plan.times <= 0:
                        self._plans.remove(plan)
                    return plan.fault
            if self._rate and self._when(request) and self._random.random() < self._rate:
                return self._random.choice(self._faults)
        return None

    def _done(self, fault: Fault) -> None:
        with self._lock:
            self.counts[fault] += 1

    def _is_cut(self, generation: int) -> bool:
        return self._closing.is_set() or generation != self._generation


class _Connection:
    """One client, its server, and the fault that waits for the reply, if any."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket, generation: int) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server
        self.generation = generation
        self.waiting: Fault | None = None

    def run(self) -> None:
        """Forward both ways until somebody hangs up or a fault cuts."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.client, selectors.EVENT_READ, self._request)
            selector.register(self.server, selectors.EVENT_READ, self._reply)
            while not self.proxy._is_cut(self.generation):
                for key, _ in selector.select(TICK):
                    data = key.fileobj.recv(CHUNK)  # type: ignore[union-attr]  # only sockets are registered
                    if not data or not key.data(data):
                        return

    def _request(self, data: bytes) -> bool:
        """Deal with bytes of the client; False cuts. While a fault waits for the reply, more bytes belong to it."""
        fault = None if self.waiting else self.proxy._choose(data)
        if fault is Fault.LOSE_REQUEST:
            self.proxy._done(fault)
            return False
        if fault is Fault.HALF_REQUEST:
            self.server.sendall(data[: len(data) // 2])
            self.proxy._done(fault)
            return False
        if fault is Fault.HANG and not self._hang(fault):
            return False
        if fault in ON_REPLY:
            self.waiting = fault
        self.server.sendall(data)
        return True

    def _reply(self, data: bytes) -> bool:
        """Deal with bytes of the server; False cuts."""
        fault, self.waiting = self.waiting, None
        if fault is Fault.LOSE_REPLY:
            self.proxy._done(fault)
            return False
        if fault is Fault.HALF_REPLY:
            self.client.sendall(data[: len(data) // 2])
            self.proxy._done(fault)
            return False
        if fault is Fault.HANG_REPLY and not self._hang(fault):
            return False
        self.client.sendall(data)
        return True

    def _hang(self, fault: Fault) -> bool:
        """Wait for `release`; False when the client gave up or the connection was cut meanwhile."""
        self.proxy._done(fault)
        released = self.proxy._released
        while not released.wait(TICK):
            if self.proxy._is_cut(self.generation) or _hung_up(self.client):
                return False
        return not self.proxy._is_cut(self.generation)


def _connect(address: Address) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout=5.0)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    return connection


def _hung_up(connection: socket.socket) -> bool:
    """Whether the peer closed it; looks at the next byte without taking it."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(5.0)
