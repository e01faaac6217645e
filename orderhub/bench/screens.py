"""Every screen in a real Chromium, in both languages and themes, on a desk and on a phone: what it weighs, whether it fits."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

from orderhub import env, serve
from orderhub.bench.figures import Figure, at_most, exactly, plain, say
from orderhub.bench.house import House

# A working Wednesday, half past ten in the morning: the demo seller is at work.
NOW = "2026-11-18T10:30:00+08:00"
LANGUAGES, THEMES = ("zh-hans", "en"), ("light", "dark")
COLD, WARM = 250, 40
MOST_SHIFT = 0.02
# How many findings of one kind are listed in full for each screen.
SHOWN = 8
# The pictures that the documents show: each screen in both languages, both themes and both widths, in four pictures.
PICTURES = (("zh-hans", "light", 1440), ("en", "dark", 1440), ("zh-hans", "dark", 390), ("en", "light", 390))
# Latin words that Chinese pages may show: names of things that have no other, units, keys.
LATIN = frozenset(
    [
        *(
            "orderhub",
            "api",
            "csv",
            "xlsx",
            "json",
            "jsonl",
            "jmespath",
            "url",
            "utc",
            "http",
            "https",
            "webhook",
        ),
        *(
            "webhooks",
            "token",
            "tokens",
            "sku",
            "wms",
            "crm",
            "post",
            "get",
            "ids",
            "ctrl",
            "cmd",
            "shift",
            "enter",
        ),
        *(
            "esc",
            "tab",
            "excel",
            "english",
            "standard",
            "kib",
            "cny",
            "usd",
            "hub",
            "pdf",
            "javascript",
            "unix",
            "openapi",
            "swagger",
            "redoc",
        ),
        *("curl", "sha", "sha256", "hmac", "base64", "python", "gbk", "utf", "bom", "iso", "ascii"),
    ]
)


API_FIELDS = frozenset(["application", "detail", "field", "items", "test", "timestamp"])


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--orders", type=int, default=1500, help="orders of the demo seller (1,500)")
    parser.add_argument(
        "--filler", type=int, default=100_000, help="orders behind the speed figures (100,000)"
    )
    parser.add_argument("--stream", type=int, default=60, help="seconds of news to an open board (60)")
    parser.add_argument("--only", default="", help="screens whose name begins with this")
    parser.add_argument("--quick", action="store_true", help="Chinese and light only, no speed figures")
    parser.add_argument("--pictures", type=Path, help="also write the pictures of the documents there")


@dataclass(frozen=True)
class Screen:
    """One page as one person sees it. first: what the eye looks for first, to be reached in three Tabs."""

    name: str
    path: str
    user: str = "ops_manager"
    first: str = ""
    is_public: bool = False
    is_ours: bool = True
    # Latin words of its own, like an interface's names of fields.
    words: frozenset[str] = frozenset()


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


def run(house: House, options: Namespace) -> list[Figure]:
    import time_machine

    from orderhub.bench import browser

    os.environ.update({"ORDERHUB_DEMO": "1", "ORDERHUB_BENCH_NOW": NOW})
    with time_machine.travel(datetime.fromisoformat(NOW), tick=True):
        _seed(options.orders)
        _collect_static()
        with _web(house) as address, browser.chromium() as chromium:
            look = Look(chromium, address, options)
            found = look.around([one for one in screens() if one.name.startswith(options.only)])
            speed = (
                []
                if options.quick
                else [*_streamed(look, options), *_public_paints(look), *_speed(look, options)]
            )
    return [*_table(found), *speed]


def _seed(n_orders: int) -> None:
    from django.utils.timezone import now

    from orderhub import demo
    from orderhub.demo.logins import give_scopes, make_logins
    from orders.dispatch import dispatch_waiting
    from promises.ledger import sequencer

    file = env.path("ORDERHUB_VAR", env.ROOT / "var") / "logins.txt"
    make_logins(file)
    demo.load(n_orders, seed=1, at=now())
    give_scopes(file)
    while dispatch_waiting():
        pass
    # What the steward does every few seconds.
    sequencer.sweep()


def _collect_static() -> None:
    # In a process of its own: this one reads its settings once, and they say plain names.
    subprocess.run([sys.executable, "-m", "orderhub.preparation"], check=True, cwd=env.ROOT)


@contextmanager
def _web(house: House) -> Iterator[str]:
    """The real web server, with the moment of the pictures for its clock and hashed static files."""
    os.environ["ORDERHUB_HASHED_STATIC"] = "1"
    command = serve.web_command("127.0.0.1", house.port, threads=4)
    command[-1] = "orderhub.bench.frozen_wsgi:application"
    house._start("web", command)
    house._wait_for_web()
    try:
        yield f"http://127.0.0.1:{house.port}"
    finally:
        house.stop()


def screens() -> list[Screen]:
    """Every page there is something to look at, with the person it is for."""
    late, done = _two_orders()
    board = _page("board")
    rows = "[data-row], tbody tr"
    return [
        Screen("login", _page("login"), user=""),
        Screen("today", _page("index"), first="main"),
        Screen("board", board, first=rows),
        Screen("board-kanban", f"{board}?layout=kanban"),
        Screen("board-empty", f"{board}?q=000000000000"),
        Screen("board-keeper", board, "warehouse", rows),
        Screen("order-late", _page("orders_order_change", late), first="main"),
        Screen("order-delivered", _page("orders_order_change", done), "service", "main"),
        Screen("connections", _page("connections"), "integrator"),
        Screen("mapping", _first_change("integrations", "fieldmapping"), "integrator"),
        Screen("import", _page("integrations_importrun_add")),
        Screen("template", _page("template")),
        Screen("wizard", _page("wizard")),
        Screen("api", _page("api"), "integrator", words=API_FIELDS),
        Screen("style", _page("style")),
        Screen("me", _page("me")),
        Screen("refused", _page("auth_user_changelist"), "warehouse"),
        Screen("shops", _page("orders_shop_changelist"), is_ours=False),
        Screen("messages", _page("integrations_inboundmessage_changelist"), "integrator", is_ours=False),
        Screen("shop", _first_change("orders", "shop"), is_ours=False),
        Screen("backtest", _page("promise_backtest")),
        Screen("calibration", _page("promise_calibration")),
        Screen("commitments", _page("promises_promise_changelist"), is_ours=False),
        Screen("customer", _customers_page(late), user="", is_public=True),
        Screen("verify", "/v/", user="", is_public=True),
        Screen("verified", f"/v/{_token()}", user="", is_public=True),
    ]


def _customers_page(order_id: int) -> str:
    from orders.models import Order
    from promises.tracking import links

    return links.address_of(Order.objects.get(pk=order_id))


def _token() -> str:
    """Of a commitment in force, as its code carries it."""
    from promises import token
    from promises.models import Promise

    promise = Promise.objects.filter(state=Promise.State.ACTIVE).order_by("pk").first()
    assert promise is not None
    return token.to_text(bytes(promise.token))


def _page(name: str, *numbers: int) -> str:
    from django.urls import reverse

    return reverse(f"admin:{name}", args=numbers)


def _two_orders() -> tuple[int, int]:
    from orders.models import Order

    on_the_way = Order.objects.filter(is_open=True).exclude(stage="delivered")
    late = on_the_way.filter(stalled_at__isnull=False).order_by("pk").first()
    late = late or on_the_way.order_by("promised_at", "step_due_at").first()
    done = Order.objects.filter(stage="delivered").order_by("-pk").first()
    assert late is not None
    assert done is not None
    return late.pk, done.pk


def _first_change(app: str, model: str) -> str:
    from django.apps import apps
    from django.urls import reverse

    first = apps.get_model(app, model).objects.order_by("pk").first()
    return reverse(f"admin:{app}_{model}_change", args=[first.pk]) if first else reverse("admin:index")


class Look:
    """A walk through the screens with one browser."""

    def __init__(self, chromium: Any, address: str, options: Namespace) -> None:
        self.chromium, self.address, self.options = chromium, address, options
        self.found = Findings()
        self.data = _words_of_data()

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
        from orderhub.bench import browser

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
        from orderhub.bench import browser

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
        found.blame("language", where, self._foreign(page, language, screen.words))
        found.blame("chips", where, page.evaluate(NAKED_CHIPS))
        found.size("shift", screen.name, browser.shifted(page))
        if self.options.pictures and (language, theme, width) in PICTURES:
            self.options.pictures.mkdir(parents=True, exist_ok=True)
            name = f"{screen.name}-{language[:2]}-{theme}-{width}.jpg"
            page.screenshot(path=self.options.pictures / name, type="jpeg", quality=45)

    def _foreign(self, page: Any, language: str, known_here: frozenset[str]) -> list[str]:
        """Words of the other language, apart from data."""
        text: str = KEYS.sub(" ", page.evaluate(WORDS))
        for known in self.data:
            text = text.replace(known, " ")
        if language == "en":
            return sorted(set(re.findall(r"[\u4e00-\u9fff]+", text)))[:5]
        words = {word for word in LATIN_WORD.findall(text) if word.lower() not in LATIN | known_here}
        return sorted(words)[:8]

    def _fits(self, screen: Screen) -> None:
        from orderhub.bench import browser

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
        from orderhub.bench import browser

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
        from orderhub.bench import browser

        if not screen.first:
            return
        with self.page(screen, "zh-hans", "light", 1440) as page:
            # The first Tab shows the skip link; Enter follows it.
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            n_presses = 2 + browser.tabs_until(page, screen.first, at_most=20)
            self.found.size("tabs", screen.name, n_presses)


# Zones of the tz database, numbers of orders, waybills and attestations (the last sign of which checks the others), quantiles,
# names of HTTP's headers, codes of facts, names of logs. Chinese letters count as \w: no \b.
KEYS = re.compile(
    r"(?<![A-Za-z])(?:[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+|OH\d{6}-[0-9A-Z]+|[A-Z]{2}\d{6,}|P\d\d|[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}-[0-9A-Z*~$=]"
    r"|(?:[A-Z][a-z]+-)+[A-Z][a-z]+|Authorization|[a-z]+(?:[._][a-z]+)+|[\w.:-]+/t/[a-z0-9/-]+)(?![A-Za-z])"
)
LATIN_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]{2,}")
NAKED_CHIPS = """() => [...document.querySelectorAll('.chip')].filter(one => !one.querySelector('svg') || !one.textContent.trim())
  .map(one => one.outerHTML.slice(0, 120))"""
# What a person reads, without what is data and what is typed.
WORDS = """() => { const copy = document.body.cloneNode(true);
  const data = '.material-symbols-outlined, script, style, template, textarea, pre, code, kbd, [translate=no], [lang]';
  copy.querySelectorAll(data).forEach(one => one.remove());
  const named = one => ['aria-label', 'title', 'placeholder'].map(name => one.getAttribute(name) || '');
  const spoken = [...copy.querySelectorAll('*')].flatMap(named).join(' ');
  const texts = [], walk = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) texts.push(walk.currentNode.nodeValue);
  return spoken + ' ' + texts.join(' ') }"""


def _words_of_data() -> list[str]:
    """Names that belong to the data: they stay as they are in every language. Longest first."""
    from django.contrib.auth.models import User

    from integrations.models import Connection, FieldMapping
    from orders.models import Customer, Shop, Warehouse

    words = {
        name for model in (Customer, Shop, Warehouse) for name in model.objects.values_list("name", flat=True)
    }
    # Sources are told by the names of their connections.
    words |= {name for row in Connection.objects.values_list("label", "slug") for name in row}
    words |= {word for row in Shop.objects.values_list("code", "platform") for word in row}
    words |= set(FieldMapping.objects.values_list("name", flat=True))
    words |= set(User.objects.values_list("username", flat=True)) | {"简体中文", "中"}
    return sorted(filter(None, words), key=len, reverse=True)


def _table(found: Findings) -> list[Figure]:
    for measure, what in found.wrong.items():
        listed: Counter[str] = Counter()
        for one in what:
            screen = one.split()[0]
            listed[screen] += 1
            if listed[screen] <= SHOWN:
                say(f"  {measure}: {one}")
    for screen, shift in found.sizes.get("shift", {}).items():
        if shift > MOST_SHIFT:
            say(f"  shift: {screen}: {shift:.3f}")
    shell, public = found.sizes.get("cold", {}), found.sizes.get("public", {})
    heaviest, heaviest_public = (max(one, key=lambda name: one[name], default="") for one in (shell, public))
    return [
        plain("page variants looked at", found.n_pages),
        exactly("3 axe violations (WCAG 2.2 A + AA; public: best practice too)", found.n_wrong("axe")),
        at_most("5 Tab presses to the first row", found.worst("tabs"), 3, ""),
        at_most(f"6 heaviest page of the shell, cold ({heaviest})", shell.get(heaviest, 0), COLD, "KiB"),
        at_most("6 heaviest page of the shell, warm", found.worst("warm"), WARM, "KiB"),
        at_most(
            f"6 heaviest public page, cold ({heaviest_public})", public.get(heaviest_public, 0), 20, "KiB"
        ),
        at_most("8 largest layout shift on load", found.worst("shift"), MOST_SHIFT, "", places=3),
        exactly("9 pages wider than their window (320, 390, 768, 1440, text 200 %)", found.n_wrong("fit")),
        exactly("28 pages too wide with texts longer by 40 %", found.n_wrong("long")),
        exactly("10 targets under 24 px", found.n_wrong("targets")),
        exactly("11 status chips without shape or word", found.n_wrong("chips")),
        exactly("26 requests to third parties", found.n_wrong("third party")),
        exactly("27 words of the other language", found.n_wrong("language")),
        exactly("39 errors and warnings on the console", found.n_wrong("console")),
    ]


def _streamed(look: Look, options: Namespace) -> list[Figure]:
    """How much moves by itself while news come to an open board, twice a second."""
    from django.utils.timezone import now

    from orderhub.bench import browser
    from orders.models import Order
    from orders.tests.factories import add_fact, settled

    board = next(one for one in screens() if one.name == "board")
    say(f"  {options.stream} s of news")
    with look.page(board, "zh-hans", "light", 1440) as page:
        page.wait_for_selector("html.scripted")
        ids = page.evaluate(
            "[...document.querySelectorAll('#board-list tr[data-id]')].map(one => Number(one.dataset.id))"
        )
        page.evaluate(COUNT_CHANGES)
        end, n = time.monotonic() + options.stream, 0
        while time.monotonic() < end:
            order = Order.objects.get(pk=ids[n % len(ids)])
            # In turn every order of the list gets the mark, then loses it again.
            is_rush = n // len(ids) % 2 == 0
            add_fact(order, "order.changed", occurred_at=now(), data={"fields": {"rush": is_rush}})
            settled(order, at=now())
            n += 1
            page.wait_for_timeout(500)
        page.wait_for_timeout(2000)
        shift, n_changed = browser.shifted(page), page.evaluate("window.changed")
    return [
        at_most(f"8 layout shift during {options.stream} s of news", shift, MOST_SHIFT, "", places=3),
        Figure(
            "8 of these news, cells changed before the eyes",
            f"{n_changed} of {n}",
            f">= {n // 2}",
            n_changed >= n // 2,
        ),
    ]


COUNT_CHANGES = """() => { window.changed = 0;
  new MutationObserver(all => { window.changed += new Set(all.map(one => one.target.closest?.('tr[data-id]'))
    .filter(Boolean)).size }).observe(document.querySelector('#board-list'), {childList: true, subtree: true}) }"""


def _public_paints(look: Look) -> list[Figure]:
    """How soon strangers see something: here, and on a phone on the way; of each page the middle of five."""
    from orderhub.bench import browser

    slowest = {"here": ("", 0.0), "slow": ("", 0.0)}
    for screen in (one for one in screens() if one.is_public):
        for where in slowest:
            paints = []
            for _time in range(5):
                context = browser.window(look.chromium, 390)
                page = context.new_page()
                if where == "slow":
                    browser.slow_down(page)
                page.goto(look.address + screen.path, wait_until="load")
                paints.append(browser.largest_paint(page))
                context.close()
            middle = statistics.median(paints)
            slowest[where] = max(slowest[where], (screen.name, middle), key=lambda one: one[1])
    return [
        at_most(f"7 slowest public page painted ({slowest['here'][0]})", slowest["here"][1], 500, "ms"),
        at_most(
            f"7 the same, slow line and processor ({slowest['slow'][0]})", slowest["slow"][1], 1500, "ms"
        ),
    ]


def _speed(look: Look, options: Namespace) -> list[Figure]:
    """The board with many orders behind it: how soon it is painted, and what fits on a phone."""
    from orderhub.bench.ground import make_shop, make_source
    from orderhub.bench.scale import Templates

    board = next(one for one in screens() if one.name == "board")
    with look.page(board, "zh-hans", "light", 390) as page:
        rows = page.evaluate(VISIBLE_ROWS)
    if options.filler:
        say(f"  {options.filler:,} orders behind the board")
        shop = make_shop()
        Templates(shop, make_source("bench-shop", "shop")).multiply(
            options.filler, min(20_000, options.filler // 5)
        )
    paints = []
    for _time in range(5):
        paints.append(_paint(look, board))
        time.sleep(0.2)
    return [
        Figure("9 orders visible at 390 x 844", str(rows), ">= 5", rows >= 5),
        at_most("7 board painted (LCP, median of 5)", statistics.median(paints), 800, "ms"),
    ]


VISIBLE_ROWS = """() => [...document.querySelectorAll('#board-list tr[data-id]')].map(one => one.getBoundingClientRect())
  .filter(box => box.height > 0 && box.top >= 0 && box.bottom <= innerHeight).length"""


def _paint(look: Look, board: Screen) -> float:
    from orderhub.bench import browser

    with look.page(board, "zh-hans", "light", 1440) as page:
        return browser.largest_paint(page)
