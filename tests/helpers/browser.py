"""A browser for tests of the page: the system's Chromium or Chrome, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

REQUIRED = "POSEWRIGHT_BROWSER_REQUIRED"  # set where a missing browser is an error


def need_browser() -> str:
    """The path of the browser; the module is skipped where there is none, or no Playwright."""
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    missing = "" if path else "needs chromium"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        missing = "needs playwright"
    if missing and os.environ.get(REQUIRED):
        raise RuntimeError(f"{missing}, and {REQUIRED} is set")
    if missing:
        pytest.skip(missing, allow_module_level=True)
    return str(path)


class Visit:
    """A page, with what went wrong on it and where it asked."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.asked.append(request.url))

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.wrong.append(message.text)

    def until(self, expression: str, seconds: float = 60) -> Any:
        """Wait until an expression holds; Playwright's own way needs eval, which is forbidden."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.page.evaluate(expression)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"{expression} never held; {self.wrong}")


@contextmanager
def browser(path: str) -> Iterator[Callable[..., Visit]]:
    """A headless browser: a call opens a page of its own session."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path)
        try:
            yield lambda **options: Visit(found.new_context(**options).new_page())
        finally:
            found.close()
