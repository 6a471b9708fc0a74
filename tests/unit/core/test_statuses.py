"""Reasons of drops, and which part of a document is the first."""

from __future__ import annotations

import pytest

from pathhits.core.statuses import REASONS, Reason, starts_at_zero


def test_every_reason_has_one_sentence() -> None:
    reasons = {value for name, value in vars(Reason).items() if name.isupper()}
    assert reasons == set(REASONS)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in REASONS.values())


def test_reasons_are_words_that_can_be_subjects_of_deltas() -> None:
    assert all(reason.isidentifier() and reason.islower() for reason in REASONS)


@pytest.mark.parametrize("value", ["bytes 0-99/1000", "bytes 0-0/*", "Bytes  0-99/1000", " bytes 0-99/1000"])
def test_a_range_from_byte_zero_is_the_first_part(value: str) -> None:
    assert starts_at_zero(value)


@pytest.mark.parametrize(
    "value",
    ["", "bytes 100-199/1000", "bytes 01-9/10", "bytes */1000", "bytes 0", "items 0-9/10", "multipart/byteranges"],
)
def test_any_other_or_none_is_not(value: str) -> None:
    assert not starts_at_zero(value)
