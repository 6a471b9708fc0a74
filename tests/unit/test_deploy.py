"""What docs/deploy.md gives to copy: units that systemd reads, a Compose file, Procfiles; all of it can be run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
from honcho.environ import parse_procfile

from pathhits.cli import group

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
UNITS = {text.splitlines()[0].removeprefix("# /etc/systemd/system/"): text for kind, text in BLOCKS if kind == "ini"}
(COMPOSE,) = (text for kind, text in BLOCKS if kind == "yaml")
(PROCFILE,) = (text for kind, text in BLOCKS if text.startswith("release:"))
#: What must run, and what runs it.
PROCESSES = {"release": "db upgrade", "worker": "worker", "clock": "clock"}


def unit(text: str) -> ConfigParser:
    """A unit as systemd reads it, but that nothing may be said twice."""
    found = ConfigParser(strict=True, interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    found.optionxform = str  # type: ignore[assignment,method-assign]  # its keys have capitals
    found.read_string(text)
    return found


def assert_there_is(command: str) -> None:
    """Fail unless ``pathhits`` has this command and takes its options."""
    program, *words = shlex.split(command)
    assert program.rpartition("/")[2] in ("pathhits", "gunicorn")
    if not program.endswith("pathhits"):
        return
    found: click.Command = group
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    found.make_context(found.name, words, resilient_parsing=False)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_read_and_starts_what_there_is_after_the_migrations(name: str) -> None:
    found = unit(UNITS[name])
    assert {"Unit", "Service"} <= set(found.sections()) <= {"Unit", "Service", "Install"}
    assert_there_is(found["Service"]["ExecStart"])
    assert found["Service"]["EnvironmentFile"] == "/etc/shop.env"
    if name == "shop-release.service":
        assert (found["Service"]["Type"], found.has_section("Install")) == ("oneshot", False)
    else:
        assert "shop-release.service" in found["Unit"]["After"].split()
        assert found["Unit"]["Requires"] == "shop-release.service"
        assert found["Install"]["WantedBy"] == "multi-user.target"


def test_there_is_a_unit_for_each_process() -> None:
    assert set(UNITS) == {f"shop-{name}.service" for name in ("web", *PROCESSES)}
    for name, command in PROCESSES.items():
        assert unit(UNITS[f"shop-{name}.service"])["Service"]["ExecStart"].endswith(f"/bin/pathhits {command}")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_itself_understands_every_word(tmp_path: Path) -> None:
    for name, text in UNITS.items():
        # What it starts need not be on this machine.
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False
    )
    assert "Unknown" not in done.stderr, done.stderr
    assert "Failed to parse" not in done.stderr, done.stderr


def test_compose_has_all_processes_in_their_order() -> None:
    found = read(COMPOSE)
    services = found["services"]
    assert set(services) == {"web", "redis", "postgres", *PROCESSES}
    assert set(found["volumes"]) == {"redis", "postgres"}
    for name, command in PROCESSES.items():
        assert services[name]["command"] == f"pathhits {command}"
    for name in ("web", "worker", "clock"):
        assert_there_is(services[name]["command"])
        needs = services[name]["depends_on"]
        assert needs["release"]["condition"] == "service_completed_successfully"
        assert needs["redis"]["condition"] == "service_healthy"
    for name in ("redis", "postgres"):
        assert services[name]["healthcheck"]["test"]
        (volume,) = services[name]["volumes"]
        assert volume.partition(":")[0] == name
    assert "noeviction" in services["redis"]["command"]


def test_the_commands_of_both_procfiles_are_there() -> None:
    shown = parse_procfile(PROCFILE).processes
    own = parse_procfile((ROOT / "Procfile").read_text()).processes
    assert set(shown) == set(own) == {"web", *PROCESSES}
    for command in shown.values():
        assert_there_is(command)
    for name, command in PROCESSES.items():
        assert shown[name] == f"pathhits {command}"


def read(text: str) -> dict[str, Any]:
    """A file in the part of YAML that mappings, lists and plain words are; ValueError for anything else."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return _mapping(_indented(lines))


def _indented(lines: Sequence[str]) -> list[tuple[int, str]]:
    found = [(len(line) - len(line.lstrip(" ")), line.strip()) for line in lines]
    if any("\t" in line for line in lines) or any(spaces % 2 or text[0] in "&*!|>{[%@`" for spaces, text in found):
        raise ValueError("not the YAML this reads")
    return found


def _mapping(lines: list[tuple[int, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value, below in _entries(lines):
        if key in found or (value and below):
            raise ValueError(f"{key} is said twice")
        is_list = bool(below) and below[0][1].startswith("- ")
        found[key] = value or ([text[2:].strip('"') for _, text in below] if is_list else _mapping(below))
    return found


def _entries(lines: list[tuple[int, str]]) -> Iterator[tuple[str, str, list[tuple[int, str]]]]:
    """Each key of a mapping, the word behind it, and the lines below it."""
    while lines:
        spaces, text = lines[0]
        below = 1
        while below < len(lines) and lines[below][0] > spaces:
            below += 1
        key, colon, value = text.partition(":")
        if not colon or (value and not value.startswith(" ")) or (below < len(lines) and lines[below][0] != spaces):
            raise ValueError(f"not an entry: {text}")
        yield key, value.strip(), lines[1:below]
        lines = lines[below:]


@pytest.mark.parametrize("wrong", ["a: 1\na: 2", "a:\n   b: 1", "a:\n\tb: 1", "word", "a:1", "a:\n    b: 1\n  c: 2"])
def test_what_is_no_yaml_is_found(wrong: str) -> None:
    with pytest.raises(ValueError):
        read(wrong)
