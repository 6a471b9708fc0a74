"""Bots and prefetches: machines are told from browsers."""

from __future__ import annotations

import pytest

from pathhits.core import bots

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "  ",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        CHROME.replace("Chrome/", "HeadlessChrome/"),
        "curl/8.11.0",
        "Wget/1.21.3",
        "python-requests/2.32.3",
        "python-httpx/0.28.1",
        "Python/3.11 aiohttp/3.11.0",
        "Python-urllib/3.11",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "axios/1.7.2",
        "node",
        "undici",
        "Java/17.0.2",
        "Ruby",
        "Faraday v2.9.0",
        "GuzzleHttp/7",
        "PostmanRuntime/7.43.0",
        "Dart/3.5 (dart:io)",
        "reqwest/0.12.9",
        "kube-probe/1.31",
        "ELB-HealthChecker/2.0",
        "ApacheBench/2.3",
        "PycURL/7.45.2 libcurl/7.88.1",
    ],
)
def test_crawlers_and_http_libraries_are_bots(agent: str) -> None:
    assert bots.is_bot(agent)


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
        "Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80) Presto/2.12.423 Version/12.16",
        "Lynx/2.9.0 libwww-FM/2.14",
        "Werkzeug/3.1.9",
        "testclient",
        "visitor-1",
        "Hey there",
        "node browser",
        "\ud800\x00é",
    ],
)
def test_browsers_and_test_clients_are_not(agent: str) -> None:
    assert not bots.is_bot(agent)


def test_only_the_head_of_a_user_agent_is_judged_and_remembered() -> None:
    head = (CHROME * 5)[: bots.MAX_USER_AGENT]
    assert bots.is_bot(head[:-11] + " Googlebot/2.1")
    bots._verdict.cache_clear()

    assert not bots.is_bot(head + " Googlebot/2.1")
    assert not bots.is_bot(head + "x" * 100_000)
    assert bots._verdict.cache_info().currsize == 1


def test_the_memory_of_verdicts_is_bounded() -> None:
    for n in range(bots.VERDICTS + 50):
        bots._verdict(f"curl/{n}")
    assert bots._verdict.cache_info().currsize == bots.VERDICTS


@pytest.mark.parametrize(
    "values",
    [
        "prefetch",
        "Prefetch",
        "prefetch;prerender",
        "prefetch;anonymous-client-ip",
        "prerender",
        "preview",
        ",prefetch",
        "a, preview",
    ],
)
def test_a_purpose_of_fetching_ahead_is_a_prefetch(values: str) -> None:
    assert bots.is_prefetch(values)


@pytest.mark.parametrize("values", ["", ",,,", "navigate", "no-prefetch", "prefetched", "previews"])
def test_any_other_purpose_is_not(values: str) -> None:
    assert not bots.is_prefetch(values)
