"""A mixin for SQLAlchemy models whose rows are items: ``story.view_count()``."""

from __future__ import annotations

import sys
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar

from pathhits.errors import SettingsError

if TYPE_CHECKING:
    from pathhits.app import PathHits
    from pathhits.core.counts import Count
    from pathhits.core.itemstats import ItemStats


class ViewCounted:
    """Gives the rows of a model their counts, as `PathHits.view_count` reads them: in time, and never raising.

    ``__item_type__`` is the type, by default the model's name in small letters; ``__item_id__`` the attribute that
    holds the id; ``__pathhits__`` the PathHits to ask, by default the one of the Flask app that is at work. Without
    either, each call raises `SettingsError`. So does a model with a column that is named as one of these methods.
    """

    __item_type__: ClassVar[str] = ""
    __item_id__: ClassVar[str] = "id"
    __pathhits__: ClassVar[PathHits | None] = None

    def __init_subclass__(cls, **more: Any) -> None:
        for name in ("view_count", "item_stats"):
            # A column may be told by its annotation alone, which is mapped later.
            if name in get_annotations(cls) or not callable(getattr(cls, name)):
                raise SettingsError(
                    f"{cls.__name__}.{name} hides ViewCounted.{name}(): give the attribute another name, such as "
                    f'views = mapped_column("{name}"), or do without ViewCounted and ask hits.{name}()'
                )
        super().__init_subclass__(**more)

    def view_count(self) -> Count:
        """All views of this row, stored + pending."""
        return _pathhits_of(self).view_count(*_item(self))

    def item_stats(self) -> ItemStats:
        """All that is known of this row as an item."""
        return _pathhits_of(self).item_stats(*_item(self))


def _item(row: ViewCounted) -> tuple[str, object]:
    return row.__item_type__ or type(row).__name__.lower(), getattr(row, row.__item_id__)


def _pathhits_of(row: ViewCounted) -> PathHits:
    found = row.__pathhits__
    if found is None and "flask" in sys.modules and sys.modules["flask"].has_app_context():
        found = sys.modules["flask"].current_app.extensions.get("pathhits")
    if found is None:
        raise SettingsError(f"{type(row).__name__}.__pathhits__ is not set: name your PathHits object there")
    return found
