"""Tokens are good for who holds the secret, for a while, and say nothing of anyone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.tokens import SKEW, TOKEN_LIFE, is_good, make_token, token_moment

KEY = bytes(range(16))
NOW = 1_774_699_200.5


def test_a_token_is_good_for_its_time_and_not_before() -> None:
    token = make_token(KEY, NOW)
    assert [is_good(token, KEY, NOW + late) for late in (0, -SKEW + 1, TOKEN_LIFE - 1)] == [True] * 3
    assert [is_good(token, KEY, NOW + late) for late in (-SKEW - 1, TOKEN_LIFE + 1)] == [False] * 2
    assert token_moment(token) == int(NOW)


def test_two_tokens_of_one_second_are_the_same_so_they_name_nobody() -> None:
    assert make_token(KEY, NOW) == make_token(KEY, NOW + 0.1)


@given(st.binary(min_size=1, max_size=64))
def test_another_secret_makes_no_good_token(key: bytes) -> None:
    assert is_good(make_token(key, NOW), KEY, NOW) == (key == KEY)


@given(st.text(max_size=60))
def test_what_is_no_token_is_refused(text: str) -> None:
    assert token_moment(text) is None
    assert not is_good(text, KEY, NOW)


@given(st.integers(0, 40), st.sampled_from("0123456789abcdef"))
def test_a_changed_token_is_refused(at: int, sign: str) -> None:
    token = make_token(KEY, NOW)
    changed = token[:at] + sign + token[at + 1 :]
    assert is_good(changed, KEY, NOW) == (changed == token)
