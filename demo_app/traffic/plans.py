"""What each of them does: requests in their order, with pauses. All of it follows from the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from urllib.parse import urlencode

from demo_app.catalogue import BRANDS, CATEGORIES, PRODUCTS, TAGS
from demo_app.traffic.people import BOTS, Crowd, Person, pick

#: Seconds that nobody stays longer than, so that a reload is one within the two minutes of the shop's rule.
LONGEST_STAY = 80.0
#: Most reloads of the one who would like a product to be hot.
MOST_RELOADS = 300
PLAIN_PAGES = {"/": "home", "/products": "products", "/workshops": "brands", "/about": "about", "/privacy": "privacy"}
#: How often what is searched for, and how much of it the shop has, more or less.
SEARCHES = ((9, "jug", 3), (8, "wool", 4), (7, "bowl", 5), (6, "candle", 4), (5, "garden", 9), (4, "lamp", 2),
            (3, "umbrella", 0), (2, "bicycle pump", 0), (2, "gift for my mother", 0))  # fmt: skip
GONE = ("/products/last-years-vase", "/cellar", "/blog/", "/wp-login.php", "/basket")
PREFETCHES = ({"Sec-Purpose": "prefetch;prerender"}, {"Sec-Purpose": "prefetch"}, {"X-Moz": "prefetch"})
#: How many of a hundred visitors do it, each time they look at a page that lends itself to it.
RELOADS, LIKES, CHANGES_OF_MIND, SHEETS, PREFETCHED, RECOMMENDED = 22, 14, 20, 9, 12, 8


@dataclass(frozen=True)
class Step:
    """One request: ``pause`` seconds after the one before, and what it is to the shop when it is answered as usual.

    ``label`` is the page's name to pathhits, ``item`` what it shows (``type:id``), ``event`` what happens: a counter,
    the item it belongs to, or for ``searches`` the query, and how much is added. A ``Referer`` of the shop itself is a
    path.
    """

    path: str
    label: str = ""
    pause: float = 0.0
    method: str = "GET"
    status: int = 200
    item: str = ""
    event: tuple[str, str, int] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What one of them does, beginning ``start`` seconds after the first."""

    person: Person
    start: float
    steps: tuple[Step, ...]


