"""What writers counted, in files that all processes see at once: a number is raised before its hit is counted."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Self

#: Labels of the writers; few, so that the same rows are added to all the time.
LABELS = tuple(f"/page/{chr(97 + i // 6)}{chr(97 + i % 6)}" for i in range(36))


class Cells:
    """64-bit numbers by name in a mapped file, which one process writes and others read."""

    names: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._cells = memoryview(self._map).cast("q")
        self._index = {name: i for i, name in enumerate(self.names)}

    @classmethod
    def create(cls, path: Path) -> Self:
        """A file with all numbers at 0."""
        path.write_bytes(bytes(8 * len(cls.names)))
        return cls(path)

    def __getitem__(self, name: str) -> int:
        return self._cells[self._index[name]]

    def __setitem__(self, name: str, value: int) -> None:
        self._cells[self._index[name]] = value

    def close(self) -> None:
        """Let go of the file."""
        self._cells.release()
        self._map.close()


class Truth(Cells):
    """One writer's: `stop` is set by the test, the rest by the writer; each label, and the next three names."""

    names = ("stop", "done", "requests", "bots", "resent", *LABELS)
