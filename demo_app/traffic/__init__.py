"""`python -m demo_app traffic`: believable visitors for the running demo, and what pathhits should say of them."""

from __future__ import annotations

import secrets
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from random import Random
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from demo_app import create_app, running
from demo_app.traffic.check import Check
from demo_app.traffic.plans import Plan, make_plans
from demo_app.traffic.report import show
from demo_app.traffic.sending import Sender
from demo_app.traffic.tally import Figures, Tally
from pathhits import PathHits
from pathhits.errors import PathHitsError

#: Seconds that a check waits for one answer of a store: it is in no hurry.
DEADLINE_S = 10.0
#: Numbers that mean nothing when midnight UTC was in between: who was there on both sides is a visitor of two days.
BY_DAY = ("visitors", "visitors of a page", "visitors of an item")


class CannotSend(PathHitsError):
    """The traffic cannot be sent; the message says what to do."""


def add_arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--visitors", type=_positive(int), default=200, metavar="N", help="how many come (200)")
    parser.add_argument("--minutes", type=_positive(float), default=2.0, metavar="M", help="in how long (2)")
    parser.add_argument("--seed", type=int, help="do what was done under this number before; who they are is new")
    parser.add_argument("--url", help="where the shop is, on this machine (the demo that runs)")
    forwarded = "name visitors in X-Forwarded-For, for a demo that was started with PATHHITS_TRUSTED_PROXIES=1"
    parser.add_argument("--forwarded", action="store_true", help=forwarded)
    parser.add_argument("--check", action="store_true", help="compare with pathhits afterwards; 1 on a difference")


def run(options: Namespace, console: Console | None = None) -> int:
    """Send it, print what it was; 0, or 1 when an answer or a count was not as it should be."""
    console = console or Console()
    if options.check or not options.url:
        running.take_over()
    url = _reachable(options.url or running.url(), forwarded=options.forwarded)
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    plans = make_plans(options.visitors, options.minutes * 60, Random(seed))
    console.print(f"{len(plans)} visitors and bots for {url}, seed {seed}", highlight=False)
    hits = create_app(PathHits(request_deadline=DEADLINE_S)).extensions["pathhits"] if options.check else None
    check = Check(hits) if hits else None
    tally = Tally()
    _send(Sender(url, tally, forwarded=options.forwarded), plans, console)
    return _report(tally, check, console)


def _send(sender: Sender, plans: list[Plan], console: Console) -> None:
    columns = TextColumn("requests"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=sum(len(plan.steps) for plan in plans))
        try:
            sender.send(plans, lambda: progress.advance(bar))
        except KeyboardInterrupt:
            console.print("stopped; this is what was sent until then")


def _report(tally: Tally, check: Check | None, console: Console) -> int:
    sent = Figures({key: n for key, n in tally.figures.items() if n})
    counted = check.counted(sent) if check else None
    if tally.over_midnight and counted is not None:
        console.print("It went over midnight UTC, so visitors, who are counted by day, are not compared.")
        counted = Figures({key: n for key, n in counted.items() if key[0] not in BY_DAY})
        counted.update({key: n for key, n in sent.items() if key[0] in BY_DAY})
    show(sent, counted, console)
    for what, n in tally.surprises.items():
        console.print(f"{n} times {what}", style="bold red", markup=False, highlight=False)
    agreed = check is None or (_agreed(sent, counted, console) & _hot_agreed(check, console))
    return 0 if agreed and not tally.surprises else 1


def _agreed(sent: Figures, counted: Figures | None, console: Console) -> bool:
    same = counted == sent
    console.print(
        "\npathhits has counted all of it, and nothing else."
        if same
        else "\npathhits has other numbers, in red. Is someone else looking at the shop? Their hits are in them too."
    )
    return same


def _hot_agreed(check: Check, console: Console) -> bool:
    should, are = check.hot_items()
    console.print(f"Hot by their views: {_names(should)}", highlight=False)
    if should != are:
        console.print(f"Hot for pathhits: {_names(are)}", style="bold red", highlight=False)
    return should == are


def _names(slugs: set[str]) -> str:
    return ", ".join(sorted(slugs)) or "nothing"


def _reachable(url: str, *, forwarded: bool) -> str:
    """The address without what follows the host, once something listens there and visitors can have addresses."""
    where = urlsplit(url if "//" in url else f"//{url}", scheme="http")
    host, port = where.hostname or "", where.port or 80
    if where.scheme != "http" or not (host == "localhost" or host.startswith("127.")):
        raise CannotSend(f"{url} is not on this machine: traffic is for a demo at http://127.0.0.1")
    _connect(host, port, None, f"nothing answers at {url}: start the shop with 'make demo'")
    if not forwarded:
        other = "visitors cannot have addresses of their own here; start the demo with PATHHITS_TRUSTED_PROXIES=1"
        _connect(host, port, ("127.1.2.3", 0), f"{other} and give --forwarded")
    return f"http://{where.netloc}"


def _connect(host: str, port: int, source: tuple[str, int] | None, otherwise: str) -> None:
    try:
        socket.create_connection((host, port), 5.0, source).close()
    except OSError as error:
        raise CannotSend(f"{otherwise} ({error})") from None


def _positive(kind: Callable[[str], int | float]) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        found = kind(text)
        if found <= 0:
            raise ValueError
        return found

    return number
