"""Client addresses: believed as far as trusted proxies wrote them, and no further."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core.clients import MAX_ENTRIES, client_address, normalise_address
from pathhits.settings import TrustedProxies

PROXY = "10.0.0.1"
NETWORKS: TrustedProxies = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
ANYTHING = st.one_of(
    st.text(max_size=40),
    st.text(' ,;="\\[]:for1.%', max_size=40),
    st.sampled_from(["1.1.1.1", "10.0.0.9", "for=1.1.1.1", 'for="1.1.1.1', 'for="a,b', "10.0.0.9, 10.0.0.8", "\\"]),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ('"192.0.2.1:8080"', "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::FFFF:192.0.2.1]:80", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:_port", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[fe80::1%25eth0]:80", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unix:", ""),
        ("/run/app.sock", ""),
        ("localhost", ""),
        ("unknown", ""),
        ("_hidden", ""),
        ("192.0.2.01", ""),
        ("192.0.2.1/64", ""),
        ("192.0.2.1:", ""),
        ("192.0.2.1:80:90", ""),
        ("[192.0.2.1", "192.0.2.1"),
        ("[::1]x", ""),
        ("1" * 5000, ""),
        ("\ud800", ""),
    ],
)
def test_an_address_has_one_form_and_other_text_has_none(text: str, expected: str) -> None:
    assert normalise_address(text) == expected


@given(st.one_of(st.ip_addresses().map(str), ANYTHING))
def test_a_canonical_address_is_its_own_canonical_form(text: str) -> None:
    assert normalise_address(normalise_address(text)) == normalise_address(text)


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_two_ipv6_addresses_of_one_64_are_one_client(network: int, host: int, neighbour: int) -> None:
    one, other = IPv6Address(network << 64 | host), IPv6Address(network << 64 | neighbour)
    assert normalise_address(str(one)) == normalise_address(str(other)) == f"{IPv6Address(network << 64)}/64"


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "198.51.100.7", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "1.1.1.1, 198.51.100.7", "198.51.100.7"),
        (2, "1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (3, "198.51.100.7,10.0.0.3 ,10.0.0.2", "198.51.100.7"),
        (2, "198.51.100.7", "198.51.100.7"),
        (32, "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (1, "1.1.1.1, garbage", "10.0.0.1"),
        (1, "1.1.1.1,", "10.0.0.1"),
        (2, "1.1.1.1,,10.0.0.2", "10.0.0.1"),
        (1, "[2001:db8::1]:443", "2001:db8::/64"),
        (1, "for=1.1.1.1, for=198.51.100.7", "198.51.100.7"),
        (1, 'proto=https;For="[2001:db8::1]:4711";by=10.0.0.1', "2001:db8::/64"),
        (2, "for=198.51.100.7;proto=http, for=10.0.0.2", "198.51.100.7"),
        (1, "for=unknown", "10.0.0.1"),
        (1, "by=10.0.0.1;proto=https", "10.0.0.1"),
        (1, "for=1.1.1.1;for=198.51.100.7", "10.0.0.1"),
        (1, "for=1.1.1.1, 198.51.100.7", "198.51.100.7"),
        (1, 'for=198.51.100.7;host="evil, for=1.1.1.1"', "198.51.100.7"),
        (1, 'for=198.51.100.7;host="a;for=1.1.1.1"', "198.51.100.7"),
        (1, 'for=198.51.100.7;host="a\\", for=1.1.1.1"', "198.51.100.7"),
        (1, 'for=198.51.100.7;host="a\\\\"', "198.51.100.7"),
        (1, 'for=198.51.100.7;host="a, for=1.1.1.1;x=\\""', "198.51.100.7"),
        (2, 'for=198.51.100.7;host="a\\", for=1.1.1.1", for="10.0.0.2"', "198.51.100.7"),
        (1, 'for="1.1.1.1, for=198.51.100.7', "198.51.100.7"),
        (1, '"', "10.0.0.1"),
    ],
)
def test_with_hops_the_client_is_what_the_outermost_trusted_proxy_wrote(
    hops: int, forwarded: str, expected: str
) -> None:
    assert client_address(PROXY, forwarded, hops) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        (PROXY, "", "10.0.0.1"),
        (PROXY, "198.51.100.7", "198.51.100.7"),
        (PROXY, "1.1.1.1, 198.51.100.7, 10.0.0.3, fd00::1", "198.51.100.7"),
        (PROXY, "1.1.1.1, 198.51.100.7, [::ffff:10.0.0.3]:80", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        (PROXY, "10.0.0.4, 10.0.0.3", "10.0.0.4"),
        (PROXY, "198.51.100.7, garbage, 10.0.0.3", "10.0.0.3"),
        (PROXY, "198.51.100.7, garbage", "10.0.0.1"),
        (PROXY, "198.51.100.7,, 10.0.0.3", "10.0.0.3"),
        (PROXY, "for=1.1.1.1, for=198.51.100.7, for=10.0.0.3", "198.51.100.7"),
        ("", "198.51.100.7", ""),
        ("unix:", "198.51.100.7", ""),
    ],
)
def test_with_networks_the_client_is_the_first_from_the_right_that_is_outside(
    peer: str, forwarded: str, expected: str
) -> None:
    assert client_address(peer, forwarded, NETWORKS) == expected


def test_behind_a_unix_socket_a_number_of_hops_finds_the_client() -> None:
    assert client_address("", "198.51.100.7", 1) == "198.51.100.7"
    assert client_address("", "", 1) == ""


@given(ANYTHING, st.ip_addresses(v=4), st.booleans(), st.integers(1, 4))
def test_what_a_client_writes_left_of_the_proxies_never_matters(
    forged: str, client: IPv4Address, rfc7239: bool, hops: int
) -> None:
    wrote = [str(client), *(f"10.0.0.{n}" for n in range(2, hops + 1))]
    written = ", ".join(f'for="{entry}:99";host="a,b"' if rfc7239 else entry for entry in wrote)

    assert client_address(PROXY, f"{forged}, {written}", hops) == str(client)
    if client not in ip_network("10.0.0.0/8"):
        assert client_address(PROXY, f"{forged}, {written}", NETWORKS) == str(client)


@given(ANYTHING, ANYTHING, st.integers(0, 3))
def test_any_header_and_peer_give_an_address_or_none(peer: str, forwarded: str, hops: int) -> None:
    for trusted in (hops, NETWORKS):
        found = client_address(peer, forwarded, trusted)
        assert found == normalise_address(found)


@pytest.mark.parametrize("piece", ["10.0.0.2,", '"",', '""', '"', '\\"', "\\", "=", ";", 'a="', "for=1;", ","])
@pytest.mark.parametrize("trusted", [32, NETWORKS])
def test_a_hostile_header_is_read_in_linear_time(piece: str, trusted: TrustedProxies) -> None:
    header = piece * (256 * 1024 // len(piece))
    began = time.process_time()
    client_address(PROXY, header, trusted)
    assert time.process_time() - began < 20.0, "it takes the square of that"


def test_the_walk_through_trusted_entries_has_an_end() -> None:
    header = ", ".join(["198.51.100.7", "10.9.9.9", *["10.0.0.2"] * (MAX_ENTRIES - 1)])
    assert client_address(PROXY, header, NETWORKS) == "10.9.9.9"
