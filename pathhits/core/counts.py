"""A count as a reader gets it: a number that knows its parts."""

from __future__ import annotations

from typing import Self


class Count(int):
    """A number of hits with its parts; ``partial`` when Redis or SQL did not answer and its part is missing."""

    stored: int
    pending: int
    partial: bool

    def __new__(cls, stored: int, pending: int, *, partial: bool = False) -> Self:
        self = super().__new__(cls, stored + pending)
        self.stored, self.pending, self.partial = stored, pending, partial
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[int, int], dict[str, bool]]:
        # An int is copied and pickled by its number alone.
        return (self.stored, self.pending), {"partial": self.partial}
