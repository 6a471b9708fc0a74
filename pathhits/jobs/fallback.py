"""Takes batches into SQL while Redis is away, through the same ledger: a batch is a generation of its own."""

from __future__ import annotations

from pathhits.hits import Batch
from pathhits.jobs.sync import sort_out
from pathhits.storage.sql.ledger import Ledger

#: Tries of one transaction: the batch waits for the next flush then, and the flusher has other things to do.
TRIES = 2


class SqlSink:
    """Where a process's counts go while Redis is away. Raises `PathHitsError` where SQL does not take them either."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def check(self) -> None:
        """Ask before a batch is made for SQL, which only SQL may take from then on."""
        self._ledger.check()

    def add(self, batch: Batch) -> None:
        """Add ``batch`` once, however often it is sent."""
        fields = {delta.field().encode(): str(amount).encode() for delta, amount in batch.deltas.items()}
        entries = [f"[{','.join(batch.events)}]".encode()] if batch.events else []
        self._ledger.apply(sort_out(batch.generation, fields, entries), {})
