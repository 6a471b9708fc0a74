"""The counting side of Redis: batches are added once, generations roll, are sealed, read and settled."""

from __future__ import annotations

import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
import redis

from pathhits.hits import DROPS, HITS, REQUESTS, Batch, Delta, Sketch
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import CLIENT_TTL, SKETCH_TTL, Keys
from pathhits.storage.redis.pending import EXACT_VISITORS, Added, Pending, PendingStore
from pathhits.storage.redis.salts import SaltStore
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
HOUR = 500_000
_sequences = itertools.count(1)
KEYS = Keys("test")


@pytest.fixture
def store(redis_url: str) -> Iterator[PendingStore]:
    with connect(redis_url, timeout=5.0) as client:
        yield PendingStore(client, KEYS)


def batch(
    hits: Mapping[str, int],
    *,
    client: str = "client",
    sequence: int = 0,
    visitors: Mapping[Sketch, Sequence[int]] | None = None,
    hour: int = HOUR,
) -> Batch:
    """A batch of hits by label, with a sequence of its own unless one is given."""
    deltas = {Delta(hour, HITS, label): n for label, n in hits.items()}
    deltas[Delta(hour, REQUESTS, "")] = sum(hits.values())
    seen = {sketch: tuple(members) for sketch, members in (visitors or {}).items()}
    return Batch(client, sequence or next(_sequences), secrets.token_hex(8), deltas, seen)


def add(store: PendingStore, what: Batch, first_run_id: str = "") -> Added:
    return store.add(what, first_run_id)


def total(store: PendingStore, label: str) -> int:
    """What all live generations hold of a label."""
    return sum(one.counts[0] for one in store.snapshot([(HITS, label)]))


# Adding.


def test_a_batch_that_is_sent_again_is_added_once(store: PendingStore) -> None:
    one = batch({"/": 3})
    first = add(store, one)
    second = add(store, one, first.run_id)
    assert (first.status, second.status) == ("added", "duplicate")
    assert total(store, "/") == 3


def test_a_batch_that_is_sent_again_after_a_later_one_is_a_duplicate_too(store: PendingStore) -> None:
    old, new = batch({"/": 1}), batch({"/": 1})
    add(store, old)
    add(store, new)
    assert add(store, old).status == "duplicate"
    assert total(store, "/") == 2


def test_two_clients_may_use_the_same_sequence(store: PendingStore) -> None:
    for client in ("a", "b"):
        assert add(store, batch({"/": 1}, client=client, sequence=1)).status == "added"
    assert total(store, "/") == 2


def test_a_resend_that_finds_another_server_is_uncertain_and_changes_nothing(store: PendingStore) -> None:
    added = add(store, batch({"/": 1}), first_run_id="0" * 40)
    assert added.status == "uncertain"
    assert list(store.client.scan_iter()) == []


def test_a_duplicate_is_recognised_whatever_the_server_is_called_now(store: PendingStore) -> None:
    one = batch({"/": 1})
    add(store, one)
    assert add(store, one, "0" * 40).status == "duplicate"


def test_a_batch_says_which_server_took_it(store: PendingStore) -> None:
    assert add(store, batch({"/": 1})).run_id == store.run_id() == store.client.info("server")["run_id"]


def test_the_sequence_of_a_client_outlives_any_batch_that_waits_and_not_the_week(store: PendingStore) -> None:
    add(store, batch({"/": 1}))
    assert CLIENT_TTL - 60 < store.client.ttl(KEYS.client("client")) <= CLIENT_TTL


def test_an_empty_batch_is_no_trouble(store: PendingStore) -> None:
    assert add(store, Batch("client", 1, "g", {}, {})).status == "added"
    assert store.read("g") == {}


