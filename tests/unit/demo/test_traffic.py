"""The people that the demo's traffic is made of, their plans, and the tally of what pathhits should say."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from threading import Thread

import pytest
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from demo_app import traffic
from demo_app.traffic.check import Check, read
from demo_app.traffic.people import BOTS, BROWSERS, Crowd, Person
from demo_app.traffic.plans import LONGEST_STAY, SEARCHES, Plan, Step, make_plans
from demo_app.traffic.sending import Sender
from demo_app.traffic.tally import COOLDOWN, DIMENSIONS, Figures, Tally, told
from pathhits import PathHits
from pathhits.core.agents import read_agent
from pathhits.core.bots import is_bot

NOON = 1_795_262_400.0


def test_browsers_are_people_and_bots_are_not_and_the_shares_are_of_a_hundred() -> None:
    assert not [browser for _, browser in BROWSERS if is_bot(browser.agent)]
    assert [agent for agent in BOTS if is_bot(agent)] == list(BOTS)
    assert sum(share for share, _ in BROWSERS) == 100
    assert len({browser.agent for _, browser in BROWSERS}) == len(BROWSERS)


def test_a_browser_is_what_it_says_it_is() -> None:
    for _, browser in BROWSERS:
        assert read_agent(browser.agent) == (browser.name, browser.system, browser.device)


def test_a_seed_says_what_is_done_and_not_who_does_it() -> None:
    first, second, other = (make_plans(50, 60.0, Random(seed)) for seed in (1, 1, 2))
    assert [shown(plan) for plan in first] == [shown(plan) for plan in second] != [shown(plan) for plan in other]
    people = {plan.person.address for plan in first + second}
    assert len(people) == len(first) + len(second)


def shown(plan: Plan) -> object:
    """A plan without the address."""
    return replace(plan.person, address=""), plan.start, plan.steps


@pytest.mark.parametrize("seconds", [3.0, 60.0, 600.0])
def test_a_plan_is_over_in_time_and_before_a_reload_would_count(seconds: float) -> None:
    for plan in make_plans(100, seconds, Random(3)):
        stay = sum(step.pause for step in plan.steps)
        assert plan.start + stay <= seconds + 1e-6
        assert stay <= LONGEST_STAY + 1e-6 < COOLDOWN


def test_everything_that_is_told_apart_happens() -> None:
    plans = make_plans(200, 120.0, Random(4))
    steps = [step for plan in plans for step in plan.steps]
    assert {step.item.partition(":")[0] for step in steps} == {"", "product", "brand", "tag"}
    assert {plan.person.kind for plan in plans} == {"visitor", "private", "bot", "abuser"}
    assert {step.method for step in steps} == {"GET", "HEAD", "POST"}
    assert {step.event[0] for step in steps if step.event} == {
        "likes", "downloads", "recommendation_clicks", "searches",
    }  # fmt: skip
    assert {step.event[2] for step in steps if step.event} == {1, -1}
    assert {name for step in steps for name in step.headers} == {"Referer", "Sec-Purpose", "X-Moz"}
    ahead = {step.label for step in steps if not step.headers.keys().isdisjoint({"Sec-Purpose", "X-Moz"})}
    assert ahead == {"product_detail", "brand", "tag", "search", "sheet"}
    assert any("utm_source=" in step.path for step in steps)
    assert max(len(plan.steps) for plan in plans) == 301, "the abuser"


@pytest.fixture
def someone() -> Person:
    return Crowd(Random(1)).visitor()


def test_a_reload_is_a_hit_and_a_view_only_after_two_minutes(someone: Person) -> None:
    tally, step = Tally(), Step("/products/jug", "product_detail", item="product:jug")
    for seconds in (0.0, 60.0, 119.0, 125.0):
        tally.answered(someone, step, 200, NOON + seconds)
    assert tally.figures["hits", ""] == 4
    assert tally.figures["views", "product:jug"] == 2
    assert tally.figures["refused", "product:cooldown"] == 2
    assert tally.figures["visitors of an item", "product:jug"] == tally.figures["visits", ""] == 1
    assert tally.figures["bounces", ""] == 0
    assert not tally.may_ask(someone, step, NOON + 125 + 115), "nobody knows on which side of the border it will be"
    assert tally.may_ask(someone, step, NOON + 125 + 60)


def test_who_asks_not_to_be_followed_has_hits_and_views_and_is_no_visitor() -> None:
    tally = Tally()
    tally.answered(
        Crowd(Random(1)).visitor("private"), Step("/products/jug", "product_detail", item="product:jug"), 200, NOON
    )
    assert {key: n for key, n in tally.figures.items() if key[1] != "(unknown)"} == {
        ("requests", ""): 1, ("hits", ""): 1, ("hits of a page", "product_detail"): 1, ("views", "product:jug"): 1,
    }  # fmt: skip
    assert {what for what, value in tally.figures if value == "(unknown)"} == set(DIMENSIONS)


@pytest.mark.parametrize(
    ("referrer", "path", "values"),
    [
        ("", "/", {"referrer": "(direct)"}),
        ("/products", "/", {"referrer": "(internal)"}),
        ("https://www.google.com/", "/?utm_source=google&q=1", {"referrer": "google.com", "utm_source": "google"}),
        ("https://l.instagram.com/", "/?utm_medium=social", {"referrer": "l.instagram.com", "utm_medium": "social"}),
    ],
)
def test_a_hit_is_told_apart_by_where_it_came_from(referrer: str, path: str, values: dict[str, str]) -> None:
    someone = Person("visitor", "127.0.0.9", BROWSERS[0][1], "de-DE,de;q=0.9")
    found = dict(told(someone, Step(path, "home", headers={"Referer": referrer})))
    assert found == {"browser": "Chrome", "system": "Windows", "device": "desktop", "language": "de", **values}


@pytest.mark.parametrize(
    ("step", "status", "reason"),
    [
        (Step("/about", method="POST"), 405, "method"),
        (Step("/nowhere"), 404, "status"),
        (Step("/", "home", headers={"Sec-Purpose": "prefetch"}), 200, "prefetch"),
        (Step("/static/shop.css"), 200, "excluded"),
    ],
)
def test_what_is_not_counted_has_its_reason(someone: Person, step: Step, status: int, reason: str) -> None:
    tally = Tally()
    tally.answered(someone, replace(step, status=status), status, NOON)
    assert tally.figures == {("requests", ""): 1, ("dropped", reason): 1}
    assert not tally.surprises


def test_an_answer_that_was_not_planned_for_is_said_and_its_event_did_not_happen(someone: Person) -> None:
    tally = Tally()
    tally.answered(someone, Step("/products/jug/sheet?x=1", "sheet", event=("downloads", "product:jug", 1)), 500, NOON)
    assert tally.surprises == {"GET /products/jug/sheet: 500 instead of 200": 1}
    assert tally.figures == {("requests", ""): 1, ("dropped", "status"): 1}


def test_a_run_over_midnight_says_so(someone: Person) -> None:
    tally = Tally()
    for moment in (NOON + 43_199, NOON + 43_201):
        assert not tally.over_midnight
        tally.answered(someone, Step("/", "home"), 200, moment)
    assert tally.over_midnight


def test_a_query_that_was_in_vain_and_is_found_now_is_one_number(hits: PathHits) -> None:
    for found in (0, 3, 3):
        hits.track_search("sofa", result_count=found)
    assert hits.flush(10)
    hits.sync()
    assert read(hits)["searches", "sofa"] == 3


@pytest.mark.parametrize(("query", "found"), [(query, found) for _, query, found in SEARCHES])
def test_the_shop_has_what_is_sought_as_far_as_it_is_said(shop: Flask, query: str, found: int) -> None:
    page = shop.test_client().get("/search", query_string={"q": query}).text
    assert ('class="card"' in page) == bool(found)


@pytest.fixture
def served(shop: Flask) -> Iterator[BaseWSGIServer]:
    """The shop on a port of its own."""
    server = make_server("127.0.0.1", 0, shop, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="visitors need 127.0.0.0/8")
def test_the_check_agrees_and_one_hit_of_someone_else_is_a_difference(
    served: BaseWSGIServer, hits: PathHits, someone: Person
) -> None:
    """Slow: it waits as it does in life, for what the web processes may still hold."""
    check, tally, done = Check(hits), Tally(), []
    Sender(f"http://127.0.0.1:{served.port}", tally).send(make_plans(5, 1.0, Random(1)), lambda: done.append(1))
    assert hits.flush(10)
    assert check.counted(tally.figures) == Figures({key: n for key, n in tally.figures.items() if n})
    assert len(done) == sum(len(plan.steps) for plan in make_plans(5, 1.0, Random(1)))
    Sender(f"http://127.0.0.1:{served.port}", Tally()).request(someone, Step("/about", "about"))
    assert hits.flush(10)
    differs = check.counted(tally.figures)
    differs.subtract(tally.figures)
    assert {key for key, n in differs.items() if n} >= {("requests", ""), ("hits of a page", "about"), ("visits", "")}


def test_an_answer_that_does_not_come_is_said_and_the_others_go_on() -> None:
    tally, plan = Tally(), Plan(Crowd(Random(1)).visitor(), 0.0, (Step("/", "home"), Step("/about", "about")))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ends = Thread(target=_hang_up, args=(silent, 2))
        ends.start()
        Sender(f"http://127.0.0.1:{port}", tally, forwarded=True).send([plan], lambda: None, threads=2)
        ends.join()
    assert set(tally.surprises.values()) == {1}
    assert {what.partition(":")[0] for what in tally.surprises} == {"GET /", "GET /about"}
    assert not tally.figures


def _hang_up(server: socket.socket, times: int) -> None:
    for _ in range(times):
        server.accept()[0].close()


def test_a_host_elsewhere_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(traffic.CannotSend, match="not on this machine"):
        traffic._reachable("http://shop.example", forwarded=False)
