"""What a page and the API are asked for: parameters of a URL, as one frozen `Query`; a bad one names its field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple, cast, get_args

from pathhits.core import labels
from pathhits.core.periods import By, bucket_starts, to_hour, zone
from pathhits.errors import PathHitsError
from pathhits.settings import DIMENSIONS

Range = Literal["today", "yesterday", "7d", "30d", "90d", "month", "year", "custom"]
Sort = Literal["most", "name"]

RANGES: tuple[Range, ...] = get_args(Range)
STEPS: tuple[By, ...] = get_args(By)
SORTS: tuple[Sort, ...] = get_args(Sort)
#: What a view may be narrowed to, one of them at a time.
FILTERS: tuple[str, ...] = ("path", *DIMENSIONS)
#: Every parameter there is, in the order in which a URL has them.
PARAMETERS = ("range", "since", "until", "tz", "by", "compare", *FILTERS, "search", "sort", "page", "limit")

DEFAULT_RANGE: Range = "30d"
DEFAULT_LIMIT = 10
LARGEST_LIMIT = 500
LARGEST_PAGE = 10_000
#: Characters of the longest text that is looked for, and of the longest value of any parameter.
LONGEST_SEARCH = 200
LONGEST_VALUE = 10_240
#: Steps that one series may have.
MOST_POINTS = 2_500
#: The years in which a period lies.
FIRST_YEAR, LAST_YEAR = 2000, 2099

_DAYS = {"today": 1, "yesterday": 1, "7d": 7, "30d": 30, "90d": 90}
_NUMBER = re.compile(r"[0-9]{1,6}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_YES, _NO = ("1", "true"), ("0", "false", "")


class BadParameter(PathHitsError, ValueError):
    """A parameter that cannot be meant; ``field`` is its name."""

    def __init__(self, field: str, says: str) -> None:
        super().__init__(f"{field}: {says}")
        self.field = field
        self.says = says


class Filter(NamedTuple):
    """What a view is narrowed to: ``("path", "/about")``."""

    name: str
    value: str


class Period(NamedTuple):
    """Two aware moments, the second not included."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Query:
    """One view of the counts. ``since`` and ``until`` are aware, in the zone ``tz``; ``now`` is when it was asked."""

    range: Range
    since: datetime
    until: datetime
    tz: str
    by: By
    now: datetime
    compare: bool = True
    filter: Filter | None = None
    search: str = ""
    sort: Sort = "most"
    page: int = 1
    limit: int = DEFAULT_LIMIT

    @property
    def period(self) -> Period:
        """The period asked for."""
        return Period(self.since, self.until)

    @property
    def is_running(self) -> bool:
        """Whether the period is not over yet."""
        return _instant(self.since) <= _instant(self.now) < _instant(self.until)

    @property
    def before(self) -> Period:
        """The period before: as many days, the month or the year before; whole."""
        return Period(_start_before(self), self.since)

    @property
    def where(self) -> Filter | None:
        """The dimension and the value the view is narrowed to, if it is; of these there are hits by day, no more."""
        return self.filter if self.filter is not None and self.filter.name != "path" else None

    @property
    def path(self) -> str | None:
        """The label the view is narrowed to, if it is."""
        return self.filter.value if self.filter is not None and self.filter.name == "path" else None

    def _ends(self) -> dict[str, str]:
        """Both ends as a URL has them: whole days by their dates, which are those of any zone."""
        if _is_midnight(self.since) and _is_midnight(self.until):
            last = self.until.date() - timedelta(days=1)
            return {"since": self.since.date().isoformat(), "until": last.isoformat()}
        return {"since": self.since.isoformat(), "until": self.until.isoformat()}

    def parameters(self, **changes: object) -> dict[str, str]:
        """The URL parameters of this view with some of them changed; None takes one away, defaults are left out.

        Another range, filter, search or order begins at its first page again.
        """
        given: dict[str, object] = {"range": self.range, "tz": self.tz, "by": self.by, "compare": int(self.compare)}
        if self.range == "custom":
            given |= self._ends()
        if self.filter is not None:
            given[self.filter.name] = self.filter.value
        given |= {"search": self.search, "sort": self.sort, "page": self.page, "limit": self.limit}
        if changes.keys() & FILTERS:
            given = {name: value for name, value in given.items() if name not in FILTERS}
        if changes.keys() - {"page", "by", "compare"}:
            given["page"] = 1
        if "range" in changes and changes["range"] != "custom":
            given = {name: value for name, value in given.items() if name not in ("since", "until", "by")}
        given |= changes
        # The zone is never left out: who is sent the URL sees the same days, and who chose UTC keeps it.
        usual = {"range": DEFAULT_RANGE, "compare": 1, "search": "", "sort": "most", "page": 1,
                 "limit": DEFAULT_LIMIT, "by": _usual_step(self)}  # fmt: skip
        shown = {name: str(given[name]) for name in PARAMETERS if given.get(name) is not None}
        return {name: value for name, value in shown.items() if value != str(usual.get(name))}


