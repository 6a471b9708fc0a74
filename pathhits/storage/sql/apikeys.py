"""The keys of the API: only their hashes are kept, so that who reads the database has none of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, cast

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from pathhits.core.labels import clean
from pathhits.errors import SettingsError
from pathhits.storage.sql import tables
from pathhits.storage.sql.transactions import explained, write

Scope = Literal["read", "write"]

#: What every key begins with, so that it is known for one where it is found; and random bytes of it.
PREFIX = "phk_"
_BYTES = 32
#: Characters of the longest key that is looked at, and of the longest name.
LONGEST = 128
NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: its name, what it may do, and when it was made."""

    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime


class ApiKeys:
    """Makes, finds and removes keys. Raises `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, scopes: tuple[Scope, ...]) -> str:
        """A new key, told this once; raises `SettingsError` for a name that is taken or none."""
        if not name or clean(name) != name or len(name) > NAME_LENGTH:
            raise SettingsError(f"{name!r}: give the key a name of at most {NAME_LENGTH} printable characters")
        key = PREFIX + secrets.token_urlsafe(_BYTES)
        row = {"name": name, "key_hash": _hash(key), "scopes": ",".join(scopes), "created_at": datetime.now(UTC)}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(tables.api_keys).values(row))
        except IntegrityError:
            raise SettingsError(f"there is a key {name} already: remove it first, or give another name") from None
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        return key

    def known(self) -> list[ApiKey]:
        """All keys, by name."""
        c = tables.api_keys.c
        return self._found(select(c.name, c.scopes, c.created_at).order_by(c.name))

    def remove(self, name: str) -> bool:
        """Forget a key; it opens nothing any more. Whether there was one."""
        c = tables.api_keys.c
        return write(
            self._engine,
            lambda connection: connection.execute(delete(tables.api_keys).where(c.name == name)).rowcount > 0,
        )

    def find(self, key: str) -> ApiKey | None:
        """What is kept of a key that somebody shows; found by its hash, so that no time tells how near a guess is."""
        if not key.startswith(PREFIX) or len(key) > LONGEST or not key.isascii():
            return None
        c = tables.api_keys.c
        return next(iter(self._found(select(c.name, c.scopes, c.created_at).where(c.key_hash == _hash(key)))), None)

    def _found(self, query: Any) -> list[ApiKey]:
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        return [ApiKey(row[0], cast("tuple[Scope, ...]", tuple(row[1].split(","))), row[2]) for row in rows]


def _hash(key: str) -> bytes:
    # 256 random bits need no slow hash.
    return sha256(key.encode()).digest()
