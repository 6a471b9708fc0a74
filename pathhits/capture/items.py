"""Which routes show an item, declared once by the app: a hit there may be a view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pathhits.core.hotness import Thresholds
from pathhits.core.rules import Rules, check_type, subject
from pathhits.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ItemType:
    """One kind of item: the route that shows one ("" for none, or any), the route parameter that names it, or a
    function of the request that does, the rules of its views, and the recent views at which it is hot (None: those of
    the settings).
    """

    name: str
    route: str
    id: str | Callable[[Any], object]
    rules: Rules
    thresholds: Thresholds | None = None

    def item(self, params: Mapping[str, Any] | None) -> str | None:
        """The item that these route parameters name, as ``type:id``; None when they name none."""
        value = (params or {}).get(self.id) if isinstance(self.id, str) else None
        return None if value is None or value == "" else subject(self.name, value)

    @property
    def asks(self) -> bool:
        """Whether the app has to be asked for the id while the request is there."""
        return not isinstance(self.id, str)

    def is_like(self, other: ItemType) -> bool:
        """Whether it is the same declaration: a factory that runs again makes its functions anew."""
        return replace(self, id=_code(self.id)) == replace(other, id=_code(other.id))


class Items:
    """The item types of one app."""

    def __init__(self) -> None:
        self._by_name: dict[str, ItemType] = {}
        #: By the name or pattern of a route; while there are none, no exchange has to keep its parameters.
        self.by_route: dict[str, ItemType] = {}
        self._anywhere: tuple[ItemType, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_route or self._anywhere)

    def __getitem__(self, name: str) -> ItemType:
        return self._by_name[name]

    def __iter__(self) -> Any:
        return iter(self._by_name.values())

    def register(
        self,
        name: str,
        route: str,
        id: str | Callable[[Any], object],
        rules: Rules,
        thresholds: Thresholds | None = None,
    ) -> ItemType:
        """Declare a type; raises `SettingsError` for a name or route that is taken by another declaration."""
        added = ItemType(check_type(name), route, id, rules, thresholds)
        given: list[tuple[object, type]] = [(route, str), (rules, Rules), ("" if callable(id) else id, str)]
        if not all(isinstance(value, wanted) for value, wanted in given):
            raise SettingsError(
                f"register_item({name!r}): give route as text, id as text or a function, and rules as Rules"
            )
        for known in (self._by_name.get(name), self.by_route.get(route) if route else None):
            if known is not None and not known.is_like(added):
                raise SettingsError(
                    f"register_item({name!r}): {known.name!r} on route {known.route!r} is there already"
                )
        self._by_name[name] = added
        if route:
            self.by_route[route] = added
        self._anywhere = tuple(one for one in self._by_name.values() if one.asks and not one.route)
        return added

    @property
    def names(self) -> Collection[str]:
        """The types that are declared."""
        return self._by_name.keys()

    def on_route(self, name: str | None, pattern: str | None) -> ItemType | None:
        """The type whose items are shown on the route of this name or pattern."""
        return self.by_route.get(name or "") or self.by_route.get(pattern or "")

    def shown(self, name: str | None, pattern: str | None) -> tuple[ItemType, ...]:
        """The types of which a page of this route may show an item: the route's own, else those that have none."""
        here = self.on_route(name, pattern)
        return self._anywhere if here is None else (here,)

    def rules(self, name: str) -> Rules:
        """The rules of a type; of one that was not declared, none."""
        known = self._by_name.get(name)
        return known.rules if known else Rules.none()

    def thresholds(self, name: str) -> Thresholds | None:
        """When an item of the type is hot; None when that was not declared."""
        known = self._by_name.get(name)
        return known.thresholds if known else None


def _code(function: Any) -> Any:
    return getattr(function, "__code__", function)