def read_query(
    given: Mapping[str, str], *, now: datetime | None = None, tz: str = "UTC", allowed: Collection[str] | None = None
) -> Query:
    """The query that URL parameters ask for. Raises `BadParameter`.

    ``now`` is by default the present moment, ``tz`` the zone of one who names none. Of ``allowed`` parameters only
    those are looked at, and any other is refused; without it what is unknown is left alone.
    """
    if allowed is not None:
        for name in given:
            if name not in allowed:
                raise BadParameter(name if name.isprintable() else repr(name), "there is no such parameter here")
        given = {name: value for name, value in given.items() if name in allowed}
    for name in PARAMETERS:
        _check_text(name, given.get(name, ""))
    tz = given.get("tz") or tz
    try:
        here = zone(tz)
    except ValueError as error:
        raise BadParameter("tz", str(error).partition(": ")[2] or str(error)) from None
    now = (now or datetime.now(UTC)).astimezone(here)
    chosen = _chosen_range(given)
    since, until = _custom(given, now) if chosen == "custom" else _named(chosen, now)
    query = Query(
        chosen,
        since,
        until,
        tz,
        "day",
        now,
        compare=_flag(given, "compare", usual=True),
        filter=_filter(given),
        search=given.get("search", "").strip(),
        sort=cast("Sort", _one_of(given, "sort", SORTS, "most")),
        page=_number(given, "page", 1, LARGEST_PAGE),
        limit=_number(given, "limit", DEFAULT_LIMIT, LARGEST_LIMIT),
    )
    if len(query.search) > LONGEST_SEARCH:
        raise BadParameter("search", f"at most {LONGEST_SEARCH} characters")
    return _with_step(query, given)


def _with_step(query: Query, given: Mapping[str, str]) -> Query:
    by = cast("By", _one_of(given, "by", STEPS, _usual_step(query)))
    if by == "hour" and query.where is not None:
        raise BadParameter("by", f"hits by {query.where.name} are counted by day: give day, week or month")
    try:
        points = len(bucket_starts(query.since, query.until, by, query.tz))
    except ValueError:
        points = MOST_POINTS + 1
    if points > MOST_POINTS:
        raise BadParameter("by", f"a period of more than {MOST_POINTS} {by}s: give longer steps or a shorter period")
    fields = {name: getattr(query, name) for name in Query.__slots__}
    return Query(**fields | {"by": by})


def _usual_step(query: Query) -> By:
    if query.where is not None:
        return "month" if query.range == "year" else "day" if query.until - query.since < timedelta(days=93) else "week"
    days = (_instant(query.until) - _instant(query.since)) / timedelta(days=1)
    if query.range == "year" or days > 732:
        return "month"
    return "hour" if days <= 2.1 else "day" if days <= 93 else "week"


def _chosen_range(given: Mapping[str, str]) -> Range:
    has_ends = bool(given.get("since") or given.get("until"))
    chosen = _one_of(given, "range", RANGES, "custom" if has_ends else DEFAULT_RANGE)
    if chosen != "custom" and has_ends:
        raise BadParameter("since" if given.get("since") else "until", "give range=custom with it, or no range")
    return cast("Range", chosen)


