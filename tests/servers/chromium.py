"""A real browser without a window, told what to do over a pipe by Chrome's DevTools protocol."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.processes import START_TIMEOUT, Process, ServerMissing

#: Starts a browser that reads commands on 3 and answers on 4, which here are two named pipes.
_ON_PIPES = """
import os, sys
given, taken, *command = sys.argv[1:]
for descriptor, pipe, way in ((3, given, os.O_RDONLY), (4, taken, os.O_WRONLY)):
    os.dup2(os.open(pipe, way), descriptor)
    os.set_inheritable(descriptor, True)
os.execvp(command[0], command)
"""
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--remote-debugging-pipe",
)  # fmt: skip
#: A headless browser says that it is one, and is taken for a bot.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"


class Browser:
    """Chromium with a profile of its own; ended and removed by the `with` block."""

    def __init__(self) -> None:
        program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
        if program is None:
            raise ServerMissing("chromium")
        self._folder = Path(tempfile.mkdtemp(prefix="pathhits-browser-"))
        pipes = [self._folder / "commands", self._folder / "answers"]
        for pipe in pipes:
            os.mkfifo(pipe)
        # Both ways, so that none of the two waits for the other to open it.
        self._commands, self._answers = (os.open(pipe, os.O_RDWR) for pipe in pipes)
        options = (*_OPTIONS, f"--user-data-dir={self._folder / 'profile'}", f"--user-agent={USER_AGENT}")
        self._process = Process([sys.executable, "-c", _ON_PIPES, *pipes, program, *options, "about:blank"])
        self._number = 0
        self._read = b""

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.close()
        os.close(self._commands)
        os.close(self._answers)
        shutil.rmtree(self._folder, ignore_errors=True)

    def page(self) -> Page:
        """A new tab."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session)

    def command(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """The result of one command; RuntimeError when the browser refuses it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"the browser does not answer:\n{self._process.output()[-4000:]}")
            self._read += os.read(self._answers, 65_536)
        text, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def go(self, url: str) -> None:
        """Go to a page, and return when it and its scripts are there."""
        loaded = "new Promise(done => document.readyState == 'complete' ? done(1) : addEventListener('load', done))"
        self._browser.command("Page.navigate", self._session, url=url)
        self.run(f"{loaded}.then(() => location.href)")

    def run(self, script: str) -> Any:
        """What an expression comes to, when it is a promise what that comes to."""
        found = self._browser.command(
            "Runtime.evaluate", self._session, expression=script, awaitPromise=True, returnByValue=True
        )
        return found["result"].get("value")

    def close(self) -> None:
        """Close the tab as a visitor does."""
        self._browser.command("Page.close", self._session)
