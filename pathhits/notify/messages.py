"""What is said of an event: a subject and a text for people, JSON for programs. Nothing in it is about a visitor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pathhits.core.hotness import RECENT_DAYS
from pathhits.events import Event

#: Characters of the longest subject, and of a property's value in a text.
SUBJECT_LENGTH = 150
VALUE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class News:
    """An event as it is told: without visitor, user, agent and referrer. ``moment`` is aware."""

    id: str
    name: str
    item_type: str
    item_id: str
    properties: Mapping[str, Any]
    moment: datetime

    @classmethod
    def of(cls, event: Event) -> News:
        """What is told of an event."""
        return cls(event.id, event.name, event.item_type, event.item_id, event.properties, event.moment)

    def as_dict(self) -> dict[str, Any]:
        """For the queue: plain JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "item_type": self.item_type,
            "item_id": self.item_id,
            "properties": dict(self.properties),
            "moment": self.moment.isoformat(),
        }

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> News:
        """What `as_dict` made."""
        return cls(**{**found, "moment": datetime.fromisoformat(found["moment"])})

    def payload(self) -> dict[str, Any]:
        """What a webhook carries."""
        data = {"item_type": self.item_type, "item_id": self.item_id, "properties": dict(self.properties)}
        moment = self.moment.astimezone(UTC).isoformat(timespec="milliseconds")
        return {"type": self.name, "timestamp": moment, "id": self.id, "subject": self.subject(), "data": data}

    def subject(self) -> str:
        """One line, whatever an item is called."""
        verb = self.name.partition(".")[2]
        said = _SAID.get(self.name) or _SAID.get(f"*.{verb}") or _plainly
        return one_line(said(self), SUBJECT_LENGTH)

    def text(self) -> str:
        """The subject, then all that is known of the event, a line each."""
        lines = [self.subject(), "", f"event: {self.name}"]
        if self.item_type:
            lines.append(f"item: {one_line(self.item_type, 64)} {one_line(self.item_id, VALUE_LENGTH)}")
        lines += (f"{one_line(key, 64)}: {_value(value)}" for key, value in self.properties.items())
        moment = self.moment.astimezone(UTC)
        return "\n".join([*lines, f"when: {moment:%Y-%m-%d %H:%M:%S} UTC", f"id: {self.id}", ""])


def one_line(text: str, length: int) -> str:
    """A text that cannot begin a line, and so no header: what is not printable becomes a space."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _value(value: Any) -> str:
    """A text as it is, anything else as JSON, which people outside of Python read as well."""
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), VALUE_LENGTH)


def _item(news: News) -> str:
    return f"{news.item_type} {news.item_id}"


def _plainly(news: News) -> str:
    return f"{_item(news)}: {news.name}" if news.item_id else news.name


def _views(news: News) -> str:
    return f"{news.properties.get('recent_views', '?')} views in the last {RECENT_DAYS} days"


def _hits(news: News) -> str:
    get = news.properties.get
    return f"{get('hits', '?')} hits in the hour from {get('hour', '?')}, usual are {get('usual', '?')}"


#: The subjects of what pathhits tells by itself.
_SAID: dict[str, Callable[[News], str]] = {
    "*.updated": lambda news: f"{_item(news)} was changed",
    "*.featured": lambda news: f"{_item(news)} is featured",
    "*.unfeatured": lambda news: f"{_item(news)} is no longer featured",
    "*.became_hot": lambda news: f"{_item(news)} became hot: {_views(news)}",
    "*.cooled": lambda news: f"{_item(news)} cooled: {_views(news)}",
    "site.traffic_spiked": lambda news: f"Traffic spiked: {_hits(news)}",
    "site.fell_silent": lambda news: f"The site fell silent: {_hits(news)}",
    "site.job_failing": lambda news: (
        f"The job {news.properties.get('job', '?')} failed {news.properties.get('failures', '?')} times in a row"
    ),
    "site.tested": lambda news: "This is a test of the notifications",
}
