"""The system's Chromium, and what can be measured of a page in it. Used by the browser tests and by script/bench screens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# No sandbox inside containers, no talk to anybody outside.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HEIGHTS = {320: 640, 390: 844, 768: 1024, 1440: 900}
# WCAG 2.2, A and AA.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# What strangers see is held to what axe calls good practice too.
PUBLIC_RULES = (*RULES, "best-practice")
# A phone on the way: 1.6 Mbit/s, 150 ms there and back, a processor four times as slow.
SLOW_LINE = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
SLOW_BY = 4


@contextmanager
def chromium() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, and Django refuses its database there unless told otherwise.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


def window(browser: Browser, width: int, *, dark: bool = False, **more: Any) -> BrowserContext:
    """A window of its own, without cookies; below 768 pixels it is a phone."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHTS.get(width, 900)},
        color_scheme="dark" if dark else "light",
        has_touch=width < 768,
        **more,
    )
    context.set_default_timeout(15_000)
    return context


def listen(page: Page, complaints: list[str]) -> None:
    """Note errors and warnings of the page's console, and pages or files that are missing."""

    def heard(message: Any) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))


def violations(page: Page, *, rules: Sequence[str] = RULES) -> list[str]:
    """What axe finds wrong with the page as it stands: rule, how often, and the first place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(rules)}})
    return [
        f"{one['id']} x{len(one['nodes'])}: {one['nodes'][0]['target']} {one['nodes'][0]['html'][:160]}"
        for one in found.response["violations"]
    ]


def slow_down(page: Page) -> None:
    """The line and the processor of a phone on the way, for this page."""
    talk = page.context.new_cdp_session(page)
    talk.send("Network.enable")
    talk.send("Network.emulateNetworkConditions", dict(SLOW_LINE))
    talk.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_BY})


# Two in five letters of English are vowels: doubled they make every text longer by that.
LENGTHEN = """() => {
  const data = 'script, style, template, textarea, pre, code, kbd, [translate=no], .material-symbols-outlined';
  const longer = text => text.replace(/[aeiouy]/gi, one => one + one.toLowerCase());
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) if (!texts.currentNode.parentElement.closest(data))
    texts.currentNode.nodeValue = longer(texts.currentNode.nodeValue);
  document.querySelectorAll('[placeholder]').forEach(one => { one.placeholder = longer(one.placeholder) }) }"""


def lengthen(page: Page) -> None:
    """Texts two fifths longer, as another language's would be."""
    page.evaluate(LENGTHEN)


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


SMALL_TARGETS = """least => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, summary, [role=button]')]
  .filter(one => one.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
  .filter(one => getComputedStyle(one).display !== 'inline')
  .filter(one => !one.closest('.visually-hidden, .sr-only'))
  .map(one => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.width > 1 && box.height > 1 && (box.width < least - 0.5 || box.height < least - 0.5))
  // A small box inside a label that is large enough is not small to a finger.
  .filter(([one]) => { const label = one.closest('label'); if (!label) return true; const box = label.getBoundingClientRect();
    return box.width < least - 0.5 || box.height < least - 0.5 })
  .map(([one, box]) => `${one.outerHTML.slice(0, 120)} ${Math.round(box.width)}x${Math.round(box.height)}`)"""


def small_targets(page: Page, least: int) -> list[str]:
    """What can be pressed and is smaller than so many pixels; links inside running text do not count (WCAG 2.5.8)."""
    found: list[str] = page.evaluate(SMALL_TARGETS, least)
    return found


def largest_paint(page: Page) -> float:
    """Milliseconds until the largest thing was painted."""
    script = """() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
      .observe({type: 'largest-contentful-paint', buffered: true}))"""
    return float(page.evaluate(script))


WATCH_SHIFTS = """window.shifts = [];
const box = one => [one.x, one.y, one.width, one.height].map(Math.round).join(' ');
const named = one => `${box(one.previousRect)} -> ${box(one.currentRect)} `
  + (one.node?.outerHTML ?? one.node?.textContent ?? 'gone').trim().slice(0, 100);
new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput)
  window.shifts.push([one.value, one.sources.map(named)]) }).observe({type: 'layout-shift', buffered: true})"""


def watch_shifts(page: Page) -> None:
    page.add_init_script(WATCH_SHIFTS)


def shifted(page: Page) -> float:
    """How much has moved by itself since the page began to load (CLS)."""
    return float(sum(value for value, _what in page.evaluate("window.shifts")))


def moved(page: Page) -> list[str]:
    """What has moved by itself, the widest move first, each with its part of CLS."""
    shifts = sorted(page.evaluate("window.shifts"), key=lambda one: -one[0])
    return [f"{value:.4f} {' | '.join(what)}" for value, what in shifts]


class Wire:
    """Counts the bytes that come over the wire for one page, compressed as they are."""

    def __init__(self, page: Page) -> None:
        self.n_bytes = 0
        self.addresses: list[str] = []
        talk = page.context.new_cdp_session(page)
        talk.send("Network.enable")
        talk.on("Network.loadingFinished", self._finished)
        talk.on("Network.requestWillBeSent", lambda event: self.addresses.append(event["request"]["url"]))

    def _finished(self, event: Any) -> None:
        self.n_bytes += int(event["encodedDataLength"])
