"""The rules as data: presets, limits in the order the script reads them, and what cannot be is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pathhits.core.rules import Limits, Rules, check_type, subject, type_of
from pathhits.errors import SettingsError


def test_the_presets_have_the_numbers_of_the_design() -> None:
    assert Rules.none().limits == Limits(0, 0, 86_400, 0, 0)
    assert Rules.antispam().limits == Limits(120, 0, 86_400, 0, 0)
    assert Rules.strict().limits == Limits(300, 3, 86_400, 100, 1)


@pytest.mark.parametrize(
    "numbers",
    [{"cooldown": -1}, {"per_session": -1}, {"per_day": -1}, {"session": 0}, {"session": -5}, {"cooldown": 0.5},
     {"per_day": "3"}, {"session": None}],
)  # fmt: skip
def test_impossible_numbers_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(numbers))):
        Rules(**numbers)


@pytest.mark.parametrize("name", ["", "Product", "two words", "a:b", "1st", "x" * 25, "é", None, 42])
def test_a_type_that_is_no_short_word_is_refused(name: Any) -> None:
    with pytest.raises(SettingsError, match="item type"):
        check_type(name)


@pytest.mark.parametrize("item_id", ["42", "a:b", "50%", "ü", "", "\x00", "\udc80", "x" * 900])
def test_the_type_can_be_read_from_every_subject(item_id: str) -> None:
    assert type_of(subject("product", item_id)) == "product"


def test_long_ids_stay_apart() -> None:
    assert subject("film", "x" * 900) != subject("film", "x" * 901)
