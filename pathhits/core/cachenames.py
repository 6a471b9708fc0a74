"""Names of what is cached, made of a template and values: ``product:{slug}``."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote

from pathhits.errors import SettingsError


def fields_of(template: str) -> tuple[str, ...]:
    """The names between braces; raises `SettingsError` for anything there that is no plain name."""
    try:
        parts = [(field, spec, how) for _, field, spec, how in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise SettingsError(f"cache name {template!r}: {error}") from None
    for field, spec, how in parts:
        if not field.isidentifier() or spec or how:
            raise SettingsError(f"cache name {template!r}: give plain names between braces, such as product:{{slug}}")
    if not template:
        raise SettingsError("a cache name must not be empty")
    return tuple(field for field, _, _ in parts)


def fill(template: str, values: Mapping[str, Any]) -> str | None:
    """The template with its names replaced, None where one has no value.

    Each value is quoted as in a URL, so that ``a:b`` and ``c`` never make the name that ``a`` and ``b:c`` do.
    """
    wanted = fields_of(template)
    if any(values.get(name) is None for name in wanted):
        return None
    return template.format_map({name: quote(str(values[name]), safe="") for name in wanted})
