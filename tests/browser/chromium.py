"""Debian's chromium, driven without a window; what it opens may ask for nothing but the page itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
WAIT_MS = 90_000
START_MS = 120_000
HOW = "`make browser` installs it"


def _leave_out(why: str) -> None:
    """Skip, in one line that says how to get it; fail where nothing may be left out."""
    if os.environ.get("SEATRIAL_REQUIRE_SLURM") == "1":
        pytest.fail(f"SEATRIAL_REQUIRE_SLURM=1 leaves nothing out, but {why}", pytrace=False)
    pytest.skip(why)


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """A chromium without a window, stopped at the end whatever happens."""
    with sync_playwright() as playwright:
        # in a container chromium's own sandbox finds no user namespaces, and /dev/shm is small
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=program, args=options, timeout=START_MS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The chromium of a file's tests."""
    program = shutil.which("chromium")
    if program is None:
        _leave_out(f"there is no chromium: {HOW}")
    else:
        with started(program) as found:
            yield found


@dataclass
class Opened:
    """An open page, and what it said and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def number(self, expression: str) -> float:
        """The number that an expression of the page gives."""
        return float(self.page.evaluate(expression))


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    viewport: dict[str, int] = LAPTOP,
    scheme: str = "light",
    scripts: bool = True,
) -> Iterator[Opened]:
    """A page in a window of its own; nothing that it asks for but its own file is answered."""
    window = browser.new_context(viewport=viewport, color_scheme=scheme, java_script_enabled=scripts)
    window.set_default_timeout(WAIT_MS)
    page = window.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (found.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: found.requests.append(request.url))
    try:
        page.goto(file.as_uri(), timeout=WAIT_MS)
        yield found
    finally:
        window.close()
