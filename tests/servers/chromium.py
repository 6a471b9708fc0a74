"""A real browser without a window, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tests.servers.processes import ServerMissing

#: A headless browser says that it is one, and is taken for a bot.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium that is installed; `ServerMissing` where there is none. Each of its contexts is another visitor."""
    program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if program is None:
        raise ServerMissing("chromium")
    with sync_playwright() as playwright:
        # As an option of the browser, as one of a context is not that of what a page sends while it is left.
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-agent={USER_AGENT}"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()
