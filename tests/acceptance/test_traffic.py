"""Visitors that `python -m demo_app traffic` sends to a demo: what it says of them is what pathhits has counted."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable

import pytest

from tests.acceptance.demos import ROOT, Demo
from tests.servers.processes import Process

# The whole demo starts: four Python processes and a Redis.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="visitors need 127.0.0.0/8")]
SMALL = ("--visitors", "20", "--minutes", "0.05", "--seed", "1")


@pytest.fixture
def send(start_process: Callable[..., Process], settings: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Runs the command for the demo of this test; its exit status and what it printed."""

    def send(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "demo_app", "traffic", *words]
        process = start_process(command, env={**settings, "COLUMNS": "120"}, cwd=ROOT)
        return process.wait(120), process.output()

    return send


def printed(output: str, name: str) -> int:
    """The number that the command printed behind this name."""
    found = re.search(rf"^ *{re.escape(name)} +([\d,]+)", output, re.MULTILINE)
    assert found, f"no {name} in {output}"
    return int(found[1].replace(",", ""))


def test_what_it_says_is_what_pathhits_counted_twice_and_the_same_seed_is_other_people(
    start_demo: Callable[[], Demo], send: Callable[..., tuple[int, str]]
) -> None:
    demo = start_demo()
    first = demo.cli("stats")
    status, said = send(*SMALL, "--check")
    assert status == 0, said
    assert "pathhits has counted all of it, and nothing else." in said

    # Once more, by the command line: what the comparison itself read is not taken on trust.
    stats = demo.cli("stats")
    assert stats["requests"] - first["requests"] in range(printed(said, "requests seen"), 1000)
    assert stats["hits"] == printed(said, "hits") > 50
    assert stats["visitors_today"] == printed(said, "visitors today (UTC)") == 20
    assert stats["visits"]["visits"] == printed(said, "visits") == 20
    assert stats["visits"]["bounces"] == printed(said, "of one hit (bounces)") > 0
    for reason in ("bot", "status", "prefetch", "excluded"):
        assert stats["drops"][reason] == printed(said, f"dropped: {reason}") > 0
    assert stats["rules"]["refusals"]["product:cooldown"] == printed(said, "refused: product:cooldown") >= 40
    assert demo.cli("verify")["ok"]

    status, again = send(*SMALL, "--check")
    assert status == 0, again
    assert printed(again, "hits") == printed(said, "hits")
    assert demo.cli("stats")["visitors_today"] == 40


def test_a_new_demo_has_a_past_whose_sums_agree_and_a_second_start_adds_none(
    start_demo: Callable[[], Demo], settings: dict[str, str]
) -> None:
    settings["DEMO_HISTORY"] = "2"
    demo = start_demo()
    assert "2 days of the past were added" in demo.process.output()
    assert "Traceback" not in demo.process.output()
    stats = demo.cli("stats")
    assert stats["hits"] > 200
    assert stats["visits"]["bounces"] > 20
    assert stats["visitors_today"] == 0
    assert demo.cli("verify")["ok"]
    demo.process.send(signal.SIGTERM)
    assert demo.process.wait() == 0
    again = start_demo()
    assert "0 days of the past were added" in again.process.output()
    assert again.cli("stats")["hits"] == stats["hits"]


def test_without_a_shop_it_says_how_to_start_one(
    send: Callable[..., tuple[int, str]], settings: dict[str, str]
) -> None:
    status, said = send()
    assert status == 1
    assert f"nothing answers at http://127.0.0.1:{settings['PORT']}: start the shop with 'make demo'" in said


@pytest.mark.parametrize("url", ["https://127.0.0.1", "http://192.0.2.1", "http://shop.example:8000/"])
def test_it_goes_nowhere_but_to_this_machine(send: Callable[..., tuple[int, str]], url: str) -> None:
    status, said = send("--url", url)
    assert status == 1
    assert "is not on this machine" in said


@pytest.mark.parametrize("words", [("--visitors", "0"), ("--minutes", "-1"), ("--visitors", "many"), ("--check", "x")])
def test_misuse_is_said_in_one_line(send: Callable[..., tuple[int, str]], words: tuple[str, ...]) -> None:
    status, said = send(*words)
    assert status == 2
    assert "error:" in said.splitlines()[-1]
