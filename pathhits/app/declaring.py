"""What an app says of itself, once: its items, events, listeners, and tables that mirror figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pathhits.app.parts import Parts
from pathhits.core.hotness import Thresholds, check_thresholds
from pathhits.core.rules import Rules
from pathhits.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select

    from pathhits.events import Event

F = TypeVar("F", bound="Callable[[Event], Any]")
S = TypeVar("S", bound="Select[Any]")


class Declaring(Parts):
    """Declarations, in the module that makes the app."""

    def register_item(
        self,
        item_type: str,
        *,
        route: str = "",
        id: str | Callable[[Any], object] = "",
        rules: Rules | None = None,
        hot_at: int | None = None,
        cold_below: int | None = None,
    ) -> None:
        """Declare what is an item: a hit on ``route`` may be a view of the one that its parameter ``id`` names.

        ``route`` is a route's name or pattern as it is counted, "" for a type whose views only `track_view` counts.
        ``id`` may be a function from the request, as the framework has it, to the id, or None where there is no item;
        without a route it is asked for every GET.
        ``rules`` say which hits are views, by default all. ``hot_at`` and ``cold_below`` are by default the settings.
        Raises `SettingsError` for a type or route that is taken and for numbers that cannot be.
        """
        if bool(route) != bool(id) and not (callable(id) and not route):
            raise SettingsError(f"register_item({item_type!r}): give route and id together, or neither")
        thresholds = None
        if hot_at is not None or cold_below is not None:
            usual = self._usual_thresholds
            thresholds = check_thresholds(
                usual.hot_at if hot_at is None else hot_at, usual.cold_below if cold_below is None else cold_below
            )
        if self.items.register(item_type, route, id, rules or Rules.none(), thresholds).asks:
            self.asking.wanted = True

    def event_type(self, name: str, *, counter: str = "", value: int = 1) -> None:
        """Declare a type of events, ``product.shared``: each adds ``value`` to a counter of its item ("" for none).

        Built in for any item type: downloaded, rated, liked, unliked, watchlisted, unwatchlisted,
        recommendation_clicked, featured, updated, unfeatured. Raises `SettingsError` for what cannot be.
        """
        self.event_types.declare(name, counter, value)

    def on(self, pattern: str, *, name: str = "") -> Callable[[F], F]:
        """Declare a listener: the worker calls the function with each `Event` that matches, at least once.

        ``pattern`` is the name of an event; ``product.*``, ``*.viewed`` and ``*`` take several in. ``name``, by default
        the function's module and name, is how its deliveries are known; give one to what may be moved or renamed.
        Events that are stored before a worker, or a sync with PATHHITS_APP, has made the listener known are not its.
        Raises `SettingsError` for a pattern that can match nothing and for a name that is taken.
        """

        def declare(function: F) -> F:
            self.listeners.add(pattern, function, name)
            return function

        return declare

    def mirror(
        self,
        item_type: str,
        model: Any,
        *,
        id: Any,
        views: Any = None,
        hot: Any = None,
        visitors: Any = None,
        recent_views: Any = None,
        engine: Engine | None = None,
    ) -> None:
        """Keep columns of the app's own table (``Product.view_count``) at the figures of its items.

        ``id`` is the column that holds their ids. The items job writes them, in bulk and only where they changed, so
        PATHHITS_APP has to name the app to the worker. ``engine`` is for a table in another database than ours. Raises
        `SettingsError` for what is no column, or none of ``model``.
        """
        from pathhits.storage.sql.mirrors import make

        given = {"id": id, "views": views, "hot": hot, "visitors": visitors, "recent_views": recent_views}
        mirror = make(item_type, given, engine)
        if mirror.table is not getattr(model, "__table__", model):
            raise SettingsError(f"mirror({item_type!r}): the columns are not of {getattr(model, '__name__', model)}")
        self._mirrors.append(mirror)

    def order_by_views(self, statement: S, column: Any, item_type: str | None = None) -> S:
        """A select of the app's own rows with the most viewed first, by stored views; equals by ``column``.

        ``column`` holds the ids of items (``Product.slug``), of the type ``item_type``, by default the model's name in
        small letters. The tables of pathhits must be in the same database.
        """
        from pathhits.storage.sql.ordering import by_views

        return by_views(statement, column, item_type)

    def _thresholds(self, item_type: str) -> Thresholds:
        return self.items.thresholds(item_type) or self._usual_thresholds

    @property
    def _usual_thresholds(self) -> Thresholds:
        return Thresholds(self.settings.hot_at, self.settings.cold_below)
