"""Everything that was counted, out of one database and into another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pathhits.app.parts import Parts


class Transferring(Parts):
    """Export and import."""

    def export_lines(self) -> Iterator[str]:
        """All that SQL has, as lines of JSON; what waits in Redis is there after a `sync`.

        It is one moment of the database, read in pieces. Keys of the API, listeners and what waits for them are left
        out. Raises `StoreUnavailable` or `NotMigrated`.
        """
        from pathhits.storage.sql.transfer import Transfer

        return Transfer(self.engine).lines()

    def import_lines(self, lines: Iterable[str]) -> tuple[int, int]:
        """Add what an export holds to what is here, each part of it once: rows taken now, and rows taken before.

        Raises a `PathHitsError`: `BadFile` for what is no export, or one of a newer version, `Twice` for one of this
        database, or of one that was imported before, as it would count the same hits again.
        """
        from pathhits.storage.sql.transfer import Transfer

        return Transfer(self.engine).take(lines)
