"""Which demo a command speaks to: the one that runs, also where the line that it printed was pasted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo_app import running

TOLD = {"REDIS_URL": "redis://:secret@127.0.0.1:7/0", "PORT": "8177", "PATHHITS_HOT_AT": "60", "PATH": "/nowhere"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment of the test's own, which a command may change."""
    monkeypatch.setattr(os, "environ", {"DEMO_DIR": str(tmp_path)})


@pytest.mark.parametrize("pasted", ["", "redis://:secret@127.0.0.1:7/0", "redis://:***@127.0.0.1:7/0"])
def test_a_shell_with_the_printed_line_knows_the_port_and_the_settings_too(tmp_path: Path, pasted: str) -> None:
    os.environ["REDIS_URL"] = pasted
    with running.written_down(tmp_path, TOLD):
        running.take_over()
    assert running.url() == "http://127.0.0.1:8177"
    assert os.environ["PATHHITS_HOT_AT"] == "60"
    assert os.environ["REDIS_URL"] == TOLD["REDIS_URL"]
    assert "PATH" not in os.environ


def test_a_shell_with_another_redis_is_left_as_it_is(tmp_path: Path) -> None:
    os.environ["REDIS_URL"] = "redis://127.0.0.1:8/0"
    with running.written_down(tmp_path, TOLD):
        running.take_over()
    assert running.url() == "http://127.0.0.1:8000"
    assert os.environ["REDIS_URL"] == "redis://127.0.0.1:8/0"


def test_without_a_demo_nothing_is_taken_over() -> None:
    running.take_over()
    assert not {"REDIS_URL", "PORT"} & set(os.environ)
