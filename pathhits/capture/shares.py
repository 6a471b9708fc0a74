"""How many distinct words a day may bring: what comes after its share counts under `OTHER`."""

from __future__ import annotations

#: UTC days for which distinct words are remembered: today, and yesterday for what comes late.
DAYS_REMEMBERED = 2


class Shares:
    """The distinct words of each of the last days, at most ``most`` a day."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[int, set[str]] = {}

    @property
    def days(self) -> list[int]:
        """The days that are remembered."""
        return sorted(self._known)

    def admit(self, day: int, word: str) -> bool:
        """Whether the word is among the share of its UTC day (since 1970), which it joins if there is room."""
        known = self._known.get(day)
        if known is None:
            known = self._known[day] = set()
            for old in sorted(self._known)[:-DAYS_REMEMBERED]:
                del self._known[old]
        if word not in known:
            if len(known) >= self._most:
                return False
            known.add(word)
        return True
