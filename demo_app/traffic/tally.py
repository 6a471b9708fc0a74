"""What pathhits should say of what was sent: its rules once more, in the fewest words, to compare it with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

from demo_app.traffic.people import Person
from demo_app.traffic.plans import Step

#: Seconds in which a second view of an item by the same visitor does not count, as the shop's rule has it.
COOLDOWN = 120.0
#: So near to its end nobody can tell from outside on which side of it a view was.
UNSURE = 10.0

#: What pathhits tells hits apart by; those of a campaign only where a link said so.
DIMENSIONS = ("referrer", "browser", "system", "device", "language")
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign")

#: The items whose pages ask for their views themselves: what they ask in vain is a refusal.
ASKED = ("brand",)

#: Numbers by what they count and of what: ``("hits of a page", "home")``; the second is "" for the whole site.
Figures = Counter[tuple[str, str]]


class Tally:
    """Adds up what was sent; safe to be told by many threads."""

    def __init__(self) -> None:
        self.figures: Figures = Counter()
        #: Answers that were not what was planned for.
        self.surprises: Counter[str] = Counter()
        self._lock = Lock()
        self._hits: Counter[str] = Counter()
        self._viewed: dict[tuple[str, str], float] = {}
        self._seen: set[tuple[str, str, str]] = set()
        self._days: set[str] = set()

    @property
    def over_midnight(self) -> bool:
        """Whether it went over midnight UTC, so that who was there on both sides is a visitor of two days."""
        return len(self._days) > 1

    def may_ask(self, person: Person, step: Step, moment: float) -> bool:
        """Whether it is certain what this step will be: a view, or refused as a reload."""
        last = self._viewed.get((person.address, step.item))
        return last is None or abs(moment - last - COOLDOWN) > UNSURE

    def surprise(self, what: str) -> None:
        """Note a request of which it is not known what became of it."""
        with self._lock:
            self.surprises[what] += 1

    def answered(self, person: Person, step: Step, status: int, moment: float) -> None:
        """Add one request that was answered at this moment (s)."""
        with self._lock:
            if status != step.status:
                self.surprises[f"{step.method} {step.path.partition('?')[0]}: {status} instead of {step.status}"] += 1
            self._days.add(f"{datetime.fromtimestamp(moment, UTC):%F}")
            self._add("requests")
            reason = drop(person, step, status)
            if reason:
                self._add("dropped", reason)
                kind = step.item.partition(":")[0]
                if reason == "bot" and step.item:
                    self._add("refused", f"{kind}:bot")
                elif unseen(step) and kind in ASKED:
                    self._add("refused", f"{kind}:{unseen(step)}")
            else:
                self._hit(person, step, moment)
            if step.event is not None and status == step.status:
                self._happen(unseen(step) or ("bot" if person.kind == "bot" else ""), *step.event)

    def _happen(self, refusal: str, counter: str, subject: str, amount: int) -> None:
        if refusal:
            self._add("refused", f"search:{refusal}" if counter == "searches" else f"product:{refusal}")
        else:
            self._add(counter, subject, amount)

    def _hit(self, person: Person, step: Step, moment: float) -> None:
        self._add("hits")
        self._add("hits of a page", step.label)
        for dimension, value in told(person, step):
            self._add(dimension, value)
        if person.kind != "private":
            self._visit(person, step)
        if step.item:
            last = self._viewed.get((person.address, step.item))
            if last is not None and moment - last < COOLDOWN:
                self._add("refused", f"{step.item.partition(':')[0]}:cooldown")
                return
            self._viewed[person.address, step.item] = moment
            self._add("views", step.item)
            if person.kind != "private":
                self._once("visitors of an item", person, step.item)

    def _visit(self, person: Person, step: Step) -> None:
        """Everyone is here for one visit; who asked not to be followed is no visitor and has none."""
        self._once("visitors", person, "")
        self._once("visitors of a page", person, step.label)
        self._hits[person.address] += 1
        if self._hits[person.address] == 1:
            self._add("visits")
            self._add("bounces")
        elif self._hits[person.address] == 2:
            self._add("bounces", amount=-1)

    def _once(self, what: str, person: Person, subject: str) -> None:
        if (what, person.address, subject) not in self._seen:
            self._seen.add((what, person.address, subject))
            self._add(what, subject)

    def _add(self, what: str, subject: str = "", amount: int = 1) -> None:
        self.figures[what, subject] += amount


def told(person: Person, step: Step) -> Iterator[tuple[str, str]]:
    """What a hit is told apart by: where it came from, and with what. Of who wants it so, nothing is known."""
    referrer, known = step.headers.get("Referer", ""), person.kind != "private"
    from_where = "(internal)" if referrer.startswith("/") else bare_host(referrer) or "(direct)"
    browser, language = person.browser, person.language.partition("-")[0]
    values = (from_where, browser.name, browser.system, browser.device, language)
    for dimension, value in zip(DIMENSIONS, values, strict=True):
        yield dimension, value if known else "(unknown)"
    for name, value in parse_qsl(urlsplit(step.path).query):
        if name in CAMPAIGN and known:
            yield name, value


def bare_host(referrer: str) -> str:
    """The host of a page elsewhere, without its www."""
    return (urlsplit(referrer).hostname or "").removeprefix("www.")


def drop(person: Person, step: Step, status: int) -> str:
    """Why pathhits does not count a request as a hit; "" when it does."""
    if step.method != "GET":
        return "method"
    if status != 200:
        return "status"
    if unseen(step):
        return unseen(step)
    if step.path.startswith("/static/"):
        return "excluded"
    return "bot" if person.kind == "bot" else ""


def unseen(step: Step) -> str:
    """Why nobody looks at the answer, so that nothing that the page tells of counts; "" when somebody may."""
    if step.method == "HEAD":
        return "method"
    return "prefetch" if any("prefetch" in value for value in step.headers.values()) else ""
