"""The quick way to a migrated database makes what the migrations make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from pathhits import PathHits
from pathhits.storage.sql import migrate
from pathhits.storage.sql.origins import own
from tests.replayed import migrated


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """URLs of three empty databases of a kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield [f"sqlite:///{tmp_path / name}" for name in "abc"]
        else:
            server = request.getfixturevalue(f"{request.param}_server")
            yield [stack.enter_context(server.database()) for _ in range(3)]


def _tables(engine: Engine) -> dict[str, Any]:
    """All that the database says of its tables."""
    found = inspect(engine)
    return {
        table: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)],
            found.get_pk_constraint(table)["constrained_columns"],
            sorted((one["name"] or "", one["column_names"], _options(one)) for one in found.get_indexes(table)),
            sorted(str(one["column_names"]) for one in found.get_unique_constraints(table)),
        )
        for table in found.get_table_names()
    }


def _options(index: Any) -> str:
    """Whether an index is unique, and partial."""
    return f"{index['unique']} { {name: str(value) for name, value in index.get('dialect_options', {}).items()} }"


def test_what_is_said_again_makes_the_same_tables_with_an_identity_of_their_own(urls: list[str]) -> None:
    tables, identities = [], set()
    for number, url in enumerate(urls):
        with closing(PathHits(database_url=url)) as hits:
            migrate.upgrade(hits.engine) if number == 0 else migrated(hits)
            tables.append(_tables(hits.engine))
            assert migrate.current(hits.engine) == migrate.head(hits.engine)
            with hits.engine.connect() as connection:
                identities.add(own(connection))

    assert len(tables[0]) > 20
    assert tables[1] == tables[0]
    assert tables[2] == tables[0]
    assert len(identities) == 3
