"""Labels: one canonical, storable form; one spelling for each path."""

from __future__ import annotations

import fnmatch
from hashlib import sha256
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pathhits.core import labels

# Every code point, lone surrogates too, and texts around the longest label.
ANY_TEXT = st.one_of(
    st.text(st.characters(codec=None)),
    st.text(st.sampled_from("\x00\x1f\x7f\x85\ud800\udc80\udcff\U0001f600é/%a"), max_size=40),
    st.integers(250, 260).map(lambda n: "a" * n),
    st.integers(80, 90).map(lambda n: "\x00" * n),
)
GLOBS = st.lists(st.text("ab*?[].!", max_size=5), max_size=4).map(tuple)


@given(ANY_TEXT)
def test_a_clean_label_is_short_storable_and_its_own_clean_form(text: str) -> None:
    label = labels.clean(text)

    assert 1 <= len(label) <= labels.MAX_LABEL
    assert label.encode("utf-8")
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in label)
    assert labels.clean(label) == label


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=labels.MAX_LABEL))
def test_a_printable_label_stays_as_it_is(text: str) -> None:
    assert labels.clean(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "(empty)"),
        ("/a\x00b", "/a%00b"),
        ("\n\x1f\x7f", "%0A%1F%7F"),
        ("\x85", "%C2%85"),
        (b"/\xff\xc3".decode("utf-8", "surrogateescape"), "/%FF%C3"),
        ("\ud800", "%ED%A0%80"),
        ("/t ", "/t "),
        ("\U0001f600", "\U0001f600"),
        ("100%", "100%"),
    ],
)
def test_what_no_database_stores_is_percent_encoded(text: str, expected: str) -> None:
    assert labels.clean(text) == expected


def test_a_label_of_255_characters_is_kept_and_one_more_is_shortened_to_255() -> None:
    assert labels.clean("é" * 255) == "é" * 255

    shortened = labels.clean("é" * 256)
    assert shortened == "é" * 190 + "…" + sha256(("é" * 256).encode()).hexdigest()
    assert len(shortened) == 255


@given(st.text(st.characters(codec="utf-8"), max_size=5), st.text(st.characters(codec="utf-8"), max_size=5))
def test_two_over_long_labels_stay_apart_when_their_clean_forms_differ(one: str, other: str) -> None:
    same = labels.clean(one) == labels.clean(other) or one == other
    one, other = "x" * 300 + labels.clean(one), "x" * 300 + labels.clean(other)
    assert (labels.clean(one) == labels.clean(other)) == same


@given(ANY_TEXT, ANY_TEXT)
def test_keys_are_equal_exactly_when_clean_labels_are(one: str, other: str) -> None:
    assert len(labels.key(one)) == 32
    assert labels.key(one) == labels.key(labels.clean(one))
    assert (labels.key(one) == labels.key(other)) == (labels.clean(one) == labels.clean(other))