def _named(chosen: Range, now: datetime) -> Period:
    today = now.date()
    if chosen == "month":
        first = today.replace(day=1)
        return Period(_midnight(first, now), _midnight(_month_after(first), now))
    if chosen == "year":
        return Period(_midnight(date(today.year, 1, 1), now), _midnight(date(today.year + 1, 1, 1), now))
    last = today - timedelta(days=chosen == "yesterday")
    first = last - timedelta(days=_DAYS[chosen] - 1)
    return Period(_midnight(first, now), _midnight(last + timedelta(days=1), now))


def _custom(given: Mapping[str, str], now: datetime) -> Period:
    if not given.get("since"):
        raise BadParameter("since", "give the first day of the period, as 2026-01-31")
    since = _moment(given, "since", now, is_end=False)
    tomorrow = _midnight(now.date() + timedelta(days=1), now)
    until = _moment(given, "until", now, is_end=True) if given.get("until") else tomorrow
    if to_hour(since, round_up=True) >= to_hour(until, round_up=True):
        raise BadParameter("until" if given.get("until") else "since", "the period ends before it begins")
    return Period(since, until)


def _moment(given: Mapping[str, str], field: str, now: datetime, *, is_end: bool) -> datetime:
    """A day, of which the whole is meant, or a moment, by default in the reader's zone."""
    text = given[field]
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadParameter(field, "give a day or a moment, as 2026-01-31 or 2026-01-31T18:00+01:00") from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise BadParameter(field, f"give a year from {FIRST_YEAR} to {LAST_YEAR}")
    if len(text) == 10:
        return _midnight(found.date() + timedelta(days=is_end), now)
    return found.astimezone(now.tzinfo) if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)


def _start_before(query: Query) -> datetime:
    since, until = query.since, query.until
    if query.range == "month":
        return _midnight((since.date() - timedelta(days=1)).replace(day=1), since)
    if query.range == "year":
        return _midnight(date(since.year - 1, 1, 1), since)
    if _is_midnight(since) and _is_midnight(until):
        return _midnight(since.date() - (until.date() - since.date()), since)
    return (_instant(since) - (_instant(until) - _instant(since))).astimezone(since.tzinfo)


def _filter(given: Mapping[str, str]) -> Filter | None:
    found = [Filter(name, given[name]) for name in FILTERS if given.get(name)]
    if len(found) > 1:
        raise BadParameter(found[1].name, f"one filter at a time, and there is {found[0].name} already")
    if not found:
        return None
    return Filter("path", labels.clean(found[0].value)) if found[0].name == "path" else found[0]


def _check_text(field: str, text: str) -> None:
    if len(text) > LONGEST_VALUE:
        raise BadParameter(field, f"at most {LONGEST_VALUE:,} characters")
    if field not in FILTERS and not text.isprintable():
        raise BadParameter(field, "there are characters in it that cannot be shown")


def _one_of(given: Mapping[str, str], field: str, choices: Collection[str], usual: str) -> str:
    text = given.get(field) or usual
    if text not in choices:
        raise BadParameter(field, f"give one of {', '.join(choices)}")
    return text


def _number(given: Mapping[str, str], field: str, usual: int, largest: int) -> int:
    text = given.get(field, "") or str(usual)
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= largest:
        raise BadParameter(field, f"give a whole number from 1 to {largest:,}")
    return int(text)


def _flag(given: Mapping[str, str], field: str, *, usual: bool) -> bool:
    text = given.get(field, "1" if usual else "0")
    if text not in _YES + _NO:
        raise BadParameter(field, "give 1 or 0")
    return text in _YES


def _month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date, like: datetime) -> datetime:
    return datetime.combine(day, time(), like.tzinfo)


def _is_midnight(moment: datetime) -> bool:
    return moment.time() == time()


def _instant(moment: datetime) -> datetime:
    """The moment in UTC: two of one zone are else compared and subtracted by their wall clock."""
    return moment.astimezone(UTC)
