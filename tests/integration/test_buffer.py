"""The buffer of a process: bounded, patient, safe across forks and threads, and every request is a hit or a drop."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathhits import PathHits
from pathhits.capture.accumulator import Accumulator
from pathhits.capture.recorder import Entry
from pathhits.hits import DROPS, HITS, OTHER, REQUESTS, SITE, Delta, Sketch
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import Keys
from tests.faults.writer import BOT, BROWSER, page, request
from tests.servers.forks import in_child, play
from tests.servers.processes import free_port, wait_until
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
Make = Callable[..., PathHits]
#: No flush by the clock: the test flushes.
NEVER = 3600


@pytest.fixture
def make(redis_url: str, sqlite_url: str) -> Iterator[Make]:
    """Makes a PathHits on empty stores; keywords are settings."""
    made: list[PathHits] = []

    def build(**settings: Any) -> PathHits:
        defaults = {"redis_url": redis_url, "database_url": sqlite_url, "flush_interval": NEVER}
        hits = PathHits(**{**defaults, **settings})
        made.append(hits)
        return hits

    yield build
    for hits in made:
        hits.close(0.1)


def in_redis(hits: PathHits) -> Counter[Delta]:
    """All deltas of all generations."""
    found: Counter[Delta] = Counter()
    with connect(hits.settings.redis_url, timeout=5.0) as client:
        for key in client.scan_iter(match=f"{{{hits.settings.namespace}}}:gen:*", _type="hash"):
            for field, amount in client.hgetall(key).items():
                found[Delta.parse(field)] += int(amount)
    return found


def by_name(hits: PathHits, counter: str) -> dict[str, int]:
    """One counter in Redis, by its subject."""
    sums: Counter[str] = Counter()
    for delta, n in in_redis(hits).items():
        if delta.counter == counter:
            sums[delta.subject] += n
    return dict(sums)


def visit(hits: PathHits, path: str, agent: str = BROWSER, **extra: str) -> None:
    request(hits.wsgi(page), path, agent, "203.0.113.7", **extra)


def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
    """An app whose response begins and goes on."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return iter((b"piece", b"piece"))


def requests_are_accounted_for(hits: PathHits) -> bool:
    drops, counted = by_name(hits, DROPS), by_name(hits, HITS)
    return sum(by_name(hits, REQUESTS).values()) == sum(drops.values()) + sum(counted.values())


# Bounds.


def test_what_does_not_fit_the_buffer_is_a_drop_with_its_reason(make: Make) -> None:
    hits = make(buffer_size=10)
    for n in range(25):
        hits.track_hit(f"/{n}")
    assert len(hits.buffer._entries) == 10
    assert hits.flush(20.0)
    assert by_name(hits, DROPS) == {"overflow": 15}
    assert by_name(hits, REQUESTS) == {"": 25}
    assert sum(by_name(hits, HITS).values()) == 10


def test_labels_past_the_cap_count_under_other(make: Make) -> None:
    hits = make(max_labels=3)
    for label in "abcdea":
        hits.track_hit(label)
    assert hits.flush(20.0)
    hits.track_hit("b")
    hits.track_hit("z")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"a": 2, "b": 2, "c": 1, OTHER: 3}


