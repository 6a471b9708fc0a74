"""The built wheel, alone in an empty environment: it carries its files, migrates a database, and counts a hit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.servers.redis import RedisServer

pytestmark = pytest.mark.xdist_group("wheel")  # one worker builds and installs it, once

ROOT = Path(__file__).resolve().parents[2]

#: Files that are no modules and so are easily forgotten. Each pattern must match, in the tree and in the wheel.
DATA = ("pathhits/py.typed", "pathhits/storage/redis/lua/*.lua", "pathhits/capture/*.js")
#: Folders whose files must all be in the wheel, where the tree has them.
FOLDERS = ("pathhits/dashboard/templates", "pathhits/dashboard/static")

COUNT = """
from pathhits import PathHits

hits = PathHits()
for _ in range(3):
    hits.track_hit("/checking/example-slug")
assert hits.flush(10), "not flushed"
print(hits.sync())
assert hits.stored_hit_count("/checking/example-slug") == 3
hits.close()
"""


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command], env=env, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT, cwd=ROOT)
    (built,) = folder.glob("pathhits-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel and what its lock names, nothing that only tests need."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "wheel.txt", cwd=folder)
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    return python.parent


@pytest.fixture
def environment(redis_server: RedisServer, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """A real Redis, an SQLite file, and nothing of the tree on any path."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PATH": os.defpath, "REDIS_URL": redis_url, "DATABASE_URL": f"sqlite:///{tmp_path / 'counts.db'}"}


def test_the_wheel_carries_what_is_not_python(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for pattern in DATA:
        tree = {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)}
        assert tree, f"the tree has no {pattern}"
        assert tree <= names
    for folder in FOLDERS:
        tree = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert tree <= names


def test_the_wheel_carries_the_migrations_inside_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tree = {f"pathhits/{path.relative_to(ROOT)}" for path in (ROOT / "migrations").rglob("*.py")}
    assert any("/versions/" in path for path in tree)
    assert tree <= names


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pathhits"}


@pytest.mark.slow
def test_the_installed_wheel_migrates_and_counts(installed: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Slow: it makes an environment and installs every dependency into it."""
    where = run(
        installed / "python", "-c", "import pathhits; print(pathhits.__file__)", env=environment, cwd=tmp_path
    ).strip()
    assert Path(where).is_relative_to(installed.parent)
    run(installed / "pathhits", "db", "upgrade", env=environment, cwd=tmp_path)
    run(installed / "python", "-W", "error", "-c", COUNT, env=environment, cwd=tmp_path)
    top = json.loads(run(installed / "pathhits", "top", "--json", env=environment, cwd=tmp_path))
    rows = top if isinstance(top, list) else top["paths"]
    assert [(row["path"], row["hits"]) for row in rows] == [("/checking/example-slug", 3)]


@pytest.mark.slow
def test_the_installed_wheel_adds_its_commands_to_flask(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Slow: as above."""
    shown = run(installed / "flask", "--app", "flask:Flask('app')", "--help", env=environment, cwd=tmp_path)
    assert "pathhits" in shown


def test_the_locks_name_no_registry() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "pypi" not in text
