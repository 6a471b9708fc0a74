"""What is misused is exit code 2 and one line; every command explains itself."""

from __future__ import annotations

from contextlib import closing

import click
import pytest
from click.testing import CliRunner

from pathhits import PathHits
from pathhits.cli import group
from pathhits.jobs.schedule import SCHEDULE
from tests.integration.cli.running import ASK_BOTH, ASK_SQL, PASSWORD, Run, one_line

WITH_JSON = (
    "sync",
    "stats",
    "top",
    "item",
    "doctor",
    "verify",
    "recount",
    "prune",
    "months",
    "items",
    "listeners",
    "schedule",
    "snapshot",
    "popularity",
    "also-viewed",
    "clicks",
    "recommend",
    "forget",
    "searches",
    "explain",
    "notify",
    "import",
)


@pytest.mark.parametrize("command", [*ASK_BOTH, *ASK_SQL, ["doctor"], ["worker"], ["clock"]], ids=" ".join)
@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("PATHHITS_FLUSH_INTERVAL", "-1", "give a number above 0"),
        ("PATHHITS_SYNCEVERY", "5", "PATHHITS_SYNCEVERY: unknown setting; known are"),
        ("REDIS_URL", f"http://:{PASSWORD}@localhost", "give a URL that starts with redis://"),
        ("DATABASE_URL", f"oracle://u:{PASSWORD}@localhost/d", "give a URL that starts with sqlite://"),
        ("PATHHITS_TRUSTED_PROXIES", "0.0.0.0/0", "name the proxies' own networks or a number of hops"),
        ("PATHHITS_APP", "no.such.module:hits", "give module:attribute of your PathHits object"),
    ],
)
def test_a_wrong_setting_is_misuse_and_one_line(
    name: str, value: str, advice: str, command: list[str], run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert advice in one_line(run_sqlite(*command, exit_code=2))


@pytest.mark.parametrize(
    "arguments",
    [
        ["tops"],
        ["top", "--limit", "0"],
        ["top", "--limit", "x"],
        ["top", "--since", "soon"],
        ["top", "--since", "1h", "--until", "2h"],
        ["searches", "--since", "2026-11-20", "--until", "2026-11-20"],
        ["clicks", "--since", "1h", "--until", "1d"],
        ["item", "product"],
        ["sync", "--no"],
        ["db"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_or_option_is_misuse(arguments: list[str], run_sqlite: Run) -> None:
    result = run_sqlite(*arguments, exit_code=2)
    assert "Usage:" in result.output


def test_what_is_no_url_is_not_explained(run_sqlite: Run) -> None:
    wrong = run_sqlite("explain", "http://[::1", exit_code=2)
    assert wrong.stderr == "pathhits: 'http://[::1' is no URL: Invalid IPv6 URL; give a path such as /products/42\n"


def test_a_visitor_is_forgotten_by_address_and_agent_together(run_sqlite: Run) -> None:
    run_sqlite("db", "upgrade")
    result = run_sqlite("forget", "--ip", "192.0.2.1", "--yes", exit_code=2)
    assert "--ip goes with --user-agent" in result.stderr
    wrong = run_sqlite("forget", "--ip", "the office", "--user-agent", "", "--yes", exit_code=1)
    assert "give an address" in wrong.stderr


def test_a_listener_that_there_is_not_is_not_forgotten(run_sqlite: Run) -> None:
    run_sqlite("db", "upgrade")
    none = run_sqlite("listeners", "--forget", "remembr", exit_code=2)
    assert "no listener is called 'remembr': none is known yet" in none.stderr
    with closing(PathHits()) as hits:
        hits.deliveries.register({"remember": "*", "tell": "*.viewed"})
    some = run_sqlite("listeners", "--forget", "remembr", exit_code=2)
    assert "no listener is called 'remembr': there are remember, tell" in some.stderr
    run_sqlite("listeners", "--forget", "remember")
    run_sqlite("listeners", "--forget", "remember", exit_code=2)


@pytest.mark.parametrize("command", ["list", "retry"])
def test_dead_deliveries_are_of_a_listener_that_there_is(run_sqlite: Run, command: str) -> None:
    run_sqlite("db", "upgrade")
    with closing(PathHits()) as hits:
        hits.deliveries.register({"remember": "*"})
    wrong = run_sqlite("dead", command, "--listener", "remembr", exit_code=2)
    assert "no listener is called 'remembr': there are remember" in wrong.stderr
    run_sqlite("dead", command, "--listener", "remember")


@pytest.mark.parametrize("command", [[], ["db", "upgrade"], *([name] for name in group.commands)], ids=" ".join)
def test_every_command_explains_itself_without_any_store(command: list[str], no_redis: Run) -> None:
    inner: click.Command = group
    for name in command:
        assert isinstance(inner, click.Group)
        inner = inner.commands[name]
    # By itself first, as another group may hold it.
    assert "Usage:" in CliRunner().invoke(inner, ["--help"]).stdout
    for flag in ("-h", "--help"):
        assert "Usage:" in no_redis(*command, flag).stdout


def test_clock_list_prints_the_schedule(run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHHITS_SYNC_EVERY", "900")
    lines = [line.split() for line in run_sqlite("clock", "--list").stdout.splitlines()]
    assert ["sync", "900", "s"] in [line[:3] for line in lines]
    assert len(lines) == 2 + len(SCHEDULE)


def test_json_is_offered_by_every_command_that_reports() -> None:
    offered = {name for name, command in group.commands.items() if any("--json" in p.opts for p in command.params)}
    assert offered == set(WITH_JSON)
