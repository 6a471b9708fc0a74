"""Listeners: which events a pattern takes in, how they are named, and that they stay plain functions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pathhits import Event, PathHits, SettingsError
from pathhits.core.listeners import matches, switched_on, wait_after

EVENT = Event("0" * 32, "product.viewed", "product", "7", 1, "", "", "", {}, datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("pattern", "event", "taken"),
    [
        ("product.viewed", "product.viewed", True),
        ("product.viewed", "product.liked", False),
        ("product.viewed", "products.viewed", False),
        ("product.*", "product.liked", True),
        ("product.*", "story.liked", False),
        ("*.viewed", "story.viewed", True),
        ("*.viewed", "story.reviewed", False),
        ("*.*", "search.performed", True),
        ("*", "search.performed", True),
    ],
)
def test_a_pattern_takes_in_what_it_says(pattern: str, event: str, taken: bool) -> None:
    assert matches(pattern, event) is taken


@pytest.mark.parametrize(
    "pattern", ["", "product", "product.", ".viewed", "pro*.viewed", "a.b.c", "**", "x" * 65 + ".y"]
)
def test_a_pattern_that_can_match_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError, match="give an event such as"):
        PathHits().on(pattern)(print)


def test_a_listener_stays_the_function_it_is_and_has_its_name() -> None:
    hits, seen = PathHits(), list[str]()

    @hits.on("product.*")
    def remember(event: Event) -> None:
        seen.append(event.item_id)

    remember(EVENT)
    assert seen == ["7"]
    [listener] = hits.listeners
    assert listener.name == f"{__name__}.{remember.__qualname__}"
    assert listener.function is remember


def test_a_name_is_given_once() -> None:
    hits = PathHits()
    hits.on("product.viewed", name="mail")(print)
    with pytest.raises(SettingsError, match="another name="):
        hits.on("product.liked", name="mail")(repr)
    with pytest.raises(SettingsError, match="printable"):
        hits.on("product.liked", name="mail ")(repr)
    with pytest.raises(SettingsError, match="printable"):
        hits.on("product.liked", name="m" * 256)(repr)


def test_globs_switch_listeners_off() -> None:
    assert switched_on(["shop.b", "shop.a", "mail.a"], []) == ["mail.a", "shop.a", "shop.b"]
    assert switched_on(["shop.b", "shop.a", "mail.a"], ["shop.*"]) == ["mail.a"]


def test_the_last_wait_holds_for_all_that_follow() -> None:
    assert [wait_after(n, (10.0, 30.0)) for n in (1, 2, 3, 9)] == [10.0, 30.0, 30.0, 30.0]
