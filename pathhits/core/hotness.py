"""When an item is hot: recent views reached one number, and it stays so until they fall below a lower one."""

from __future__ import annotations

from typing import NamedTuple

from pathhits.errors import SettingsError

#: Days that recent views are counted over, back from now, to the moment.
RECENT_DAYS = 7
#: The same in milliseconds, the unit of moments in SQL.
RECENT_MS = RECENT_DAYS * 86_400_000
#: What events are called, after the item's type and a dot: a view that counted, and an item that became hot, or cooled.
BECAME_HOT = "became_hot"
COOLED = "cooled"


class Thresholds(NamedTuple):
    """Recent views at which an item becomes hot, and below which a hot one cools."""

    hot_at: int
    cold_below: int

    def is_hot(self, recent_views: int, was_hot: bool) -> bool:
        """Whether an item with so many recent views is hot; between the two numbers it is what it was."""
        return recent_views >= self.hot_at or (was_hot and recent_views >= self.cold_below)


def check_thresholds(hot_at: int, cold_below: int) -> Thresholds:
    """The two numbers as `Thresholds`; `SettingsError` for some that cannot be meant."""
    if type(hot_at) is not int or type(cold_below) is not int or hot_at < 1 or cold_below < 0:
        raise SettingsError(f"hot_at={hot_at!r}, cold_below={cold_below!r}: give whole numbers, hot_at above 0")
    if cold_below > hot_at:
        raise SettingsError(f"cold_below={cold_below} is above hot_at={hot_at}: an item would be hot and cold at once")
    return Thresholds(hot_at, cold_below)
