"""A real Chromium at a real server. Each test gets pages of staff that are wholly logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page

from orderhub.bench import browser
from orders.access import sync_roles
from orders.tests.staff import log_in

Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/screens/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as found:
        yield found


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
        context = browser.window(chromium, width, dark=dark, java_script_enabled=javascript, **more)
        contexts.append(context)
        context.add_cookies(cookies_of(user, live_server.url, language))
        page = context.new_page()
        if strict:
            browser.listen(page, complaints)
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
