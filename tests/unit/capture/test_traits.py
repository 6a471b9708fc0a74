"""The traits of hits are read once, within bounds, and of nobody who does not want it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from pathhits.capture import traits as module
from pathhits.capture.guard import Guard
from pathhits.capture.places import Places, country_in
from pathhits.capture.recorder import Entry
from pathhits.capture.traits import AGENTS_A_PASS, REMEMBERED, Traits
from pathhits.core.dimensions import Trait, split
from pathhits.settings import Settings
from tests.faults.writer import BROWSER

NOON = 1_800_014_400.0
PERSON = Entry(
    NOON, "", None, None, "/", "", "192.0.2.7", "", BROWSER, False, referrer="https://example.org/", host="shop.test"
)._replace(languages="de")


@pytest.fixture
def mmdb(tmp_path: Path) -> Path:
    """A database that knows two networks."""
    writer = MMDBWriter(6, "Test-Country", ipv4_compatible=True)
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "DE"}})
    writer.insert_network(IPSet(["2001:db8::/32"]), {"registered_country": {"iso_code": "FR"}})
    path = tmp_path / "countries.mmdb"
    writer.to_db_file(str(path))
    return path


def made(**settings: Any) -> Traits:
    return Traits(Settings(**settings), Guard())


def values(found: tuple[Trait, ...]) -> dict[str, str]:
    """The values by dimension."""
    return {name: value for trait in found for name, value in split(trait.delta(1, "a"))[1]}


def test_a_hit_has_a_value_of_each_dimension_but_the_campaign_and_the_country() -> None:
    assert values(made().of(PERSON)) == {
        "referrer": "example.org",
        "browser": "Firefox",
        "system": "Linux",
        "device": "desktop",
        "language": "de",
    }
    campaign = made().of(PERSON._replace(query="utm_medium=mail"))
    assert values(campaign)["utm_medium"] == "mail"


def test_of_one_who_opted_out_nothing_is_known() -> None:
    entry = PERSON._replace(anonymous=True, query="utm_source=mail")
    assert set(values(made().of(entry)).values()) == {"(unknown)"}
    assert values(made().of(entry)).keys() == values(made().of(PERSON)).keys()


def test_only_what_the_settings_name_is_kept() -> None:
    assert values(made(dimensions="device,referrer").of(PERSON)) == {"referrer": "example.org", "device": "desktop"}
    assert made(dimensions="").of(PERSON) == ()


def test_hosts_of_ones_own_are_internal() -> None:
    assert values(made(own_hosts="www.example.org").of(PERSON))["referrer"] == "(internal)"
    assert values(made().of(PERSON._replace(host="example.org:443")))["referrer"] == "(internal)"


def test_values_past_the_share_of_a_day_are_others_and_the_next_day_begins_anew() -> None:
    traits = made(max_values=2)
    found = [
        values(traits.of(PERSON._replace(referrer=f"https://{host}.example/", moment=NOON + 86_400 * day)))["referrer"]
        for day, host in ((0, "a"), (0, "b"), (0, "c"), (0, "a"), (1, "c"), (1, "a"), (1, "b"), (0, "b"), (0, "d"))
    ]
    assert found == [
        "a.example", "b.example", "(other)", "a.example", "c.example", "a.example", "(other)", "b.example", "(other)"
    ]  # fmt: skip


def test_each_dimension_of_a_trait_has_a_share_of_its_own() -> None:
    traits = made(max_values=1)
    traits.of(PERSON)
    phone = "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0"
    found = values(traits.of(PERSON._replace(user_agent=phone)))
    assert (found["browser"], found["system"], found["device"]) == ("Firefox", "(other)", "(other)")


def test_a_user_agent_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traits, read = made(), list[str]()

    def read_agent(agent: str) -> tuple[str, str, str]:
        read.append(agent)
        return "a", "b", "c"

    monkeypatch.setattr(module, "read_agent", read_agent)
    for _ in range(3):
        traits.of(PERSON)
        traits.forget()
    assert read == [BROWSER]


def test_no_pass_reads_user_agents_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    traits = made()
    monkeypatch.setattr(module, "read_agent", lambda agent: ("a", "b", "c"))
    found = [values(traits.of(PERSON._replace(user_agent=f"{n}")))["browser"] for n in range(AGENTS_A_PASS + 5)]
    assert found == ["a"] * AGENTS_A_PASS + ["(other)"] * 5
    traits.forget()
    assert values(traits.of(PERSON._replace(user_agent=f"{AGENTS_A_PASS + 4}")))["browser"] == "a"


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    traits = made(max_values=10)
    monkeypatch.setattr(module, "read_agent", lambda agent: ("a", "b", "c"))
    for n in range(REMEMBERED + 500):
        traits.of(PERSON._replace(user_agent=f"{n}", referrer=f"https://h{n}.example/", query=f"utm_source={n}"))
        traits.forget()
    assert max(map(len, traits._known.values())) == REMEMBERED
    assert not traits._countries


def test_a_bug_of_ours_costs_the_traits_and_not_the_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    traits = made()
    monkeypatch.setattr(module, "source", lambda *args: 1 / 0)
    assert traits.of(PERSON) == ()
    assert traits._guard.failures == {"internal": 1}


# Countries.


def test_countries_are_told_by_a_database_of_the_user(mmdb: Path) -> None:
    traits = made(geoip_path=str(mmdb), trusted_proxies=1)
    found = [
        values(traits.of(PERSON._replace(peer=peer, forwarded=forwarded)))["country"]
        for peer, forwarded in (("192.0.2.7", ""), ("10.0.0.1", "2001:db8::5"), ("203.0.113.9", ""), ("unix:", ""))
    ]
    assert found == ["DE", "FR", "(unknown)", "(unknown)"]
    assert values(traits.of(PERSON._replace(anonymous=True)))["country"] == "(unknown)"
    traits.forget()
    assert not traits._countries, "an address is kept"


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_a_database_that_cannot_be_read_is_said_once_and_counts_nothing(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "countries.mmdb"
    if content is not None:
        path.write_bytes(content)
    traits = made(geoip_path=str(path))
    with caplog.at_level(logging.WARNING):
        assert [("country" in values(traits.of(PERSON))) for _ in range(3)] == [False] * 3
    [line] = caplog.messages
    assert line.startswith(f"countries are not counted: GEOIP_PATH={path} cannot be read: ")
    assert values(traits.of(PERSON))["browser"] == "Firefox"


def test_without_the_reader_the_warning_says_what_to_install(
    mmdb: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "maxminddb", None)
    assert not Places(str(mmdb)).known
    assert caplog.messages == ["countries are not counted: GEOIP_PATH needs maxminddb: pip install 'pathhits[geoip]'"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"country": {"iso_code": "de"}}, "DE"),
        ({"country": "FR"}, "FR"),
        ({"country_code": "IT"}, "IT"),
        ({"country": {}, "registered_country": {"iso_code": "AT"}}, "AT"),
        ({"country": {"iso_code": 7}}, "(unknown)"),
        ({"country": "Germany"}, "(unknown)"),
        (None, "(unknown)"),
        ("DE", "(unknown)"),
    ],
)
def test_databases_write_a_country_in_several_ways(record: object, expected: str) -> None:
    assert country_in(record) == expected
