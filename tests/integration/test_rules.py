"""The abuse rules in Redis against a plain model, and what one view costs and leaves behind."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathhits.core.rules import Limits, Rules, subject
from pathhits.hits import REFUSALS, VIEWS, Batch, View
from pathhits.storage.redis.client import connect
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.redis.rules import RuleStore

DAY = 86_400
#: 2026-03-28 12:00 UTC.
NOON = 1_774_699_200.0
_sequences = itertools.count(1)


@pytest.fixture
def court(redis_url: str) -> Iterator[RuleStore]:
    with connect(redis_url, timeout=5.0) as client:
        yield RuleStore(client, Keys("rules"))


def view(
    moment: float, rules: Rules, item: str = "product:1", viewers: tuple[str, ...] = ("aa",), grant: str = ""
) -> View:
    return View(moment, item, viewers, 7, rules.limits, grant)


class Model:
    """The rules, read from the design; nothing expires here, as the views' own moments decide."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str], float] = {}
        self.sessions: dict[tuple[str, str], tuple[float, int]] = {}
        self.viewed: set[tuple[str, str, int]] = set()
        self.daily: dict[tuple[str, int], int] = {}

    def judge(self, view: View) -> str:
        limits, day, first = Limits(*view.limits), int(view.moment // DAY), view.viewers[0]
        known = [(one, view.item) for one in view.viewers]
        last = next((self.last[key] for key in known if key in self.last), None)
        if limits.cooldown and last is not None and abs(view.moment - last) < limits.cooldown:
            return "cooldown"
        if limits.once_per_day and any((*key, day) in self.viewed for key in known):
            return "already_today"
        begun, seen = next((self.sessions[key] for key in known if key in self.sessions), (view.moment, 0))
        if view.moment - begun >= limits.session:
            begun, seen = view.moment, 0
        if limits.per_session and seen >= limits.per_session:
            return "session_limit"
        today = next((self.daily[one, day] for one in view.viewers if (one, day) in self.daily), 0)
        if limits.per_day and today >= limits.per_day:
            return "daily_limit"
        if limits.cooldown:
            self.last[first, view.item] = max(view.moment, last or view.moment)
        if limits.once_per_day:
            self.viewed.add((first, view.item, day))
        if limits.per_session:
            self.sessions[first, view.item] = begun, seen + 1
        if limits.per_day:
            self.daily[first, day] = today + 1
        return ""


RULES = st.builds(
    Rules,
    cooldown=st.sampled_from([0, 60, 300]),
    per_session=st.sampled_from([0, 1, 3]),
    session=st.sampled_from([600, DAY]),
    per_day=st.sampled_from([0, 2, 5]),
    once_per_day=st.booleans(),
)
VIEWINGS = st.lists(
    st.tuples(
        st.integers(0, 8 * DAY).map(lambda quarter: NOON + quarter / 4) | st.integers(0, 400).map(lambda s: NOON + s),
        st.sampled_from(["product:1", "product:50%", "film:a:b %s %d [*]?", "film:ü\U0001f600"]),
        st.sampled_from([("aa",), ("bb", "aa"), ("cc", "bb"), ("dd",)]),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=RULES, viewings=VIEWINGS)
def test_verdicts_are_those_of_a_plain_model_whatever_the_order(
    court: RuleStore, rules: Rules, viewings: list[tuple[float, str, tuple[str, ...]]]
) -> None:
    model = Model()
    fresh = RuleStore(court.client, Keys(secrets.token_hex(4)))
    for moment, item, viewers in viewings:
        one = view(moment, rules, item, viewers)
        assert fresh.judge(one) == model.judge(one)


def test_strict_stops_at_each_of_its_limits_with_its_reason(court: RuleStore) -> None:
    strict = Rules.strict()
    assert court.judge(view(NOON, strict)) == ""
    assert court.judge(view(NOON + 299, strict)) == "cooldown"
    assert court.judge(view(NOON + 300, strict)) == "already_today"
    for n in range(2, 101):
        assert court.judge(view(NOON + 400, strict, f"product:{n}")) == ""
    assert court.judge(view(NOON + 400, strict, "product:101")) == "daily_limit"
    assert court.judge(view(NOON + 400, strict, "product:101", ("bb",))) == ""


def test_what_a_view_leaves_outlives_its_rule_for_one_that_is_judged_late(court: RuleStore) -> None:
    court.judge(view(NOON, Rules(cooldown=5, per_session=2, session=30)))
    lives = {key: court.client.ttl(key) for key in court.client.scan_iter()}
    cooldown, session = (court.keys.rule(f"{name}:aa:product:1").encode() for name in ("cooldown", "session"))
    assert lives.keys() == {cooldown, session}
    assert 5 + 30 < lives[cooldown] <= 5 + 60
    assert 30 + 30 < lives[session] <= 30 + 60


def test_a_session_ends_by_the_moments_of_the_views(court: RuleStore) -> None:
    rules = Rules(per_session=3, session=DAY)
    verdicts = [court.judge(view(NOON + n, rules)) for n in (0, 1, 2, 3, DAY - 1, DAY, DAY + 1)]
    assert verdicts == ["", "", "", "session_limit", "session_limit", "", ""]


def test_antispam_counts_again_after_two_minutes(court: RuleStore) -> None:
    rules = Rules.antispam()
    verdicts = [court.judge(view(NOON + n, rules)) for n in (0, 119.9, 120, 121, 240)]
    assert verdicts == ["", "cooldown", "", "cooldown", ""]


def test_a_late_view_does_not_shorten_the_wait_after_a_later_one(court: RuleStore) -> None:
    rules = Rules.antispam()
    verdicts = [court.judge(view(NOON + n, rules)) for n in (300, 0, 350)]
    assert verdicts == ["", "", "cooldown"]


def test_a_rule_does_not_begin_anew_when_the_salt_does(court: RuleStore) -> None:
    rules, midnight = Rules(cooldown=300, per_session=2), NOON + DAY / 2
    assert court.judge(view(midnight - 1, rules, viewers=("old", "older"))) == ""
    assert court.judge(view(midnight + 1, rules, viewers=("new", "old"))) == "cooldown"
    assert court.judge(view(midnight + 300, rules, viewers=("new", "old"))) == ""
    assert court.judge(view(midnight + 700, rules, viewers=("new", "old"))) == "session_limit"


def test_every_key_of_a_rule_expires_by_itself(court: RuleStore) -> None:
    assert court.judge(view(NOON, Rules.strict(), grant="g1")) == ""
    ttls = {key.decode(): court.client.ttl(key) for key in court.client.scan_iter()}
    assert len(ttls) == 5
    assert all(0 < ttl <= 2 * DAY for ttl in ttls.values())
    assert court.live_keys() == {"views": 2, "sessions": 1, "daily_limits": 1}


def test_asking_twice_about_one_granted_view_gives_one_verdict(court: RuleStore) -> None:
    rules = Rules.strict()
    assert [court.judge(view(NOON, rules, grant="g1")) for _ in range(2)] == ["", ""]
    assert court.judge(view(NOON, rules, grant="g2")) == "cooldown"
    assert court.client.get(court.keys.rule(f"daily:aa:{int(NOON // DAY)}")) == b"1"


def test_a_batch_counts_and_logs_what_passes_once_and_no_refused_view(court: RuleStore) -> None:
    store, rules, item = PendingStore(court.client, court.keys), Rules.antispam(), subject("product", "5:0% \x00")
    views = (
        view(NOON, rules, item)._replace(event='{"view":1}'),
        view(NOON + 1, rules, item)._replace(event='{"view":2}'),
        view(NOON + 2, rules, item, viewers=())._replace(event='{"view":3}'),
    )
    batch = Batch("client", next(_sequences), "g", {}, {}, views, ('{"other":4}',))
    added = store.add(batch, "")
    assert (added.status, added.reasons) == ("added", ("", "cooldown", ""))
    again = store.add(batch, store.run_id())
    assert (again.status, again.reasons) == ("duplicate", ())
    (live,) = store.snapshot([(VIEWS, item), (REFUSALS, "product:cooldown")])
    assert live.counts == (2, 1)
    assert store.events("g") == [b'[{"view":1},{"view":3},{"other":4}]']
    assert not list(court.client.scan_iter("*visitors*"))


def test_a_batch_of_unknown_outcome_on_another_server_judges_no_view(court: RuleStore) -> None:
    store = PendingStore(court.client, court.keys)
    batch = Batch("client", next(_sequences), "g", {}, {}, (view(NOON, Rules.strict()),))
    assert store.add(batch, "another").status == "uncertain"
    assert not list(court.client.scan_iter())
