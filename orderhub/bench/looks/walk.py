"""A walk through the screens with one browser, and what it finds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from orderhub.bench import browser
from orderhub.bench.figures import say
from orderhub.bench.looks import language as words
from orderhub.bench.looks.listed import Screen

MOST_SHIFT = 0.02
LANGUAGES, THEMES = ("zh-hans", "en"), ("light", "dark")
# The pictures that the documents show: each screen in both languages, both themes and both widths, in four pictures.
PICTURES = (("zh-hans", "light", 1440), ("en", "dark", 1440), ("zh-hans", "dark", 390), ("en", "light", 390))
NAKED_CHIPS = """() => [...document.querySelectorAll('.chip')].filter(one => !one.querySelector('svg') || !one.textContent.trim())
  .map(one => one.outerHTML.slice(0, 120))"""


@dataclass
class Findings:
    """What is wrong, by measure; and what was measured, by measure and screen."""

    wrong: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, dict[str, float]] = field(default_factory=dict)
    n_pages: int = 0

    def blame(self, measure: str, where: str, what: list[str]) -> None:
        kept = self.wrong.setdefault(measure, [])
        kept += [f"{where}: {one}" for one in what]

    def n_wrong(self, measure: str) -> int:
        return len(self.wrong.get(measure, []))

    def worst(self, measure: str) -> float:
        return max(self.sizes.get(measure, {"": 0.0}).values())

    def size(self, measure: str, where: str, value: float) -> None:
        sizes = self.sizes.setdefault(measure, {})
        sizes[where] = max(sizes.get(where, 0.0), value)


class Look:
    """A walk through the screens with one browser."""

    def __init__(self, chromium: Any, address: str, options: Namespace) -> None:
        self.chromium, self.address, self.options = chromium, address, options
        self.found = Findings()
        self.data = words.words_of_data()

    def around(self, screens: list[Screen]) -> Findings:
        languages = LANGUAGES[:1] if self.options.quick else LANGUAGES
        themes = THEMES[:1] if self.options.quick else THEMES
        for screen in screens:
            say(f"  {screen.name}")
            for language, theme, width in product(languages, themes, (1440, 390)):
                with self.page(screen, language, theme, width) as page:
                    self._judge(page, screen, language, theme, width)
            self._fits(screen)
            self._weighs(screen)
            self._reached(screen)
        return self.found

    @contextmanager
    def page(self, screen: Screen, language: str, theme: str, width: int, **more: Any) -> Iterator[Any]:
        """The loaded page; whatever its console says is held against it."""
        complaints: list[str] = []
        context = browser.window(self.chromium, width, dark=theme == "dark", **more)
        context.add_cookies(self._cookies(screen.user, language))
        page = context.new_page()
        browser.listen(page, complaints)
        browser.watch_shifts(page)
        try:
            page.goto(self.address + screen.path, wait_until="load")
            page.wait_for_timeout(250)
            yield page
        finally:
            context.close()
        expected = "status of 403" if screen.name == "refused" else "\0"
        where = f"{screen.name} {language} {theme} {width}"
        self.found.blame("console", where, [one for one in complaints if expected not in one])

    def _cookies(self, username: str, language: str) -> list[Any]:
        from django.contrib.auth.models import User

        from orderhub.tests.screens.conftest import cookies_of

        user = User.objects.get(username=username) if username else None
        return cookies_of(user, self.address, language)

    def _judge(self, page: Any, screen: Screen, language: str, theme: str, width: int) -> None:
        where = f"{screen.name} {language} {theme} {width}"
        found = self.found
        found.n_pages += 1
        rules = browser.PUBLIC_RULES if screen.is_public else browser.RULES
        found.blame("axe", where, browser.violations(page, rules=rules))
        if over := browser.overflow(page):
            found.blame("fit", where, [f"{over} px too wide"])
        if screen.is_ours:
            small = browser.small_targets(page, 24)
            found.blame("targets", where, small)
        found.blame("language", where, words.foreign(page, language, self.data, screen.words))
        found.blame("chips", where, page.evaluate(NAKED_CHIPS))
        found.size("shift", screen.name, browser.shifted(page))
        if browser.shifted(page) > MOST_SHIFT:
            for one in browser.moved(page)[:3]:
                say(f"    moved: {where}: {one}")
        if self.options.pictures and (language, theme, width) in PICTURES:
            self.options.pictures.mkdir(parents=True, exist_ok=True)
            name = f"{screen.name}-{language[:2]}-{theme}-{width}.jpg"
            page.screenshot(path=self.options.pictures / name, type="jpeg", quality=45)

    def _fits(self, screen: Screen) -> None:
        for width in (320, 768):
            with self.page(screen, "zh-hans", "light", width) as page:
                if over := browser.overflow(page):
                    self.found.blame("fit", f"{screen.name} {width}", [f"{over} px too wide"])
        with self.page(screen, "en", "light", 1440) as page:
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            if over := browser.overflow(page):
                self.found.blame("fit", f"{screen.name} text at 200 %", [f"{over} px too wide"])
        for width in (390, 1440):
            with self.page(screen, "en", "light", width) as page:
                browser.lengthen(page)
                if over := browser.overflow(page):
                    self.found.blame("long", f"{screen.name} {width} longer texts", [f"{over} px too wide"])

    def _weighs(self, screen: Screen) -> None:
        context = browser.window(self.chromium, 1440)
        context.add_cookies(self._cookies(screen.user, "zh-hans"))
        for measure in ("cold", "warm"):
            page = context.new_page()
            wire = browser.Wire(page)
            page.goto(self.address + screen.path, wait_until="load")
            page.wait_for_timeout(300)
            kind = "public" if screen.is_public and measure == "cold" else measure
            self.found.size(kind, screen.name, wire.n_bytes / 1024)
            own = self.address.split("//")[1]
            strange = [one for one in wire.addresses if "//" in one and own not in one and "data:" not in one]
            self.found.blame("third party", screen.name, strange)
            page.close()
        context.close()

    def _reached(self, screen: Screen) -> None:
        if not screen.first:
            return
        with self.page(screen, "zh-hans", "light", 1440) as page:
            # The first Tab shows the skip link; Enter follows it.
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            n_presses = 2 + browser.tabs_until(page, screen.first, at_most=20)
            self.found.size("tabs", screen.name, n_presses)
