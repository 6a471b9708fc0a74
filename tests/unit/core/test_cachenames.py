"""Names of cached values out of templates: never the same for other values, and what is no name is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.cachenames import fields_of, fill
from pathhits.errors import SettingsError


def test_a_template_is_filled_and_its_values_are_quoted() -> None:
    assert fill("product:{slug}:{page}", {"slug": "iron pan/1", "page": 2, "more": 3}) == "product:iron%20pan%2F1:2"
    assert fill("featured", {}) == "featured"


def test_without_a_value_there_is_no_name() -> None:
    assert fill("group:{group}", {}) is None
    assert fill("group:{group}", {"group": None}) is None
    assert fill("group:{group}", {"group": 0}) == "group:0"


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_other_values_make_another_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [fill("x:{a}:{b}", {"a": a, "b": b}) for a, b in (one, other)]
    assert (names[0] == names[1]) == (one == other)


@pytest.mark.parametrize("template", ["", "a{", "a}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>5}"])
def test_what_is_no_plain_name_is_refused(template: str) -> None:
    with pytest.raises(SettingsError):
        fields_of(template)
