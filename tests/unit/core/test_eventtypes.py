"""Which events there are, what each adds, and what is refused with a sentence that helps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pathhits.core.eventtypes import PROPERTIES_SIZE, EventTypes, properties_text
from pathhits.errors import EventError, SettingsError


@pytest.mark.parametrize(
    ("name", "value", "amounts"),
    [
        ("movie.downloaded", 1, {"downloads": 1}),
        ("movie.downloaded", 3, {"downloads": 3}),
        ("movie.liked", 1, {"likes": 1}),
        ("movie.unliked", 1, {"likes": -1}),
        ("movie.watchlisted", 1, {"watchlist": 1}),
        ("movie.unwatchlisted", 1, {"watchlist": -1}),
        ("movie.recommendation_clicked", 1, {"recommendation_clicks": 1}),
        ("movie.rated", 4, {"ratings": 1, "rating_sum": 4}),
        ("movie.featured", 1, {}),
        ("movie.updated", 1, {}),
        ("movie.unfeatured", 1, {}),
    ],
)
def test_every_item_type_has_these_events(name: str, value: int, amounts: dict[str, int]) -> None:
    kind = EventTypes()[name]
    assert kind.item_type == "movie"
    assert kind.needs_item
    assert dict(kind.amounts(kind.check(value))) == amounts


def test_an_app_declares_events_of_its_own() -> None:
    types = EventTypes()
    types.declare("product.returned", "sales", -1)
    types.declare("product.returned", "sales", -1)
    assert dict(types["product.returned"].amounts(2)) == {"sales": -2}
    assert "sales" in types.counters
    with pytest.raises(SettingsError, match="there already"):
        types.declare("product.returned", "sales", 1)


def test_what_is_built_in_may_be_declared_as_it_is() -> None:
    types = EventTypes()
    types.declare("product.liked", "likes", 1)
    with pytest.raises(SettingsError, match="there already"):
        types.declare("movie.liked", "hearts", 1)


@pytest.mark.parametrize(
    ("name", "counter", "value"),
    [
        ("liked", "likes", 1),
        ("Product.liked", "likes", 1),
        ("product.", "likes", 1),
        ("product.viewed", "looks", 1),
        ("product.sold", "views", 1),
        ("product.sold", "Sales!", 1),
        ("product.sold", "s" * 49, 1),
        ("product.sold", "sales", 0),
        ("search.performed", "searches", 1),
    ],
)
def test_types_that_cannot_be_are_refused(name: str, counter: str, value: int) -> None:
    with pytest.raises(SettingsError):
        EventTypes().declare(name, counter, value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("movie.exploded", "event_type"),
        ("movie.viewed", "track_view"),
        ("movie.became_hot", "items job"),
        ("nothing", "give a name"),
        ("", "give a name"),
        (None, "give a name"),
        ("Movie.liked", "item type"),
    ],
)
def test_an_event_that_is_none_is_an_error_that_says_what_to_do(name: Any, says: str) -> None:
    with pytest.raises(EventError, match=says):
        EventTypes()[name]


@pytest.mark.parametrize("value", [0, 6, -1, 2.5, "5", True, None])
def test_a_rating_is_a_whole_number_from_1_to_5(value: Any) -> None:
    with pytest.raises(EventError, match="1 to 5"):
        EventTypes()["movie.rated"].check(value)


@pytest.mark.parametrize("value", [0, -1, 2**31, 1.0, True])
def test_an_event_happens_a_whole_number_of_times(value: Any) -> None:
    with pytest.raises(EventError, match="whole number"):
        EventTypes()["movie.liked"].check(value)


def test_a_value_needs_a_counter() -> None:
    with pytest.raises(EventError, match="no counter"):
        EventTypes()["movie.updated"].check(2)


def test_properties_are_json_of_8_kilobytes() -> None:
    fits = {"a": "x" * (PROPERTIES_SIZE - len('{"a":""}'))}
    text = properties_text("movie.liked", fits, 1, valued=False)
    assert len(text) == PROPERTIES_SIZE
    assert json.loads(text) == fits
    with pytest.raises(EventError, match=f"{PROPERTIES_SIZE + 1} bytes"):
        properties_text("movie.liked", {"a": fits["a"] + "x"}, 1, valued=False)
    assert properties_text("movie.liked", {}, 1, valued=False) == ""
    assert json.loads(properties_text("movie.rated", {"from": "app"}, 4, valued=True)) == {"from": "app", "value": 4}


@pytest.mark.parametrize("properties", [{"a": object()}, {"a": float("nan")}, {1: 2}, ["a"], "text", {"a": {1, 2}}])
def test_properties_that_are_no_json_are_refused(properties: Any) -> None:
    with pytest.raises(EventError, match="properties"):
        properties_text("movie.liked", properties, 1, valued=False)


def test_a_text_that_no_database_would_take_as_it_is_travels_escaped() -> None:
    text = properties_text("movie.liked", {"a": "\x00 \ud800 ü"}, 1, valued=False)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == {"a": "\x00 \ud800 ü"}
