"""The rules in memory, of `pathhits.testing`, give the verdicts that the script gives in Redis."""

from __future__ import annotations

import secrets

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathhits.core.rules import Rules
from pathhits.hits import View
from pathhits.storage.redis.keys import Keys
from pathhits.storage.redis.rules import RuleStore
from pathhits.testing import MemoryCourt

#: 2026-11-20, late: the views of a run cross midnight.
EVENING = 1_795_215_000.0
MINUTE = 60

_rules = st.builds(
    Rules,
    cooldown=st.sampled_from([0, 5 * MINUTE, 60 * MINUTE]),
    per_session=st.integers(0, 3),
    session=st.sampled_from([30 * MINUTE, 86_400]),
    per_day=st.integers(0, 4),
    once_per_day=st.booleans(),
)
_views = st.lists(
    st.tuples(
        st.integers(0, 300),  # minutes after EVENING, in any order: some come late
        st.sampled_from(["product:1", "product:%s", "story:a b"]),
        st.sampled_from([(), ("new-a",), ("new-a", "old-a"), ("old-a",), ("new-b", "old-b")]),
        st.sampled_from(["", "g1", "g2"]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=_rules, asked=_views)
def test_memory_and_redis_judge_the_same(
    redis_url: str, rules: Rules, asked: list[tuple[int, str, tuple[str, ...], str]]
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        store, court = RuleStore(client, Keys(secrets.token_hex(4))), MemoryCourt()
        for minutes, item, viewers, grant in asked:
            view = View(EVENING + minutes * MINUTE, item, viewers, None, rules.limits, grant)
            assert court.judge(view) == store.judge(view), view
        assert court.live_keys() == store.live_keys()