def resident() -> int:
    """Bytes of memory this process holds now; 0 where that is not known."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if statm.exists() else 0


@pytest.mark.slow
def test_a_million_paths_take_bounded_memory_and_each_is_counted(make: Make) -> None:
    """Slow: a million requests."""
    hits = make(max_labels=2_000, buffer_size=20_000)
    held: list[int] = []
    for n in range(1_000_000):
        hits.track_hit(f"/path/of/{n}")
        if n % 10_000 == 9_999:
            assert hits.flush(60.0)
            held.append(resident())
    grown = (max(held[10:]) - held[9]) / 2**20
    print(f"\nmemory grew by {grown:.1f} MB over the last 900,000 of 1,000,000 distinct paths")
    counted = by_name(hits, HITS)
    assert len(counted) == 2_001
    assert counted[OTHER] == 998_000
    assert grown < 48, "of as many labels it would be hundreds"


def test_what_waits_for_redis_is_bounded_over_days_of_an_outage() -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=500)
    for hour in range(1_000):
        for n in range(30):
            accumulator.request(hour)
            accumulator.hit(hour, f"/{n}", visitor=n)
    assert len(accumulator._deltas) <= 500 + 1_000
    assert accumulator._members <= 500
    assert accumulator.visitors_shed > 0
    deltas: Counter[Delta] = Counter()
    while accumulator:
        taken, _ = accumulator.take(250)
        deltas.update(taken)
    assert sum(n for delta, n in deltas.items() if delta.counter == HITS) == 30_000
    assert sum(n for delta, n in deltas.items() if delta.counter == REQUESTS) == 30_000


# Labels of all kinds.


def test_odd_labels_are_counted_apart_and_nothing_is_raised(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    hits = make()
    odd = ["x" * 10_000, "x" * 10_000 + "y", "/\x00", "/%00 ", "/\udce4", "/\ud800", "/A", "/a", "/t", "/t ", "", "  ",
           "/😀", "/\u202e", "a:b:c", "\n", "{0}", "/é", "/e\u0301", "(other)"]  # fmt: skip
    for n, label in enumerate(odd, 1):
        for _ in range(n):
            hits.track_hit(label)
    assert hits.flush(20.0)
    hits.migrate()
    hits.sync()
    found = hits.stats.hit_counts(odd)
    assert {label: count.stored for label, count in found.items()} == {label: n for n, label in enumerate(odd, 1)}
    assert caplog.text == ""


def test_odd_paths_are_counted_apart_and_nothing_is_raised(make: Make) -> None:
    hits = make()
    paths = ["/A", "/a", "/t", "/t ", "/\x00", "/b\xe4", "/b\xc3\xa4", "/" + "x" * 10_000, "/" + "x" * 9_999]
    for n, path in enumerate(paths, 1):
        for _ in range(n):
            visit(hits, path)
    assert hits.flush(20.0)
    assert sorted(by_name(hits, HITS).values()) == list(range(1, len(paths) + 1))
    assert by_name(hits, HITS)["/t%20"] == 4
    assert by_name(hits, HITS)["/b%E4"] == 6
    assert by_name(hits, HITS)["/bä"] == 7


# Forks, threads, ends.


def fork_in_the_middle(redis_url: str) -> None:
    hits = PathHits(redis_url=redis_url, flush_interval=NEVER)
    hits.track_hit("flushed")
    assert hits.flush(20.0)
    hits.track_hit("parent")

    def count() -> None:
        hits.track_hit("child")
        assert hits.flush(20.0)

    in_child(count)
    assert by_name(hits, HITS) == {"flushed": 1, "child": 1}
    hits.track_hit("parent")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"flushed": 1, "child": 1, "parent": 2}
    clients = len(list(hits.redis.scan_iter(match=hits.keys.client("*"))))
    assert clients == 2


def test_a_fork_in_the_middle_counts_what_each_process_did_once(redis_url: str) -> None:
    play(fork_in_the_middle, redis_url)


def test_a_forked_child_that_nobody_told_starts_afresh_at_its_first_hit(make: Make) -> None:
    """As uWSGI forks: the hooks of Python do not run."""
    hits = make()
    hits.track_hit("parent")
    buffer = hits.buffer
    buffer._mark = [False]
    hits.track_hit("child")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"child": 1}


def test_a_hit_after_close_starts_the_flusher_again(make: Make) -> None:
    hits = make(flush_interval=0.02)
    hits.track_hit("/")
    assert hits.close()
    hits.track_hit("/")
    wait_until(lambda: by_name(hits, HITS) == {"/": 2}, message="the second hit is in Redis")


def test_the_flusher_is_started_by_the_first_hit_and_not_before(make: Make) -> None:
    hits = make(flush_interval=0.02)
    hits.wsgi(page)
    assert hits.buffer._thread is None
    hits.track_hit("/")
    wait_until(lambda: by_name(hits, HITS) == {"/": 1}, message="the hit is in Redis")


def test_where_threads_do_not_run_a_later_hit_flushes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under uWSGI without --enable-threads: a thread can be started and never runs."""
    hits = make(flush_interval=0.02)
    monkeypatch.setattr("pathhits.capture.buffer.threading.Thread.start", lambda self: None)
    clock = time.time()
    monkeypatch.setattr("pathhits.capture.recorder.time.time", lambda: clock)
    for second in (0, 1, 3, 4, 5):
        clock += second
        hits.track_hit("/")
    monkeypatch.undo()
    assert by_name(hits, HITS)["/"] >= 4


