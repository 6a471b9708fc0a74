"""What waits in a process keeps its sums, its order and its bounds, however it is cut."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pathhits.capture.accumulator import STAY_COST, TRAITS_A_DELTA, VIEW_COST, Accumulator, Whose
from pathhits.core.dimensions import Trait, split
from pathhits.core.rules import Rules
from pathhits.hits import DROPS, HITS, OTHER, REQUESTS, SITE, Delta, Sketch, Stay, Step, View

DAY = 20_000
HOUR = DAY * 24


def taken(accumulator: Accumulator, size: int) -> list[tuple[dict[Delta, int], dict[Sketch, tuple[int, ...]]]]:
    """All batches of at most ``size``."""
    found = []
    while accumulator:
        found.append(accumulator.take(size))
    return found


traits = st.lists(
    st.sampled_from([Trait("language", "de"), Trait("language", "en"), Trait("agent", "a\x1fb\x1fc")]), max_size=2
)


@given(
    made=st.lists(st.tuples(st.integers(HOUR, HOUR + 2), st.sampled_from("abc"), traits), max_size=120),
    size=st.integers(1, 12),
    most=st.sampled_from([3, 1000]),
)
def test_hits_and_their_traits_are_never_parted(made: list[tuple[int, str, list[Trait]]], size: int, most: int) -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=most)
    for hour, label, told in made:
        accumulator.request(hour)
        accumulator.hit(hour, label, None, told)
    total: Counter[Delta] = Counter()
    for deltas, _ in taken(accumulator, size):
        for delta, n in deltas.items():
            if delta.is_trait:
                label, _ = split(delta)
                assert 0 < n <= 2 * deltas[Delta(delta.hour, HITS, label)], "a trait without its hits"
        total.update(deltas)
    told_in_all = sum(len(told) for _, _, told in made)
    assert sum(n for delta, n in total.items() if delta.is_trait) == told_in_all
    assert sum(n for delta, n in total.items() if delta.counter == HITS) == len(made)
    if most > 2 * len(made):
        expected = Counter(trait.delta(hour, label) for hour, label, told in made for trait in told)
        assert Counter({delta: n for delta, n in total.items() if delta.is_trait}) == expected


def test_many_traits_of_one_label_go_in_several_batches_each_with_hits() -> None:
    accumulator = Accumulator(max_labels=10, max_waiting=10_000)
    for n in range(5 * TRAITS_A_DELTA):
        accumulator.hit(HOUR, "a", None, [Trait("referrer", f"{n}.example")])
    batches = taken(accumulator, 50)
    assert len(batches) == 5
    for deltas, _ in batches:
        assert deltas[Delta(HOUR, HITS, "a")] == sum(n for delta, n in deltas.items() if delta.is_trait)


def test_traits_that_wait_have_an_end_and_what_comes_then_counts_as_others() -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=20)
    for n in range(1_000):
        accumulator.hit(HOUR, f"{n % 5}", None, [Trait("referrer", f"{n}.example")])
    deltas, _ = accumulator.take(10_000)
    told = {delta: n for delta, n in deltas.items() if delta.is_trait}
    assert len(told) <= 25
    assert sum(told.values()) == 1_000
    assert sum(n for delta, n in told.items() if split(delta)[1] == (("referrer", OTHER),)) == 980
    assert accumulator._traits == 0


hit = st.tuples(st.integers(HOUR, HOUR + 30), st.sampled_from("abcdefgh"), st.none() | st.integers(0, 5))


@given(
    made=st.lists(hit, max_size=80),
    drops=st.lists(st.tuples(st.integers(HOUR, HOUR + 30), st.sampled_from(["bot", "status"])), max_size=20),
    size=st.integers(1, 30),
)
def test_however_it_is_cut_nothing_is_lost_and_every_batch_accounts_for_its_requests(
    made: list[tuple[int, str, int | None]], drops: list[tuple[int, str]], size: int
) -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=1000)
    for hour, label, visitor in made:
        accumulator.request(hour)
        accumulator.hit(hour, label, visitor)
    for hour, reason in drops:
        accumulator.request(hour)
        accumulator.drop(hour, reason)
    sums: Counter[Delta] = Counter()
    seen: set[tuple[Sketch, int]] = set()
    visitors = {(Sketch(h // 24, subject), v) for h, label, v in made if v is not None for subject in (label, SITE)}
    for deltas, sketches in taken(accumulator, size):
        counted = Counter[int]()
        for delta, n in deltas.items():
            counted[delta.hour] += n if delta.counter != REQUESTS else -n
            if delta.counter == HITS:
                owed = {pair for pair in visitors if pair[0] == Sketch(delta.hour // 24, delta.subject)}
                assert owed <= seen | {(s, m) for s, members in sketches.items() for m in members}
        assert set(counted.values()) <= {0}, "a batch parts its requests from its hits and drops"
        assert len(deltas) <= 2 * size
        assert sum(map(len, sketches.values())) <= size
        sums.update(deltas)
        seen |= {(sketch, member) for sketch, members in sketches.items() for member in members}
    assert seen == visitors
    expected = Counter(Delta(hour, HITS, label) for hour, label, _ in made)
    expected.update(Delta(hour, DROPS, reason) for hour, reason in drops)
    expected.update(Delta(hour, REQUESTS, "") for hour in [one[0] for one in made] + [one[0] for one in drops])
    assert sums == expected


def test_requests_that_nothing_accounts_for_are_sent_all_the_same() -> None:
    accumulator = Accumulator(10, 10)
    accumulator.request(HOUR, 3)
    accumulator.hit(HOUR, "a", None)
    accumulator.request(HOUR + 1, 2)
    assert [deltas for deltas, _ in taken(accumulator, 1)] == [
        {Delta(HOUR, HITS, "a"): 1, Delta(HOUR, REQUESTS, ""): 3, Delta(HOUR + 1, REQUESTS, ""): 2}
    ]


def test_labels_past_the_cap_are_other_until_the_next_day() -> None:
    accumulator = Accumulator(max_labels=2, max_waiting=100)
    for label in "abca":
        accumulator.hit(HOUR, label, None)
    accumulator.hit(HOUR + 24, "c", None)
    ((deltas, _),) = taken(accumulator, 100)
    assert {(d.hour, d.subject): n for d, n in deltas.items()} == {
        (HOUR, "a"): 2, (HOUR, "b"): 1, (HOUR, OTHER): 1, (HOUR + 24, "c"): 1
    }  # fmt: skip


def test_labels_of_at_most_two_days_are_remembered() -> None:
    accumulator = Accumulator(max_labels=2, max_waiting=100)
    for day in range(10):
        accumulator.hit(HOUR + 24 * day, "a", None)
    assert accumulator._labels.days == [DAY + 8, DAY + 9]


def test_visitors_past_the_bound_are_shed_and_counted_and_their_hits_stay() -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=4)
    for visitor in range(5):
        accumulator.hit(HOUR, "a", visitor)
    assert accumulator.visitors_shed == 6
    ((deltas, sketches),) = taken(accumulator, 100)
    assert deltas[Delta(HOUR, HITS, "a")] == 5
    assert sum(map(len, sketches.values())) == 4


def test_a_visitor_seen_twice_waits_once() -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=100)
    for _ in range(3):
        accumulator.hit(HOUR, "a", 7)
    ((_, sketches),) = taken(accumulator, 100)
    assert sketches == {Sketch(DAY, "a"): (7,), Sketch(DAY, SITE): (7,)}


def test_nothing_waits_in_an_empty_one() -> None:
    accumulator = Accumulator(1, 1)
    assert not accumulator
    assert accumulator.take(10) == ({}, {})


# Stays.

ITEM_VIEW = View(DAY * 86_400.0, "product:1", ("a",), 1, Rules.none().limits)


def all_stays(accumulator: Accumulator, room: int) -> list[tuple[tuple[Stay, ...], tuple[View, ...]]]:
    found = []
    while accumulator:
        found.append(accumulator.take_stays(room, 0))
        assert found[-1][0], "each batch takes something"
    return found


@given(
    made=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000), st.booleans()), max_size=150),
    room=st.integers(STAY_COST + VIEW_COST, 300),
)
def test_stays_are_cut_without_losing_a_step_and_with_the_views_they_name(
    made: list[tuple[int, int, bool]], room: int
) -> None:
    accumulator = Accumulator(max_labels=100, max_waiting=1000)
    for visitor, moment, is_view in made:
        view = ITEM_VIEW._replace(moment=float(moment)) if is_view else None
        accumulator.step(Whose((str(visitor),), 0), Step(float(moment)), view)
    steps: dict[str, list[float]] = {}
    judged = 0
    for stays, views in all_stays(accumulator, room):
        assert STAY_COST * len(stays) + VIEW_COST * len(views) <= room
        for stay in stays:
            steps.setdefault(stay.ids[0], []).extend(step.moment for step in stay.steps)
            for step in stay.steps:
                for mark, item in step.shown:
                    judged += 1
                    assert views[int(mark) - 1].moment == step.moment
                    assert item == views[int(mark) - 1].item
    assert judged == sum(is_view for _, _, is_view in made)
    for visitor in range(4):
        assert steps.get(str(visitor), []) == sorted(float(at) for who, at, _ in made if who == visitor)


def test_too_many_steps_are_shed_and_their_views_are_judged_all_the_same() -> None:
    accumulator = Accumulator(max_labels=10, max_waiting=2)
    for number in range(3):
        accumulator.step(Whose(("a",), 0), Step(float(number)), ITEM_VIEW)
    assert accumulator.steps_shed == 1
    assert len(accumulator.take_views(10)) == 1
    (stay,), views = accumulator.take_stays(250, 0)
    assert (len(stay.steps), len(views)) == (2, 2)


def test_views_are_judged_without_the_visits_that_redis_is_not_there_for() -> None:
    accumulator = Accumulator(max_labels=10, max_waiting=10)
    accumulator.step(Whose(("a",), 0), Step(1.0), ITEM_VIEW)
    accumulator.step(Whose(("b",), 0), Step(2.0))
    accumulator.forgo_stays()
    assert accumulator.take_views(10) == (ITEM_VIEW,)
    assert not accumulator
