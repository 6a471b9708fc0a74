"""How popular items are, and where that goes: columns of the app's tables, search engines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pathhits.app.parts import Parts
from pathhits.built import built
from pathhits.core.popularity import WEIGHTS, Popularity, PopularitySink
from pathhits.core.rules import check_type
from pathhits.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pathhits.jobs.popularity import Outlet, PopularityReport

#: Characters of a sink's name, as its column holds them.
NAME_LENGTH = 64


class Popular(Parts):
    """Declares what popularity is and who wants it, and sends it there."""

    @built
    def _popularity_rules(self) -> dict[str, Popularity]:
        return {}

    @built
    def _outlets(self) -> dict[str, Outlet]:
        return {}

    def popularity_rule(
        self, item_type: str = "", *, weights: Mapping[str, float] | None = None, half_life: float | None = None
    ) -> None:
        """Say what makes items of a type ("" for all others) popular.

        ``weights`` are those of ``views`` and of counters (``{"views": 1, "likes": 5}``), by default `WEIGHTS`;
        ``half_life`` is the days after which something counts half, by default `Settings.popularity_half_life`. After
        a change run ``pathhits popularity --all``. Raises `SettingsError` for numbers that cannot be.
        """
        if item_type:
            check_type(item_type)
        usual = self.settings.popularity_half_life
        self._popularity_rules[item_type] = Popularity(
            dict(WEIGHTS if weights is None else weights), usual if half_life is None else half_life
        )

    def popularity_sink(self, sink: PopularitySink, *item_types: str) -> None:
        """Have the popularity job send items of these types, by default all, to a `PopularitySink`.

        Raises `SettingsError` for a name that cannot be or is taken.
        """
        from pathhits.jobs.popularity import Outlet

        name = sink.name
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or name != name.strip():
            raise SettingsError(f"popularity_sink: a name is at most {NAME_LENGTH} printable characters: {name!r}")
        if name in self._outlets:
            raise SettingsError(f"popularity_sink: there is a sink {name!r} already; give this one another name")
        self._outlets[name] = Outlet(sink, tuple(map(check_type, item_types)))

    def mirror_popularity(
        self, item_type: str, model: Any, *, id: Any, popularity: Any, engine: Engine | None = None, **counters: Any
    ) -> None:
        """Keep a column of the app's own table (``Product.popularity``) at the popularity of its items.

        ``id`` is the column that holds their ids, ``popularity`` a column of double precision; ``counters`` may name
        columns for ``views`` and counters (``likes=Product.like_count``). ``engine`` is for a table in another
        database than ours. Raises `SettingsError` for what is no column, or none of ``model``.
        """
        from pathhits.storage.sql.columnsink import ColumnSink
        from pathhits.storage.sql.mirrors import make

        given = {"id": id, "popularity": popularity, **counters}
        figures = {name: partial(_counter, name) for name in counters} | {"popularity": _popularity}
        mirror = make(item_type, given, engine, figures)
        if mirror.table is not getattr(model, "__table__", model):
            raise SettingsError(f"mirror_popularity({item_type!r}): the columns are not of {model!r}")
        name = f"{mirror.table.name}.{mirror.columns['popularity'].name}"[-NAME_LENGTH:]
        self.popularity_sink(ColumnSink(name, mirror, lambda: self.engine), item_type)

    def refresh_popularity(
        self, now: datetime | None = None, *, all_items: bool = False, sink: str = ""
    ) -> PopularityReport:
        """Send what changed, or ``all_items``, to the sinks, or to that one, as the job does; what each one got.

        A sink that fails is in the report, and gets the same again. Raises `StoreUnavailable` or `NotMigrated`, and
        `SettingsError` for a sink that is not declared.
        """
        from pathhits.jobs.popularity import publish
        from pathhits.storage.sql.changes import Changes, SinkStates

        if sink and sink not in self._outlets:
            raise SettingsError(
                f"there is no popularity sink {sink!r}; there are: {', '.join(self._outlets) or 'none'}"
            )
        outlets = [outlet for name, outlet in self._outlets.items() if sink in ("", name)]
        moment = None if now is None else round(now.timestamp() * 1_000_000)
        changes, states = Changes(self.engine), SinkStates(self.engine)
        return publish(outlets, changes, states, self._popularity_rule_of, all_items=all_items, now=moment)

    def _popularity_rule_of(self, item_type: str) -> Popularity:
        rules = self._popularity_rules
        usual = rules.get("") or Popularity(WEIGHTS, self.settings.popularity_half_life)
        return rules.get(item_type) or usual


def _counter(name: str, item: Any) -> int:
    return int(item.counters.get(name, 0))


def _popularity(item: Any) -> float:
    return float(item.popularity)