def test_where_no_thread_can_be_started_each_request_counts_once_all_the_same(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = make()
    app = hits.wsgi(page)
    with monkeypatch.context() as patched:
        patched.setattr("pathhits.capture.buffer.threading.Thread.start", _no_thread)
        request(app, "/page", BROWSER, "203.0.113.1")
        request(app, "/page", BROWSER, "203.0.113.1")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"/page": 2}
    assert by_name(hits, REQUESTS) == {"": 2}


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_content_types_are_excluded_however_their_case_is_written(make: Make) -> None:
    hits = make(exclude_types="Image/,text/css")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", environ["PATH_INFO"].removeprefix("/as/"))])
        return [b""]

    for kind in ("image/png", "IMAGE/PNG", "Text/CSS; charset=utf-8", "text/html"):
        request(hits.wsgi(app), f"/as/{kind}", BROWSER, "203.0.113.1")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"/as/text/html": 1}
    assert by_name(hits, DROPS) == {"excluded": 3}


def test_threads_that_count_at_once_lose_nothing(make: Make) -> None:
    hits = make(flush_interval=0.01)

    def work() -> None:
        for n in range(2_000):
            hits.track_hit(f"/{n % 50}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {f"/{n}": 320 for n in range(50)}
    assert requests_are_accounted_for(hits)


def test_a_flush_ends_although_others_go_on_counting(make: Make) -> None:
    hits = make()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            hits.track_hit("/")
            time.sleep(0.0005)  # leaves the flusher its turn

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert all(hits.flush(10.0) for _ in range(3))
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"], ids=["threads", "gevent"])
def test_a_process_that_ends_has_sent_what_it_counted(redis_url: str, make: Make, patch: str) -> None:
    program = f"""
{patch}
import threading, time
from pathhits import PathHits
hits = PathHits(flush_interval={NEVER})
def work():
    for n in range(100):
        hits.track_hit("/")
        time.sleep(0)
threads = [threading.Thread(target=work) for _ in range(5)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    environment = {**os.environ, "REDIS_URL": redis_url}
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert by_name(make(), HITS) == {"/": 500}


CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from pathhits import PathHits

hits = PathHits()

def work(number):
    hits.track_hit("/")

def begin(how):
    if how.endswith("executor"):
        context = multiprocessing.get_context(how.split()[0])
        with ProcessPoolExecutor(2, context) as pool:
            return list(pool.map(work, range(10)))
    for _ in range(10):
        child = multiprocessing.get_context(how).Process(target=work, args=(1,))
        child.start()
        child.join()

if __name__ == "__main__":
    if len(sys.argv) > 2:
        hits.track_hit("/before")
    begin(sys.argv[1])
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver", "fork executor"])
@pytest.mark.parametrize("parent", [(), ("counts too",)], ids=["", "of one that counts"])
def test_a_child_of_multiprocessing_has_sent_what_it_counted(
    redis_url: str, make: Make, tmp_path: Path, how: str, parent: tuple[str, ...]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(CHILDREN)
    environment = {**os.environ, "REDIS_URL": redis_url, "PATHHITS_FLUSH_INTERVAL": str(NEVER)}
    command = [sys.executable, str(program), how, *parent]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert by_name(make(), HITS) == {"/": 10} | ({"/before": 1} if parent else {})


def test_under_gevent_the_flusher_flushes_by_itself(redis_url: str, make: Make) -> None:
    program = """
from gevent import monkey; monkey.patch_all()
import json, gevent
from pathhits import PathHits
hits = PathHits(flush_interval=0.02)
for n in range(50):
    hits.track_hit("/")
    gevent.sleep(0.001)
with gevent.Timeout(20):
    while hits.buffer.waiting:
        gevent.sleep(0.01)
print(json.dumps(hits.buffer.sent), flush=True)
import os; os._exit(0)
"""
    environment = {**os.environ, "REDIS_URL": redis_url}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == 50, done.stderr
    assert by_name(make(), HITS) == {"/": 50}


def test_a_sigterm_in_the_thread_that_starts_the_flusher_does_not_hang(redis_url: str, make: Make) -> None:
    program = f"""
import os, signal, threading
from pathhits import PathHits
hits = PathHits(flush_interval={NEVER})
start = threading.Thread.start
def interrupted(self):
    os.kill(os.getpid(), signal.SIGTERM)
    start(self)
threading.Thread.start = interrupted
hits.track_hit("/")
"""
    environment = {**os.environ, "REDIS_URL": redis_url}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert by_name(make(), HITS) == {"/": 1}


INTERRUPTED = """
import os, signal
from pathhits import PathHits
hits = PathHits()
for number in range(1_000):
    hits.track_hit(f"/{number}")
add = hits.pending.add
def interrupted(batch, run_id):
    if batch.sequence == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return add(batch, run_id)
hits.pending.add = interrupted
"""


@pytest.mark.parametrize("last", ["hits.flush(60)", "hits.close(60)", ""], ids=["flush", "close", "at the end"])
def test_a_sigterm_in_the_thread_that_flushes_waits_for_it(redis_url: str, make: Make, last: str) -> None:
    environment = {**os.environ, "REDIS_URL": redis_url, "PATHHITS_FLUSH_INTERVAL": str(NEVER)}
    command = [sys.executable, "-c", INTERRUPTED + last]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert sum(by_name(make(), HITS).values()) == 1_000


def test_a_sigterm_in_a_flush_that_gets_nowhere_ends_it_soon() -> None:
    program = """
import os, signal
from pathhits import PathHits
hits = PathHits(fallback_after=0)
hits.track_hit("/")
run_id, asked = hits.pending.run_id, []
def interrupted():
    asked.append(1)
    if len(asked) < 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return run_id()
hits.pending.run_id = interrupted
hits.flush(1_000_000)
"""
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    environment = {**os.environ, "REDIS_URL": nowhere, "PATHHITS_FLUSH_INTERVAL": str(NEVER)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM, done.stderr


# Redis away.


def test_hits_made_before_redis_was_there_are_counted_once_it_is(own_server: Start, make: Make) -> None:
    server = own_server(RedisServer)
    server.stop()
    hits = make(redis_url=server.url, flush_interval=0.02, redis_timeout=0.5)
    for n in range(20):
        visit(hits, f"/{'ab'[n % 2]}")
        hits.track_hit("/c")
    wait_until(lambda: hits.guard.failures, message="the flusher noticed")
    assert not hits.flush(0.2)
    server.start()
    assert hits.flush(30.0)
    assert by_name(hits, HITS) == {"/a": 10, "/b": 10, "/c": 20}
    sketches = [Sketch(int(time.time() // 86_400), SITE)]
    assert list(hits.pending.visitors(sketches).values()) == [1]


def test_entries_wait_for_their_salt_and_are_not_sent_without_a_visitor(own_server: Start, make: Make) -> None:
    server = own_server(RedisServer)
    hits = make(redis_url=server.url, redis_timeout=0.3)
    server.pause()
    visit(hits, "/a")
    assert not hits.flush(0.05)
    assert hits.buffer.waiting == 1
    assert len(hits.buffer._entries) == 1
    server.resume()
    assert hits.flush(20.0)
    assert list(hits.pending.visitors([Sketch(int(time.time() // 86_400), "/a")]).values()) == [1]


def test_what_waits_for_redis_keeps_no_cookies(own_server: Start, make: Make) -> None:
    server = own_server(RedisServer)
    hits = make(redis_url=server.url, redis_timeout=0.3)
    server.pause()
    for cookies in ("session=secret", "session=secret; pathhits_optout=1"):
        visit(hits, "/a", HTTP_COOKIE=cookies)
    assert not hits.flush(0.05)
    assert [type(entry) for entry in hits.buffer._entries] == [Entry, Entry]
    assert "secret" not in repr(hits.buffer._entries)
    server.resume()
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"/a": 2}
    assert list(hits.pending.visitors([Sketch(int(time.time() // 86_400), "/a")]).values()) == [1]


def test_what_a_thread_counts_after_a_request_is_not_that_visitors(make: Make) -> None:
    """Not even while the server still holds the body of the request, which it never ends."""
    hits = make()
    held = hits.wsgi(streaming)(
        {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/s", "REMOTE_ADDR": "203.0.113.7"},
        lambda status, headers, exc_info=None: lambda data: None,
    )
    hits.track_hit("/by-the-thread")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"/by-the-thread": 1}
    assert list(hits.pending.visitors([Sketch(int(time.time() // 86_400), SITE)]).values()) == [0]
    del held


def test_who_was_seen_is_forgotten_with_the_flush(make: Make) -> None:
    hits = make()
    for _ in range(3):
        visit(hits, "/a")
    assert hits.flush(20.0)
    assert hits.buffer._judge._visitors == {}


def test_a_full_redis_makes_hits_wait_and_takes_each_once_when_it_has_room(own_server: Start, make: Make) -> None:
    server = own_server(lambda: RedisServer(options={"maxmemory-policy": "noeviction"}))
    hits = make(redis_url=server.url)
    visit(hits, "/a")
    assert hits.flush(20.0)
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        visit(hits, "/a")
        assert not hits.flush(0.3)
        client.config_set("maxmemory", "0")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"/a": 2}
    assert by_name(hits, REQUESTS) == {"": 2}


def test_fields_that_redis_refuses_are_the_drop_rejected_and_the_flush_ends(make: Make) -> None:
    hits = make()
    hits.track_hit("/")
    assert hits.flush(20.0)
    (generation,) = hits.pending.live()
    hour = int(time.time() // 3600)
    key = Keys("pathhits").generation(generation)
    names = [f"{h}:{counter}" for h in (hour, hour + 1) for counter in ("hits:/text", "drops:rejected")]
    hits.redis.hset(key, mapping=dict.fromkeys(names, "text"))
    hits.track_hit("/text")
    hits.track_hit("/")
    assert hits.flush(20.0), "what is refused once more is not sent again without end"
    assert hits.guard.failures["Redis refused a field"] == 2
    hits.redis.hdel(key, *names)
    assert by_name(hits, HITS) == {"/": 2}
    hits.redis.hset(key, names[0], "text")
    hits.redis.hset(key, names[2], "text")
    hits.track_hit("/text")
    assert hits.flush(20.0)
    hits.redis.hdel(key, names[0], names[2])
    assert by_name(hits, DROPS) == {"rejected": 1}


# Requests = hits + drops.


KINDS: dict[str, dict[str, str]] = {
    "hit": {},
    "bot": {"agent": BOT},
    "no agent": {"agent": ""},
    "post": {"REQUEST_METHOD": "POST"},
    "prefetch": {"HTTP_SEC_PURPOSE": "prefetch;prerender"},
    "static": {"path": "/static/x.css"},
    "opted out": {"HTTP_SEC_GPC": "1"},
    "opted out by cookie": {"HTTP_COOKIE": "a=b; pathhits_optout=1"},
}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(["/a", "/b", "/c", "/d"])), max_size=60),
    seed=st.integers(0, 10),
)
def test_every_request_is_a_hit_or_a_drop_with_one_reason(make: Make, kinds: list[tuple[str, str]], seed: int) -> None:
    rng = random.Random(seed)
    hits = make(namespace=f"n{time.monotonic_ns()}", max_labels=3, buffer_size=40)
    for kind, path in kinds:
        what = {"path": path, "agent": BROWSER, **KINDS[kind]}
        visit(hits, **what)
        if rng.random() < 0.05:
            assert hits.flush(20.0)
    assert hits.flush(20.0)
    assert requests_are_accounted_for(hits)
    assert sum(by_name(hits, REQUESTS).values()) == len(kinds)
    assert hits.guard.failures == {}


def test_who_opted_out_is_a_hit_and_no_visitor(make: Make) -> None:
    hits = make()
    visit(hits, "/a", HTTP_SEC_GPC="1")
    visit(hits, "/a", HTTP_COOKIE="x=1; pathhits_optout=1")
    hits.track_hit("/a")
    assert hits.flush(20.0)
    assert by_name(hits, HITS) == {"/a": 3}
    assert list(hits.redis.scan_iter(match="*visitors*")) == []
    assert list(hits.redis.scan_iter(match="*salt*")) == []


def test_one_visitor_on_two_pages_is_one_visitor_of_the_site(make: Make) -> None:
    hits = make()
    for path in ("/a", "/b", "/a"):
        visit(hits, path)
    assert hits.flush(20.0)
    day = int(time.time() // 86_400)
    found = hits.pending.visitors([Sketch(day, "/a"), Sketch(day, "/b"), Sketch(day, SITE)])
    assert list(found.values()) == [1, 1, 1]


def test_a_failure_of_redis_is_counted_and_said_once(
    make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = make(redis_url="redis://127.0.0.1:1/0", redis_timeout=0.2)

    def refuse() -> str:
        raise redis.ConnectionError("no")

    monkeypatch.setattr(hits.pending, "run_id", refuse)
    hits.track_hit("/")
    for _ in range(5):
        assert not hits.flush(0.01)
    assert sum(hits.guard.failures.values()) >= 5
    assert len(caplog.records) == 1
