"""What pages show is what the API says, whatever they are narrowed to; a view that cannot be is a page that says so."""

from __future__ import annotations

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from pathhits import PathHits
from pathhits.dashboard.shown import duration
from pathhits.hits import HITS, VIEWS, Batch, Delta
from pathhits.storage.sql import tables
from tests.integration.dashboard.filling import fill
from tests.integration.dashboard.reader import PASSWORD, Reader

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
HOSTILE = "<script>alert('1')</script>"


@pytest.fixture
def reader(redis_url: str, sqlite_url: str) -> Iterator[Reader]:
    hits = PathHits(
        redis_url=redis_url,
        database_url=sqlite_url,
        dashboard_password=PASSWORD,
        flush_interval=3600,
    )
    hits.migrate()
    app = Flask("shop")
    app.add_url_rule("/", "home", lambda: "home")
    hits.init_app(app, dashboard="/_pathhits")
    fill(
        hits,
        time.time(),
        days=3,
        paths=["home", "about", HOSTILE, *map(str, range(80))],
        items=["product:jug"],
        daily=2_000,
    )
    hits.sync(force=True)
    reader = Reader(app)
    for number in range(7):
        headers = {"User-Agent": BROWSER, "Referer": f"https://{'news' if number % 2 else 'wiki'}.example/x"}
        reader.client.get("/?utm_source=mail", headers=headers)
    for query, found in (("jug", 3), ("jug", 3), (HOSTILE, 0)):
        hits.track_search(query, result_count=found, user_agent=BROWSER)
    assert hits.flush()
    hits.sync(force=True)
    reader.client.get("/", headers={"User-Agent": BROWSER})
    assert hits.flush()
    reader.log_in()
    yield reader
    hits.close(1.0)


def figures(page: str) -> dict[str, str]:
    """The figures of a page, in full."""
    found = re.findall(r'meaning#(\w+)">.*?<span class="sr">([^ ]*) ', page, re.DOTALL)
    return dict(found)


def rows(page: str, heading: str) -> list[tuple[str, str]]:
    """The rows of the list with that caption."""
    table = page.partition(f'<caption class="sr">{heading}</caption>')[2].partition("</table>")[0]
    names = re.findall(r'<span class="text">(.*?)</span></td>', table, re.DOTALL)
    amounts = re.findall(r'<td class="n">(.*?)</td>', table, re.DOTALL)
    names = [re.sub(r'<span class="ends".*?</span></span>', "", name, flags=re.DOTALL) for name in names]
    plain = [unescape(re.sub(r"<[^>]*>", "", name)).strip() for name in names]
    return list(zip(plain, amounts, strict=True))


def api(reader: Reader, path: str) -> Any:
    """What the API says."""
    answer = reader.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.mark.parametrize("narrow", ["", "&path=home", "&browser=Firefox", "&referrer=news.example"])
@pytest.mark.parametrize("range_", ["7d", "today", "30d"])
def test_figures_and_paths_are_those_of_the_api(reader: Reader, range_: str, narrow: str) -> None:
    page = reader.get(f"/?range={range_}{narrow}")
    assert page.status_code == 200
    said = api(reader, f"summary?range={range_}{narrow}")["figures"]
    shown = figures(page.text)
    assert shown["hits"] == f"{said['hits']:,}"
    for name in ("visitors", "visits"):
        if name in shown and said[name] is not None:
            assert shown[name] == f"{said[name]:,}"
    listed = api(reader, f"paths?range={range_}{narrow}")["rows"]
    assert rows(page.text, "Paths") == [(row["path"], f"{row['hits']:,}") for row in listed]


@pytest.mark.parametrize(
    ("heading", "dimension"), [("Sources", "referrer"), ("Campaign sources", "utm_source"), ("Browsers", "browser")]
)
def test_values_are_those_of_the_api_on_the_card_and_on_their_page(
    reader: Reader, heading: str, dimension: str
) -> None:
    for narrow in ("", "&path=home"):
        said = rows(reader.get(f"/?range=7d{narrow}").text, heading)
        assert said
        assert rows(reader.get(f"/values?of={dimension}&range=7d{narrow}").text, heading) == said
    assert ("mail", "7") in said or dimension != "utm_source"
    assert ("news.example", "3") in said or dimension != "referrer"


def test_the_page_of_a_path_has_sources_of_its_own_and_a_click_leads_to_the_overview(reader: Reader) -> None:
    page = reader.get("/path?path=home&range=7d").text
    for heading, dimension in (("Sources", "referrer"), ("Campaign sources", "utm_source"), ("Browsers", "browser")):
        listed = api(reader, f"values?of={dimension}&path=home&range=7d")["rows"]
        assert rows(page, heading) == [(row["value"], f"{row['hits']:,}") for row in listed]
        assert listed
    assert 'href="/_pathhits/?range=7d&amp;tz=UTC&amp;referrer=news.example"' in page
    assert "Sources" not in reader.get("/path?path=nobody-was-here&range=7d").text