def test_racing_clients_lose_nothing(redis_url: str) -> None:
    def work(name: str) -> None:
        with connect(redis_url, timeout=30.0) as client:
            one = PendingStore(client, KEYS, generation_fields=20)
            for sequence in range(1, 101):
                what = batch({f"/{sequence % 30}": 1}, client=name, sequence=sequence)
                one.add(what, "")
                one.add(what, "")
                if sequence % 10 == 0:
                    one.seal()

    threads = [threading.Thread(target=work, args=(f"client-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connect(redis_url, timeout=5.0) as client:
        store = PendingStore(client, KEYS)
        counted = store.snapshot([(HITS, f"/{n}") for n in range(30)])
        assert sum(sum(one.counts) for one in counted) == 600
        assert sum(int(n) for g in store.live() for f, n in store.read(g).items() if f.endswith(b"requests:")) == 600


# Generations.


def test_a_generation_keeps_the_id_of_the_batch_it_was_born_with(store: PendingStore) -> None:
    first = batch({"/": 1})
    add(store, first)
    add(store, batch({"/": 1}))
    assert store.live() == [first.generation]
    assert store.seal() == [first.generation]


def test_a_full_generation_is_sealed_and_the_next_batch_opens_another(redis_url: str) -> None:
    with connect(redis_url, timeout=5.0) as client:
        store = PendingStore(client, KEYS, generation_fields=10)
        first, second, third = batch({f"/{n}": 1 for n in range(9)}), batch({"/x": 1}), batch({"/y": 1})
        for one in (first, second, third):
            add(store, one)
        # Full at ten fields: nine labels and the requests.
        assert store.live() == [first.generation, second.generation]
        assert store.waiting()[0] == 1


def test_fifty_thousand_fields_fill_a_generation(store: PendingStore) -> None:
    first = batch({"/": 1})
    add(store, first)
    key = KEYS.generation(first.generation)
    store.client.hset(key, mapping={f"{HOUR}:hits:/{n}": 1 for n in range(49_997)})
    assert store.client.hlen(key) == 49_999
    add(store, batch({"/one more": 1}))
    assert store.live() == [first.generation]
    add(store, batch({"/": 1}))
    assert len(store.live()) == 2


def test_a_generation_born_under_another_run_id_is_closed_before_anything_is_added(store: PendingStore) -> None:
    first, second = batch({"/": 1}), batch({"/": 2})
    add(store, first)
    store.client.hset(KEYS.open(), "run_id", "0" * 40)
    add(store, second)
    assert store.live() == [first.generation, second.generation]
    assert store.read(first.generation)[b"%d:hits:/" % HOUR] == b"1"


def test_hits_after_a_seal_are_in_a_new_generation(store: PendingStore) -> None:
    first, second = batch({"/": 1}), batch({"/": 5})
    add(store, first)
    assert store.seal() == [first.generation]
    assert store.seal() == [first.generation]
    add(store, second)
    assert store.read(first.generation)[b"%d:hits:/" % HOUR] == b"1"
    assert set(store.seal()) == {first.generation, second.generation}


def test_sealing_when_nothing_was_counted_finds_nothing(store: PendingStore) -> None:
    assert store.seal() == []
    assert store.waiting() == (0, None)


def test_the_age_of_the_oldest_sealed_generation_is_told(store: PendingStore) -> None:
    add(store, batch({"/": 1}))
    store.seal()
    number, age = store.waiting()
    assert number == 1
    assert age is not None
    assert -1.0 <= age < 30.0


def test_a_settled_generation_is_gone_with_all_its_keys(store: PendingStore) -> None:
    add(store, batch({"/": 1}))
    (generation,) = store.seal()
    store.settle(generation)
    store.settle(generation)
    assert store.live() == []
    assert list(store.client.scan_iter()) == [KEYS.client("client").encode()]


def test_a_generation_of_many_fields_is_read_whole(store: PendingStore) -> None:
    labels = {f"/{n}": n + 1 for n in range(7_000)}
    one = batch(labels)
    add(store, one)
    fields = store.read(one.generation)
    assert fields.pop(b"%d:requests:" % HOUR) == str(sum(labels.values())).encode()
    assert fields == {f"{HOUR}:hits:{label}".encode(): str(n).encode() for label, n in labels.items()}


# Reading.


def test_a_snapshot_sums_over_hours_and_tells_generations_apart(store: PendingStore) -> None:
    first = batch({"/a": 1})
    add(store, first)
    add(store, batch({"/a": 2}, hour=HOUR + 1))
    store.seal()
    second = batch({"/a": 10, "/b": 5}, hour=HOUR + 30)
    add(store, second)
    wanted = [(HITS, "/b"), (HITS, "/a"), (DROPS, "bot"), (HITS, "/none")]
    assert store.snapshot(wanted) == [
        Pending(first.generation, (0, 3, 0, 0)),
        Pending(second.generation, (5, 10, 0, 0)),
    ]


def test_labels_with_colons_and_scripts_of_all_kinds_are_kept_apart(store: PendingStore) -> None:
    labels = ["/a:b", "/a", "hits:/a", "/ä", "/a ", "/A", "/日本", "/😀", ":", "{x}", "/a%00"]
    add(store, batch({label: n for n, label in enumerate(labels, 1)}))
    assert [total(store, label) for label in labels] == list(range(1, len(labels) + 1))


def test_namespaces_on_one_redis_never_meet(store: PendingStore) -> None:
    other = PendingStore(store.client, Keys("other"))
    one = batch({"/": 1})
    assert add(store, one).status == add(other, one).status == "added"
    assert [total(store, "/"), total(other, "/")] == [1, 1]
    store.settle(*store.seal())
    assert total(other, "/") == 1


# What Redis refuses.


def test_a_field_that_overflows_is_rejected_and_the_rest_is_added(store: PendingStore) -> None:
    add(store, batch({"/full": 2**62}))
    added = add(store, batch({"/a": 1, "/full": 2**62, "/b": 2}))
    fields = {field for field, _ in added.rejected}
    assert added.status == "added"
    assert fields == {f"{HOUR}:hits:/full", f"{HOUR}:requests:"}
    assert all("overflow" in why for _, why in added.rejected)
    assert (total(store, "/a"), total(store, "/b"), total(store, "/full")) == (1, 2, 2**62)


def test_a_field_that_is_no_number_is_rejected_and_the_rest_is_added(store: PendingStore) -> None:
    first = batch({"/": 1})
    add(store, first)
    store.client.hset(KEYS.generation(first.generation), f"{HOUR}:hits:/text", "many")
    added = add(store, batch({"/text": 1, "/": 1}))
    assert [field for field, _ in added.rejected] == [f"{HOUR}:hits:/text"]
    assert total(store, "/") == 2


def test_a_sketch_of_the_wrong_type_is_rejected_and_the_counts_are_added(store: PendingStore) -> None:
    sketch = Sketch(HOUR // 24, "/")
    store.client.lpush(KEYS.sketch(sketch), "x")
    added = add(store, batch({"/": 1}, visitors={sketch: [1, 2]}))
    assert added.status == "added"
    assert [field for field, _ in added.rejected] == [KEYS.sketch(sketch)]
    assert "WRONGTYPE" in added.rejected[0][1]
    assert total(store, "/") == 1


@pytest.mark.parametrize("part", ["generation", "generation_hours"])
def test_a_generation_of_the_wrong_type_is_closed_and_nothing_is_lost(store: PendingStore, part: str) -> None:
    first, second = batch({"/": 1}), batch({"/": 2})
    add(store, first)
    key = getattr(KEYS, part)(first.generation)
    store.client.delete(key)
    store.client.set(key, "x")
    assert add(store, second).status == "added"
    assert store.read(second.generation)[b"%d:hits:/" % HOUR] == b"2"


@pytest.mark.parametrize("key", [KEYS.open(), KEYS.sealed(), KEYS.client("client")])
def test_a_key_of_the_wrong_type_applies_nothing_and_the_resend_counts_once(store: PendingStore, key: str) -> None:
    store.client.lpush(key, "x")
    one = batch({"/": 3})
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        add(store, one)
    store.client.delete(key)
    assert add(store, one).status == "added"
    assert total(store, "/") == 3


def test_a_full_redis_applies_nothing_and_takes_the_resend_once(own_server: Start) -> None:
    server = own_server(lambda: RedisServer(options={"maxmemory-policy": "noeviction"}))
    with server.client() as client:
        store = PendingStore(client, KEYS)
        add(store, batch({"/": 1}))
        client.config_set("maxmemory", "1mb")
        one = batch({"/": 1, "/new": 1}, visitors={Sketch(1, "/"): [1]})
        before = {key: client.dump(key) for key in client.scan_iter()}
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            add(store, one)
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        client.config_set("maxmemory", "0")
        assert [add(store, one).status, add(store, one).status] == ["added", "duplicate"]
        assert (total(store, "/"), total(store, "/new")) == (2, 1)


def test_a_read_only_replica_applies_nothing_and_takes_the_resend_once_when_promoted(own_server: Start) -> None:
    master = own_server(RedisServer)
    replica = own_server(lambda: RedisServer(replica_of=master))
    replica.wait_for_replica()
    with replica.client() as client:
        store = PendingStore(client, KEYS)
        one = batch({"/": 1})
        with pytest.raises(redis.ResponseError):
            add(store, one)
        assert list(client.scan_iter()) == []
        replica.promote()
        assert [add(store, one).status, add(store, one).status] == ["added", "duplicate"]
        assert total(store, "/") == 1


def test_a_server_that_refuses_info_to_scripts_and_clients_still_counts_once(own_server: Start) -> None:
    server = own_server(RedisServer)
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info")
    with connect(f"redis://app:pw@127.0.0.1:{server.port}/0", timeout=5.0) as client:
        store = PendingStore(client, KEYS)
        assert store.run_id() == "unknown"
        one = batch({"/": 1})
        assert [add(store, one).status, add(store, one, "unknown").status] == ["added", "duplicate"]
        assert total(store, "/") == 1


# Visitors.


def test_visitors_are_counted_exactly_up_to_the_limit_and_closely_beyond(store: PendingStore) -> None:
    sketch, key = Sketch(20_000, "/"), KEYS.sketch(Sketch(20_000, "/"))
    dice = random.Random(1)  # how close an estimate is, is a matter of chance
    members = [dice.randrange(-(2**63), 2**63) for _ in range(5_000)]

    def see(some: Sequence[int]) -> int:
        add(store, batch({}, visitors={sketch: some}))
        return store.visitors([sketch])[sketch]

    assert [see(members[first : first + 64]) for first in range(0, EXACT_VISITORS, 64)] == list(range(64, 513, 64))
    assert store.client.type(key) == b"set"
    assert see(members[:200]) == EXACT_VISITORS
    count = see(members[EXACT_VISITORS : EXACT_VISITORS + 1])
    assert store.client.type(key) == b"string"
    assert abs(count - 513) <= 16
    for first in range(513, 5_000, 250):
        see(members[first : first + 250])
    assert abs(see([]) - 5_000) < 5_000 * 0.03


def test_sketches_are_gone_72_hours_after_the_last_visitor(store: PendingStore) -> None:
    small, large = Sketch(1, "/small"), Sketch(1, "/large")
    for first in range(0, 600, 200):
        add(store, batch({}, visitors={large: range(first, first + 200)}))
    add(store, batch({}, visitors={small: [1]}))
    for sketch in (small, large):
        assert SKETCH_TTL - 60 < store.client.ttl(KEYS.sketch(sketch)) <= SKETCH_TTL
    assert SKETCH_TTL == 72 * 3600


def test_many_sketches_are_counted_in_their_order_and_missing_ones_are_zero(store: PendingStore) -> None:
    sketches = [Sketch(day, "/") for day in range(1_200)]
    add(store, batch({}, visitors={sketches[7]: [1, 2], sketches[1_100]: [3]}))
    counts = store.visitors(sketches)
    assert list(counts) == sketches
    assert {sketch: n for sketch, n in counts.items() if n} == {sketches[7]: 2, sketches[1_100]: 1}


# Salts and the lock.


def test_racing_clients_share_one_salt(redis_url: str) -> None:
    period = f"d{int(time.time() // 86_400)}"
    found: list[bytes | None] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        with connect(redis_url, timeout=5.0) as client:
            barrier.wait()
            found.append(SaltStore(client, KEYS).get(period))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert found[0] is not None
    assert len(found[0]) == 16


def test_a_salt_is_gone_48_hours_after_its_day(store: PendingStore) -> None:
    today = int(time.time() // 86_400)
    salts = SaltStore(store.client, KEYS)
    first = salts.get(f"d{today}")
    end = (today + 1) * 86_400 + 48 * 3600
    assert abs(store.client.ttl(KEYS.salt(f"d{today}")) - (end - time.time())) < 60
    assert salts.get(f"d{today}") == first != salts.get(f"d{today - 1}")


def test_a_day_that_is_long_over_gets_no_salt_again(store: PendingStore) -> None:
    today = int(time.time() // 86_400)
    assert SaltStore(store.client, KEYS).get(f"d{today - 3}") is None
    assert list(store.client.scan_iter()) == []


def test_a_salt_that_expired_is_replaced_by_another(store: PendingStore) -> None:
    period = f"d{int(time.time() // 86_400)}"
    salts = SaltStore(store.client, KEYS)
    first = salts.get(period)
    store.client.delete(KEYS.salt(period))
    assert salts.get(period) != first


def test_only_one_holds_the_lock_and_only_the_holder_opens_it(store: PendingStore) -> None:
    with store.sync_lock() as mine, store.sync_lock() as yours:
        assert (mine, yours) == (True, False)
    with store.sync_lock() as again:
        assert again
        store.client.set(KEYS.sync_lock(), "another who came after our time was up")
    assert store.client.get(KEYS.sync_lock()) is not None
