"""Where the demo that runs is: `make demo` writes it down in its folder, the commands for it read it there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pathhits.settings import redact

ROOT = Path(__file__).resolve().parent.parent
FILE = "running.json"
HOST = "127.0.0.1"
DEFAULT_PORT = 8000
#: What of its environment another process needs to see the same counts; the file is for its owner's eyes only.
_TOLD = ("REDIS_URL", "DATABASE_URL", "PORT")


def folder() -> Path:
    """The folder of the demo's data; DEMO_DIR names another one than ``.demo``."""
    return Path(os.environ.get("DEMO_DIR") or ROOT / ".demo").resolve()


@contextmanager
def written_down(where: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Tell other commands, while the demo runs, what its processes are told."""
    told = {name: value for name, value in env.items() if name in _TOLD or name.startswith("PATHHITS_")}
    path = where / FILE
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(told, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def take_over() -> None:
    """Give this process what the running demo was told, unless its environment names another Redis than that one's.

    The line that the demo prints names the same one, without a password, and says neither port nor settings.
    """
    path = folder() / FILE
    if not path.exists():
        return
    told: dict[str, str] = json.loads(path.read_text())
    if os.environ.get("REDIS_URL", "") in ("", told["REDIS_URL"], redact(told["REDIS_URL"])):
        os.environ.update(told)


def url() -> str:
    """The address of the shop, as far as this process was told."""
    return f"http://{HOST}:{os.environ.get('PORT') or DEFAULT_PORT}"