def test_keys_tell_apart_what_collations_merge() -> None:
    spellings = ["/A", "/a", "/café", "/cafe", "/cafe\u0301", "/t", "/t ", "/\U0001f600", "/\U0001f601"]
    assert len({labels.key(spelling) for spelling in spellings}) == len(spellings)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("///", "/"),
        ("about", "/about"),
        ("/about/", "/about"),
        ("//about///us//", "/about/us"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/A", "/A"),
        ("/t ", "/t%20"),
        ("/t /", "/t%20"),
        ("/100%", "/100%25"),
        ("/%41", "/%2541"),
        ('/?#[]"<>\\^`|', "/%3F%23%5B%5D%22%3C%3E%5C%5E%60%7C"),
        ("/{int}", "/%7Bint%7D"),
        ("/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@"),
        ("/café/日本", "/café/日本"),
        ("/a\u00a0b", "/a%C2%A0b"),
        ("/a\x00", "/a%00"),
        (b"/caf\xe9".decode("utf-8", "surrogateescape"), "/caf%E9"),
    ],
)
def test_a_path_has_one_spelling(path: str, expected: str) -> None:
    assert labels.normalise_path(path) == expected


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("7", "{int}"),
        ("0042", "{int}"),
        ("9" * 40, "{int}"),
        ("-7", "-7"),
        ("7a", "7a"),
        ("3.14", "3.14"),
        ("٤٢", "٤٢"),
        ("7\n", "7%0A"),
        ("550e8400-e29b-41d4-a716-446655440000", "{uuid}"),
        ("550E8400-E29B-41D4-A716-446655440000", "{uuid}"),
        ("abcdefab-abcd-abcd-abcd-abcdefabcdef", "{uuid}"),
        ("550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-44665544000"),
        ("550e8400e29b41d4a716446655440000", "{hex}"),
        ("deadbeefdeadbee1", "{hex}"),
        ("DEADBEEFDEADBEE1", "{hex}"),
        ("deadbeefdeadbe1", "deadbeefdeadbe1"),
        ("deadbeefdeadbeef", "deadbeefdeadbeef"),
        ("1234567890123456", "{int}"),
        ("2026-11-20", "{date}"),
        ("2024-02-29", "{date}"),
        ("2026-02-29", "2026-02-29"),
        ("2026-13-01", "2026-13-01"),
        ("20261120", "{date}"),
        ("20261320", "{int}"),
        ("10000101", "{int}"),
        ("2026-11", "2026-11"),
    ],
)
def test_a_segment_that_is_a_value_becomes_its_kind(segment: str, expected: str) -> None:
    assert labels.normalise_path(f"/blog/{segment}/edit") == f"/blog/{expected}/edit"


@given(ANY_TEXT)
def test_a_normalised_path_is_a_clean_label_that_begins_with_a_slash(path: str) -> None:
    label = labels.normalise_path(path)
    assert label.startswith("/")
    assert labels.clean(label) == label


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=4))
def test_a_normalised_path_says_which_path_it_was_unless_a_segment_is_a_value(segments: list[str]) -> None:
    path = "/" + "/".join(segment.replace("/", "") + "x" for segment in segments)
    label = labels.normalise_path(path)
    assume(len(label) < labels.MAX_LABEL)  # a longer one is shortened
    assert unquote(label) == path


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_the_spelling_on_the_wire_makes_no_difference(path: str) -> None:
    wsgi = unquote(quote(path), "latin-1").encode("latin-1").decode("utf-8", "surrogateescape")
    assert labels.normalise_path(wsgi) == labels.normalise_path(path)


@pytest.mark.parametrize(
    ("name", "pattern", "prefer", "expected"),
    [
        ("shop.product", "/p/<slug>", "name", "shop.product"),
        ("shop.product", "/p/<slug>", "pattern", "/p/<slug>"),
        ("shop.product", "/p/<slug>", "path", "/p/{int}"),
        (None, "/p/<slug>", "name", "/p/<slug>"),
        ("", "/p/<slug>", "name", "/p/<slug>"),
        ("shop.product", None, "pattern", "/p/{int}"),
        (None, None, "name", "/p/{int}"),
        ("", "", "pattern", "/p/{int}"),
        ("bad\x00name", None, "name", "bad%00name"),
        (None, "/p/<a>\x00", "pattern", "/p/<a>%00"),
    ],
)
def test_a_label_is_what_is_preferred_else_the_next_of_name_pattern_and_path(
    name: str | None, pattern: str | None, prefer: str, expected: str
) -> None:
    assert labels.choose(name, pattern, "/p/42/", prefer) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "globs", "expected"),
    [
        ("static", ("static", "*.static"), True),
        ("admin.static", ("static", "*.static"), True),
        ("statics", ("static", "*.static"), False),
        ("Static", ("static",), False),
        ("/admin/users/1", ("/admin/*",), True),
        ("static\n", ("static",), False),
        ("anything", (), False),
        ("", ("*",), True),
    ],
)
def test_globs_match_whole_labels_and_case(label: str, globs: tuple[str, ...], expected: bool) -> None:
    assert labels.compile_globs(globs)(label) is expected


@given(st.text("ab.]", max_size=6), GLOBS)
def test_many_globs_match_what_one_of_them_does(label: str, globs: tuple[str, ...]) -> None:
    assert labels.compile_globs(globs)(label) == any(fnmatch.fnmatchcase(label, glob) for glob in globs)
