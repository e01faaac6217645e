"""A real Chromium at a real server. Each test gets pages of staff that are wholly logged in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from orders.access import sync_roles
from orders.tests.staff import log_in

CHROMIUM = "/usr/bin/chromium"
# No sandbox inside containers, no talk to anybody outside.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {390: 844, 768: 1024, 1440: 900, 320: 640}
# WCAG 2.2, A and AA.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/screens/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, and Django refuses its database there unless told otherwise.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _roles(transactional_db: Any) -> None:
    """The flush at the end of each test takes away what the migrations made."""
    sync_roles()


@pytest.fixture
def open_page(chromium: Browser, live_server: Any) -> Iterator[Open]:
    """open_page(user, path, language=, width=, dark=, javascript=, strict=) -> the loaded page.

    user None: a stranger. strict: whatever the browser complains of on its console fails the test at its end.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_one(
        user: User | None,
        path: str,
        *,
        language: str = "en",
        width: int = 1440,
        dark: bool = False,
        javascript: bool = True,
        strict: bool = True,
        **more: Any,
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": WIDTHS.get(width, 900)},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            has_touch=width < 768,
            **more,
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.add_cookies(cookies_of(user, live_server.url, language))
        page = context.new_page()
        if strict:
            listen(page, complaints)
        page.goto(f"{live_server.url}{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def cookies_of(user: User | None, url: str, language: str) -> list[Any]:
    cookies = [{"name": "django_language", "value": language, "url": url}]
    if user is not None:
        client = log_in(Client(), user)
        cookies.append({"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url})
    return cookies


def listen(page: Page, complaints: list[str]) -> None:
    """Errors and warnings of the page's console, and pages or files that are missing."""

    def heard(message: Any) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))


def violations(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """What axe finds wrong with the page as it stands: rule, how often, and the first place."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": rules or RULES}})
    return [
        f"{one['id']} x{len(one['nodes'])}: {one['nodes'][0]['target']} {one['nodes'][0]['html'][:160]}"
        for one in found.response["violations"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"))


def tabs_until(page: Page, selector: str, *, at_most: int = 40) -> int:
    """How often Tab must be pressed from the top of the page until the focus is inside selector. 0: never."""
    for n_presses in range(1, at_most + 1):
        page.keyboard.press("Tab")
        if page.evaluate("s => !!document.activeElement.closest(s)", selector):
            return n_presses
    return 0
