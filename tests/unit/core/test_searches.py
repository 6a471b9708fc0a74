"""What is kept of a search, and which searches count together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.searches import (
    FILTERS_SIZE,
    MOST_RESULTS,
    QUERY_LENGTH,
    Search,
    kept_query,
    normalised,
    search_of,
    search_properties,
)
from pathhits.errors import EventError

ANY_TEXT = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("  Blue\tJUG \n", "blue jug"),
        ("ＢＬＵＥ jug", "blue jug"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("cafe\u0301", "café"),
        ("CAFÉ", "café"),
        ("ﬁlm", "film"),
        ("Ⅳ", "iv"),
        ("jug\u200b", "jug"),
        ("\u202ejug", "jug"),
        ("a\0b", "a b"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ud83d\ude00", "😀"),
        ("jug \ud83d", "jug \ufffd"),
        (" \n ", ""),
    ],
)
def test_queries_that_say_the_same_count_together(written: str, counted: str) -> None:
    assert normalised(written) == counted


def test_a_query_is_kept_as_it_was_written_but_for_white_space() -> None:
    assert kept_query("  Blue\n\tJUG\0 ") == "Blue JUG"


def test_a_query_is_cut_after_what_it_says_and_never_within_a_character() -> None:
    assert kept_query(" " * 600 + "jug") == "jug"
    assert kept_query("\ud83d\ude00" * 501) == "😀" * QUERY_LENGTH
    assert kept_query("a" * 499 + " " + "b" * 9) == "a" * 499
    # One character that stands for eighteen.
    assert len(normalised("ﷺ" * QUERY_LENGTH)) <= QUERY_LENGTH


@given(ANY_TEXT)
def test_whatever_is_written_can_be_stored_and_means_itself(text: str) -> None:
    for found in (kept_query(text), normalised(text)):
        assert len(found) <= QUERY_LENGTH
        assert "\0" not in found
        assert found == found.strip()
        found.encode()
    assert kept_query(kept_query(text)) == kept_query(text)
    assert normalised(kept_query(text)) == normalised(text)


@given(ANY_TEXT)
def test_large_and_small_letters_count_together(text: str) -> None:
    folded = normalised(text.casefold())
    if len(folded) < QUERY_LENGTH:
        assert folded == normalised(text)


def test_what_is_empty_is_not_logged_and_what_is_more_stays() -> None:
    given: dict[str, Any] = {"query": "", "filters": {}, "result_count": None, "entity_type": "", "page": 2}
    assert search_properties(given) == {"query": "", "page": 2}
    assert search_properties({"page": 2}) == {"page": 2}
    assert search_properties({"query": "jug", "result_count": 0}) == {"query": "jug", "result_count": 0}


def test_filters_that_a_visitor_wrote_never_raise() -> None:
    assert search_properties({"filters": {"max": 3, "day": object, 5: [1]}})["filters"]["5"] == [1]
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    for bad in ({"a": "x" * FILTERS_SIZE}, {"a": float("nan")}, loop):
        assert search_properties({"query": "jug", "filters": bad}) == {"query": "jug", "filters_cut": True}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"query": 7}, "as text"),
        ({"query": b"jug"}, "as text"),
        ({"filters": ["red"]}, "as a dict"),
        ({"result_count": -1}, "from 0 on"),
        ({"result_count": True}, "from 0 on"),
        ({"result_count": "3"}, "from 0 on"),
        ({"entity_type": "Movies!"}, "a word"),
    ],
)
def test_an_argument_of_another_kind_is_an_error(given: dict[str, Any], says: str) -> None:
    with pytest.raises(EventError, match=says):
        search_properties(given)


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({"query": "Jug"}, (Search("jug", "", False), None)),
        ({"query": "Jug", "result_count": 0}, (Search("jug", "", True), 0)),
        ({"query": "Jug", "result_count": 3, "entity_type": "movie"}, (Search("jug", "movie", False), 3)),
        ({"query": "Jug", "result_count": 2**40, "entity_type": "No!"}, (Search("jug", "", False), MOST_RESULTS)),
        ({"query": "Jug", "result_count": True}, (Search("jug", "", False), None)),
        ({"query": " "}, None),
        ({"query": None}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_what_is_logged_counts_as_far_as_it_makes_sense(properties: Any, found: Any) -> None:
    assert search_of(properties) == found


def test_what_is_counted_apart_has_keys_of_its_own() -> None:
    apart = [Search("jug", kind, failed) for kind in ("", "movie") for failed in (True, False)]
    assert len({one.key for one in [*apart, apart[0].other]}) == 5


@given(ANY_TEXT, st.none() | st.integers(0, 2**40))
def test_what_is_tracked_is_what_is_counted(text: str, count: int | None) -> None:
    said = json.loads(json.dumps(search_properties({"query": text, "result_count": count})))
    found = search_of(said)
    assert (found[0].query if found else "") == normalised(text)