def test_values_of_a_path_say_so_and_the_chip_leads_to_those_of_all(reader: Reader) -> None:
    page = reader.get("/values?of=referrer&path=home&range=7d").text
    assert re.search(r'class="chip" href="/_pathhits/values\?range=7d&amp;tz=UTC&amp;of=referrer".*home', page)
    assert 'class="chip"' not in reader.get("/values?of=referrer&range=7d").text
    everything = rows(reader.get("/values?of=browser&range=7d").text, "Browsers")
    assert rows(reader.get("/values?of=browser&range=7d&system=Linux").text, "Browsers") == everything


def test_where_hits_are_and_no_visitor_of_their_day_no_number_is_made_up(reader: Reader) -> None:
    hits = reader.client.application.extensions["pathhits"]  # type: ignore[attr-defined]
    hits.pending.add(Batch("shy", 1, "shy", Counter({Delta(int(time.time() // 3600), HITS, "shy"): 3}), {}), "")
    page = reader.get("/?path=shy&range=7d&tz=UTC").text
    assert figures(page)["hits"] == "3"
    assert figures(page)["visitors"] == "–"
    assert "none counted by UTC day" in page


def test_the_time_of_visits_is_told_with_and_without_bounces(reader: Reader) -> None:
    said = api(reader, "summary?range=7d")["figures"]
    assert said["average_duration_without_bounces"] > said["average_duration"] > 0
    page = reader.get("/?range=7d").text
    assert figures(page)["average_duration"] == duration(said["average_duration"]).split()[0]
    assert f"{duration(said['average_duration_without_bounces'])} without bounces" in page
    assert "without bounces" not in reader.get("/?range=7d&path=home").text


@pytest.mark.parametrize(("hot", "words"), [(10, "as a list"), (12, "all")])
def test_there_is_a_way_to_all_hot_items(reader: Reader, hot: int, words: str) -> None:
    hits = reader.client.application.extensions["pathhits"]  # type: ignore[attr-defined]
    views = {Delta(int(time.time() // 3600), VIEWS, f"product:p{n:02d}"): 99 - n for n in range(hot)}
    hits.pending.add(Batch("hot", 1, "hot", views, {}), "")
    hits.sync(force=True)
    now = round(time.time() * 1000)
    with hits.engine.begin() as connection:
        ids = tables.items.c.item.like("product:p%")
        values = {"is_hot": 1, "recent_views": tables.items.c.view_count, "recent_at": now}
        connection.execute(update(tables.items).where(ids).values(values))
    [(_, *told)] = csvs(reader, "/hot").values()
    assert [row[:2] for row in told] == [["product", f"p{n:02d}"] for n in range(hot)]
    page = reader.get("/?range=7d").text
    assert [name for name, _ in rows(page, "Hot now")] == [f"p{n:02d}hot" for n in range(10)]
    card = page.partition('<caption class="sr">Hot now</caption>')[2].partition("</section>")[0]
    assert re.findall(r'href="/_pathhits/hot">(.*?)</a>', card) == [words]


@pytest.mark.parametrize("start", ["/?range=7d", "/path?path=home&range=7d"])
def test_every_list_on_a_card_leads_to_its_page_which_has_it_as_csv(reader: Reader, start: str) -> None:
    hits = reader.client.application.extensions["pathhits"]  # type: ignore[attr-defined]
    hits.register_item("product", route="home", id="slug")
    page = reader.get(start).text
    tables = re.split(r'<caption class="sr">', page.partition('id="cards"')[2])[1:]
    assert len(tables) > 4
    for table in tables:
        [(url, words)] = re.findall(r'<p class="all"><a href="/_pathhits([^"]*)">(.*?)</a>', table)
        heading = table.partition("<")[0]
        [(_, *told)] = csvs(reader, unescape(url)).values()
        shown = rows(page, heading)
        assert words == ("as a list" if len(told) == len(shown) else f"all {len(told):,}"), heading
        assert [name for name, _ in shown] == [row[heading == "Items"] for row in told][: len(shown)]


def csvs(reader: Reader, path: str) -> dict[str, list[list[str]]]:
    """Every table as CSV to which a page links, by the name of its link."""
    page = reader.get(path)
    assert page.status_code == 200, page.text
    found = {}
    for url, name in re.findall(r'<a href="([^"]*)" aria-label="([^"]*) as CSV">', page.text):
        answer = reader.client.get(unescape(url))
        assert (answer.status_code, answer.mimetype) == (200, "text/csv"), answer.text
        found[name] = list(csv.reader(io.StringIO(answer.text)))
    return found


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/paths?range=7d", "Paths"),
        ("/paths?range=7d&search=a", "Paths"),
        ("/values?of=referrer&range=7d&path=home", "Sources"),
        ("/values?of=browser&range=today&sort=name", "Browsers"),
        ("/searches?range=7d", "Searches"),
        ("/searches?range=7d&failed=1", "Found nothing"),
    ],
)
def test_a_list_is_there_as_csv(reader: Reader, path: str, heading: str) -> None:
    shown = rows(reader.get(path).text, heading)
    assert shown
    [(name, (_, *told))] = csvs(reader, path).items()
    assert name == heading
    assert [(row[0], f"{int(row[1]):,}") for row in told][: len(shown)] == shown


def test_the_page_of_a_list_is_among_the_rows_of_its_csv(reader: Reader) -> None:
    shown = rows(reader.get("/paths?range=7d&page=2").text, "Paths")
    [(_, *told)] = csvs(reader, "/paths?range=7d&page=2").values()
    assert [row[0] for row in told][50:] == [name for name, _ in shown]


def test_every_table_is_there_as_csv(reader: Reader) -> None:
    hits = reader.client.application.extensions["pathhits"]  # type: ignore[attr-defined]
    for n in range(2):
        hits.track("product.liked", "jug", key=str(n), user_agent=BROWSER)
    assert hits.flush()
    hits.sync(force=True)
    names = {path: {name: table[0] for name, table in csvs(reader, path).items()} for path in ("/health", "/drops")}
    assert names["/health"].keys() == {"Checks", "Schedule", "Last syncs"}
    assert names["/health"]["Schedule"][:2] == ["id", "description"]
    assert names["/drops"] == {"Requests": ["reason", "requests"]}
    item = csvs(reader, "/item?type=product&id=jug&range=7d")
    assert ["likes", "2"] in item["Counters"]
    assert len(item["This table"]) == 8
    liked = csvs(reader, "/events?range=today&item=product:jug&name=product.liked")["Events"]
    assert [row[liked[0].index("name")] for row in liked[1:]] == ["product.liked"] * 2
    chart = csvs(reader, "/?range=today&metric=visitors")["This table"]
    assert len(chart) == 2
    assert chart[1][chart[0].index("visitors")] == figures(reader.get("/?range=today").text)["visitors"]
    assert [row[0] for row in csvs(reader, "/items?range=7d&type=product")["Items"]] == ["item_type", "product"]


def test_searches_and_those_in_vain(reader: Reader) -> None:
    page = reader.get("/?range=7d").text
    assert rows(page, "Searches") == [("jug", "2")]
    assert rows(page, "Found nothing") == [(HOSTILE, "1")]
    assert rows(reader.get("/searches?range=7d&failed=1").text, "Found nothing") == [(HOSTILE, "1")]


def test_searches_are_searched_and_ordered_by_name_like_every_list(reader: Reader) -> None:
    hits = reader.client.application.extensions["pathhits"]  # type: ignore[attr-defined]
    for query in ("blue jug", "a bowl_", "100% wool"):
        hits.track_search(query, result_count=1, user_agent=BROWSER)
    assert hits.flush()
    hits.sync(force=True)

    def names(asked: str) -> list[str]:
        shown = [name for name, _ in rows(reader.get(f"/searches?range=7d{asked}").text, "Searches")]
        assert shown == [row["query"] for row in api(reader, f"searches?range=7d&limit=50{asked}")["rows"]]
        return shown

    assert names("") == ["jug", "100% wool", "a bowl_", "blue jug"]
    assert names("&sort=name") == ["100% wool", "a bowl_", "blue jug", "jug"]
    assert names("&search=%20JUG") == ["jug", "blue jug"]
    assert (names("&search=%25"), names("&search=_"), names("&search=zebra")) == (["100% wool"], ["a bowl_"], [])
    assert "Nothing contains" in reader.get("/searches?range=7d&search=zebra").text


def test_a_list_is_searched_and_paged(reader: Reader) -> None:
    first = rows(reader.get("/paths?range=7d&sort=name").text, "Paths")
    second = rows(reader.get("/paths?range=7d&sort=name&page=2").text, "Paths")
    assert len(first) == 50
    assert second
    assert not set(first) & set(second)
    assert [name for name, _ in first + second] == sorted(name for name, _ in first + second)
    found = rows(reader.get("/paths?range=7d&search=script").text, "Paths")
    assert [name for name, _ in found] == [HOSTILE]
    assert "Nothing contains" in reader.get("/paths?search=zebra").text


@pytest.mark.parametrize(
    "path",
    [
        "/?range=never", "/?tz=Nowhere", "/?since=x", "/?path=a&browser=b", "/?by=hour&browser=x", "/path", "/item",
        "/item?type=A%20B&id=1", "/values", "/values?of=x", "/paths?page=0", "/searches?page=9999", "/?limit=x",
        "/events?range=%00",
    ],
)  # fmt: skip
def test_a_view_that_cannot_be_says_what_is_wrong(reader: Reader, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 400
    assert "cannot be shown" in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/paths", "/items", "/hot", "/events", "/drops", "/health", "/searches", "/meaning", "/path?path=x"]
)
def test_nothing_of_a_page_is_inline_or_from_elsewhere(reader: Reader, path: str) -> None:
    page = reader.get(path)
    assert page.status_code == 200
    assert HOSTILE not in page.text
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|<style", page.text)
    assert all(link.startswith(("/", "#")) for link in re.findall(r'(?:src|href|action)="([^"]*)"', page.text))
