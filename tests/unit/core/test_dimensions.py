"""What a request says of where it came from and with what is read into few clean values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core import dimensions
from pathhits.core.agents import Agent, read_agent
from pathhits.core.campaigns import MAX_PARAMETERS, campaign
from pathhits.core.dimensions import KINDS, MAX_VALUE, Trait
from pathhits.core.languages import language
from pathhits.core.referrers import bare, source
from pathhits.hits import OTHER, Delta
from pathhits.settings import DIMENSIONS

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", ("Firefox", "Linux", "desktop")),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", ("Chrome", "Windows", "desktop")),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/126.0.0.0",
            ("Edge", "Windows", "desktop"),
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/17.5 Safari/605.1.15",
            ("Safari", "macOS", "desktop"),
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1",
            ("Safari", "iOS", "mobile"),
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT} CriOS/126.0.6478.54 Mobile/15E148 "
            "Safari/604.1",
            ("Chrome", "iOS", "mobile"),
        ),
        (
            f"Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) {WEBKIT} Version/16.5 Mobile/15E148 Safari/604.1",
            ("Safari", "iOS", "tablet"),
        ),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36", ("Chrome", "Android", "mobile")),
        (f"Mozilla/5.0 (Linux; Android 13; SM-X900) {CHROME} Safari/537.36", ("Chrome", "Android", "tablet")),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0",
            ("Firefox", "Android", "mobile"),
        ),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", ("Chrome", "Chrome OS", "desktop")),
        (
            f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) {CHROME}/6.0 TV Safari/537.36",
            ("Chrome", "Tizen", "other"),
        ),
        ("Werkzeug/3.1", ("(unknown)", "(unknown)", "other")),
        ("", ("(unknown)", "(unknown)", "other")),
    ],
)
def test_what_a_user_agent_says(user_agent: str, expected: tuple[str, str, str]) -> None:
    assert read_agent(user_agent) == Agent(*expected)


@given(st.text(max_size=1000))
def test_any_user_agent_says_something(user_agent: str) -> None:
    assert all(read_agent(user_agent))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ("", "", "")),
        ("q=utm_source", ("", "", "")),
        ("utm_source=mail&utm_medium=email&utm_campaign=spring", ("mail", "email", "spring")),
        ("a=1&utm_source=a&utm_source=b", ("a", "", "")),
        ("utm_source=+a%20b+", ("a b", "", "")),
        ("utm_source=&utm_medium=x", ("", "x", "")),
        ("utm_campaign=Fr%C3%BChling", ("", "", "Frühling")),
        ("utm_campaign=Frühling".encode().decode("latin-1"), ("", "", "Frühling")),
        ("utm_source=a%00b%1Fc", ("a%00b%1Fc", "", "")),
        ("utm_source=" + "x" * 10_000, ("x" * MAX_VALUE, "", "")),
        ("utm_source=a" + "&b" * MAX_PARAMETERS, ("", "", "")),
    ],
)
def test_the_campaign_of_a_query_string(query: str, expected: tuple[str, str, str]) -> None:
    assert campaign(query) == expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("EN", "en"),
        (" fil ;q=1", "fil"),
        ("zh-Hant-TW", "zh"),
        ("*", "(unknown)"),
        ("", "(unknown)"),
        ("<script>", "(unknown)"),
        ("english", "(unknown)"),
        ("de\x00", "(unknown)"),
    ],
)
def test_the_language_asked_for_first(accepted: str, expected: str) -> None:
    assert language(accepted) == expected


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("", "(direct)"),
        ("https://www.Example.org/a?secret=1", "example.org"),
        ("https://news.example.org:8443/", "news.example.org"),
        ("http://shop.test/cart", "(internal)"),
        ("http://www.shop.test/", "(internal)"),
        ("http://WWW.SHOP.TEST./", "(internal)"),
        ("http://notshop.test/", "notshop.test"),
        ("http://192.0.2.1/", "(unknown)"),
        ("http://[::1]/", "(unknown)"),
        ("nonsense", "(unknown)"),
        ("http://[", "(unknown)"),
        ("android-app://com.example.reader/", "com.example.reader"),
    ],
)
def test_where_a_hit_came_from(referrer: str, expected: str) -> None:
    assert source(referrer, {bare("www.shop.test:8000")}) == expected


@pytest.mark.parametrize("host", ["192.0.2.1:8000", "[2001:db8::1]:8000", "localhost"])
def test_a_site_that_is_visited_by_its_address_knows_its_own_pages(host: str) -> None:
    assert source(f"http://{host}/cart", {bare(host)}) == "(internal)"
    assert source("http://192.0.2.7/", {bare(host)}) == "(unknown)"
    assert source("", {bare(host)}) == "(direct)"
    assert source("http://", {"", bare(host)}) == "(unknown)"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("www.shop.test:80", "shop.test"), ("www.test", "www.test"), ("[::1]:8000", "[::1]"), ("", ""), ("A.b.", "a.b")],
)
def test_a_host_without_what_sites_have_or_not(host: str, expected: str) -> None:
    assert bare(host) == expected


def test_the_kinds_of_traits_are_made_of_all_dimensions_once() -> None:
    assert sorted(name for names in KINDS.values() for name in names) == sorted(DIMENSIONS)


def test_the_numbers_of_dimensions_in_sql_never_change() -> None:
    known = ("referrer", "utm_source", "utm_medium", "utm_campaign", "browser", "system", "device", "language")
    assert DIMENSIONS[:9] == (*known, "country")


_values = st.text(max_size=150).map(dimensions.clean)


@given(st.sampled_from(sorted(KINDS)), st.lists(_values, min_size=3, max_size=3), st.integers(0, 10**6))
def test_a_trait_says_the_same_after_its_journey(kind: str, values: list[str], hour: int) -> None:
    named = tuple(zip(KINDS[kind], values, strict=False))
    delta = Trait.of(kind, [value for _, value in named]).delta(hour, "a label")
    assert delta.is_trait
    assert Delta.parse(delta.field().encode()) == delta
    assert dimensions.split(delta) == ("a label", tuple(pair for pair in named if pair[1]))
    other = Trait.of(kind, [value for _, value in named]).other().delta(hour, "a label")
    assert dimensions.split(other)[1] == tuple((name, OTHER) for name in KINDS[kind])


@pytest.mark.parametrize(
    "field", ["1:agent:a\x1fFirefox", "1:colour:a\x1fblue", "1:language:a\x1fde\x1fen", "1:language:a\x1f\x00"]
)
def test_what_is_no_trait_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        dimensions.split(Delta.parse(field.encode()))


def test_a_dimension_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'colour' is no dimension; they are referrer"):
        dimensions.number_of("colour")