def make_plans(visitors: int, seconds: float, random: Random) -> list[Plan]:
    """The plans of so many visitors, and of those who come with them: one bot for eight of them, and one abuser."""
    crowd = Crowd(random)
    taste = _taste(random)
    people = [crowd.visitor("private" if n % 20 == 7 else "visitor") for n in range(visitors)]
    plans = [_plan(person, list(visit(person, taste, random)), seconds, random) for person in people]
    for n in range(max(len(BOTS), visitors // 8)):
        bot = crowd.bot(BOTS[n % len(BOTS)])
        plans.append(_plan(bot, list(crawl(random)), seconds, random))
    plans.append(_plan(crowd.visitor("abuser"), list(_abuse(visitors, random)), seconds, random))
    return plans


def _taste(random: Random) -> list[tuple[float, str]]:
    """How much each product is sought: a few much, most a little."""
    slugs = [product["slug"] for product in PRODUCTS]
    random.shuffle(slugs)
    return [(max(1, 60 // rank), slug) for rank, slug in enumerate(slugs, 1)]


def _plan(person: Person, steps: Sequence[Step], seconds: float, random: Random) -> Plan:
    """The steps, fitted into the time there is, at a moment of their own."""
    needed, most = sum(step.pause for step in steps), min(LONGEST_STAY, seconds * 0.6)
    shrunk = min(1.0, most / needed) if needed else 1.0
    fitted = tuple(replace(step, pause=step.pause * shrunk) for step in steps)
    return Plan(person, random.uniform(0.0, max(0.0, seconds - needed * shrunk)), fitted)


def visit(person: Person, taste: Sequence[tuple[float, str]], random: Random) -> Iterator[Step]:
    """One visit of somebody; ``taste`` says how much each product is sought. Each page leads to the next one."""
    page = ""
    for step in _visit(person, taste, random):
        yield replace(step, headers={"Referer": page, **step.headers}) if page else step
        page = step.path if step.label and step.label != "sheet" else page


def _visit(person: Person, taste: Sequence[tuple[float, str]], random: Random) -> Iterator[Step]:
    yield _entrance(person, taste, random)
    yield Step("/static/shop.css")
    liked: set[str] = set()
    for _ in range(random.choice((0, 0, 1, 1, 2, 3, 4, 6))):
        choice = random.random()
        if choice < 0.55:
            yield from _look(pick(random, taste), liked, random)
        elif choice < 0.64:
            yield from _search(taste, random)
        elif choice < 0.72:
            yield Step(f"/products?category={random.choice(list(CATEGORIES))}", "products", _reading(random))
        elif choice < 0.82:
            shelf = _shelf(random)
            yield from (*_ahead(shelf, random), shelf)
        elif choice < 0.95:
            path, label = random.choice(list(PLAIN_PAGES.items()))
            yield Step(path, label, _reading(random))
        else:
            yield Step(random.choice(GONE), pause=_reading(random), status=404)


def _entrance(person: Person, taste: Sequence[tuple[float, str]], random: Random) -> Step:
    """The first page, by the link that brought them."""
    path = random.choice(("/", "/", "/products", ""))
    step = Step(path, PLAIN_PAGES[path]) if path else _product(pick(random, taste))
    given = {"Referer": person.source.referrer} if person.source.referrer else {}
    return replace(step, path=person.source.link(step.path), headers=given)


def _look(slug: str, liked: set[str], random: Random) -> Iterator[Step]:
    """A product, and what people do with it."""
    yield from _ahead(_product(slug, _reading(random)), random)
    yield _product(slug, _reading(random))
    if _chance(random, RELOADS):
        yield _product(slug, _reading(random))
    if _chance(random, LIKES):
        yield from _like(slug, liked, random)
        if _chance(random, CHANGES_OF_MIND):
            yield from _like(slug, liked, random)
    if _chance(random, SHEETS):
        sheet = Step(f"/products/{slug}/sheet", "sheet", _reading(random), event=("downloads", f"product:{slug}", 1))
        yield from (*_ahead(sheet, random), sheet)
    if _chance(random, RECOMMENDED):
        other = random.choice([product["slug"] for product in PRODUCTS if product["slug"] != slug])
        way = f"/go/{other}?because=also_viewed&beside={slug}&place=1"
        clicked = "recommendation_clicks", f"product:{other}", 1
        yield Step(way, pause=_reading(random), status=303, event=clicked)
        yield _product(other)


def _ahead(step: Step, random: Random) -> Iterator[Step]:
    """The page as some browsers fetch it ahead of a click."""
    if _chance(random, PREFETCHED):
        yield replace(step, headers=random.choice(PREFETCHES))


def _like(slug: str, liked: set[str], random: Random) -> Iterator[Step]:
    """A like, or a like taken back, and the product again."""
    added = -1 if slug in liked else 1
    liked.symmetric_difference_update((slug,))
    event = "likes", f"product:{slug}", added
    yield Step(f"/products/{slug}/like", "", _reading(random), "POST", 303, event=event)
    yield _product(slug)


def _search(taste: Sequence[tuple[float, str]], random: Random) -> Iterator[Step]:
    """Words, and one of the products that were found."""
    query, found = pick(random, [(often, (words, found)) for often, words, found in SEARCHES])
    path = f"/search?{urlencode({'q': query})}"
    search = Step(path, "search", _reading(random), event=("searches", query, 1))
    yield from (*_ahead(search, random), search)
    if found:
        yield _product(pick(random, taste), _reading(random))


def _shelf(random: Random) -> Step:
    """The page of a workshop, or of a tag; each is an item of its own."""
    if _chance(random, 60):
        slug = random.choice(list(BRANDS))
        return Step(f"/workshops/{slug}", "brand", _reading(random), item=f"brand:{slug}")
    slug = random.choice(list(TAGS))
    return Step(f"/tags/{slug}", "tag", _reading(random), item=f"tag:{slug}")


def crawl(random: Random) -> Iterator[Step]:
    """A program that takes what it finds, with a way of asking for pages that are not there, or by other methods."""
    for product in random.sample(PRODUCTS, random.randint(2, 6)):
        yield _product(product["slug"], random.uniform(0.2, 2.0))
    yield Step("/", "home", 1.0)
    yield Step("/search?q=lamp", "search", 0.5, event=("searches", "lamp", 1))
    yield replace(_shelf(random), pause=0.5)
    yield Step("/", method="HEAD", pause=0.5)
    yield replace(_shelf(random), method="HEAD", pause=0.5)
    yield Step(random.choice(GONE), pause=0.5, status=404)
    yield Step("/about", method="POST", pause=0.5, status=405)


def _abuse(visitors: int, random: Random) -> Iterator[Step]:
    """One product, over and over: one view, and hits that show what was tried."""
    slug = random.choice(PRODUCTS)["slug"]
    for _ in range(min(MOST_RELOADS, 2 * visitors) + 1):
        yield _product(slug, random.uniform(0.1, 0.3))


def _product(slug: str, pause: float = 0.0) -> Step:
    return Step(f"/products/{slug}", "product_detail", pause, item=f"product:{slug}")


def _reading(random: Random) -> float:
    """Seconds on a page: mostly few, sometimes many."""
    return min(random.lognormvariate(1.6, 0.8), 40.0)


def _chance(random: Random, percent: int) -> bool:
    return random.random() * 100 < percent
