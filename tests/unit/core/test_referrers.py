"""Of a referrer only the host is kept, and no address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.referrers import host_of, origin, source


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://News.Example/today?q=1#top", "news.example"),
        ("https://user:secret@shop.example:8443/", "shop.example"),
        ("https://shop.example./", "shop.example"),
        ("android-app://com.example.reader/", "com.example.reader"),
        ("//shop.example/x", "shop.example"),
        ("http://localhost/", "localhost"),
        ("", ""),
        ("shop.example/x", ""),
        ("about:blank", ""),
        ("http://203.0.113.9/", ""),
        ("http://3405803785/", ""),
        ("http://0xcb.0x00.0x71.0x09/", ""),
        ("http://[2001:db8::7]:80/", ""),
        ("http://[half", ""),
        ("http://a\x00b.example/", "ab.example"),
    ],
)
def test_a_referrer_is_its_host_unless_that_is_an_address(referrer: str, host: str) -> None:
    assert host_of(referrer) == host


@given(st.text() | st.from_regex(r"https?://[^ ]*", fullmatch=True))
def test_whatever_a_client_writes_gives_a_text_that_can_be_stored(referrer: str) -> None:
    host = host_of(referrer)
    assert not host or host.isprintable()
    assert len(host.encode()) <= 255
    assert not set(host) & set("/?#@: ")


@given(
    st.text(alphabet="htp:/.?#[]@ \\\t\nab1") | st.from_regex(r"(https?:)?//[^ ]*", fullmatch=True), st.text(max_size=3)
)
def test_what_comes_after_the_host_changes_nothing(referrer: str, own: str) -> None:
    assert source(origin(referrer), {own, "a.b"}) == source(referrer, {own, "a.b"})


def test_of_a_referrer_no_path_is_looked_at() -> None:
    assert origin("https://user@shop.example:80/secret?q=1#top") == "https://user@shop.example:80"
