"""What the SQL servers of the tests have in common: a data directory, and databases that come and go."""

from __future__ import annotations

import contextlib
import itertools
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from tests.servers.base import Server


class SqlServer(Server):
    """A server on a loopback port that lets everyone in. ``fsync=False`` is quicker and survives `kill`."""

    def __init__(self, *, fsync: bool = True) -> None:
        super().__init__()
        self.fsync = fsync
        self._numbers = itertools.count(1)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    @abstractmethod
    def url(self) -> str:
        """SQLAlchemy URL of the server's own database; tests take `fresh_database`."""

    @abstractmethod
    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of a database."""

    @abstractmethod
    def create_database(self, name: str) -> None:
        """Make a new, empty database."""

    @abstractmethod
    def drop_database(self, url: str) -> None:
        """Remove a database and end the sessions in it."""

    def fresh_database(self) -> str:
        """URL of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        self.create_database(name)
        return self.url_of(name)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """URL of a new, empty database that is gone afterwards."""
        url = self.fresh_database()
        try:
            yield url
        finally:
            if self.running:
                self.drop_database(url)
