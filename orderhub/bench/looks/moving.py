"""What moves and how soon it is painted: a board under news, public pages for strangers, a board with many orders behind it."""

from __future__ import annotations

import statistics
import time
from argparse import Namespace

from orderhub.bench import browser
from orderhub.bench.figures import Figure, at_most, say
from orderhub.bench.looks.listed import Screen, screens
from orderhub.bench.looks.walk import MOST_SHIFT, Look


def streamed(look: Look, options: Namespace) -> list[Figure]:
    """How much moves by itself while news come to an open board, twice a second."""
    from django.utils.timezone import now

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
        for one in browser.moved(page)[:3]:
            say(f"    moved: {one}")
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


def public_paints(look: Look) -> list[Figure]:
    """How soon strangers see something: here, and on a phone on the way; of each page the middle of five."""
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


def speed(look: Look, options: Namespace) -> list[Figure]:
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
    with look.page(board, "zh-hans", "light", 1440) as page:
        return browser.largest_paint(page)
