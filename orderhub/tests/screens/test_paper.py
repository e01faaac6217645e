"""What comes out of the printer, read back from the PDF; and the header in a window as narrow as windows get."""

from __future__ import annotations

import re
from typing import Any

import pypdfium2
import pytest
from django.urls import reverse

from orders.tests.factories import add_fact, make_order, make_shop, settled
from orders.tests.staff import make_staff

A4 = (595, 842)


def printed(page: Any) -> list[tuple[tuple[int, int], str]]:
    """(size in points, text) of each sheet."""
    document = pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True))
    sheets = []
    for sheet in document:
        width, height = sheet.get_size()
        sheets.append(((round(width), round(height)), sheet.get_textpage().get_text_range()))
    return sheets


def test_the_board_is_printed_on_a4_with_its_heads_on_every_sheet_and_no_navigation(open_page):
    shop = make_shop("parts", name="Parts shop")
    numbers = {make_order(shop=shop).number for _ in range(45)}

    sheets = printed(open_page(make_staff("ops_manager"), reverse("admin:board")))

    text = "\n".join(text for _size, text in sheets)
    assert len(sheets) > 1
    assert {size for size, _text in sheets} == {A4}
    with_rows = [text for _size, text in sheets if any(number in text for number in numbers)]
    assert [text for text in with_rows if "Waiting on" not in text] == []
    assert {number for number in numbers if number in text} == numbers
    assert "Sources heard" not in text
    assert "Skip to" not in text


def test_the_order_page_is_printed_on_a4_with_its_links_spelled_out(open_page):
    order = make_order(external_id="240011223344")
    add_fact(order, "parcel.handed_over", role="wms", parcel="SF1000222")
    order = settled(order)

    sheets = printed(
        open_page(make_staff("ops_manager"), reverse("admin:orders_order_change", args=[order.pk]))
    )

    text = "\n".join(text for _size, text in sheets)
    assert {size for size, _text in sheets} == {A4}
    assert order.number in text
    assert "SF1000222" in text
    assert re.search(r"\(/admin/orders/order/", re.sub(r"\s", "", text))
    assert "Merge with others" not in text
    assert "Write a note" not in text


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_header_fits_a_window_of_320_pixels(open_page, language):
    page = open_page(make_staff("ops_manager"), reverse("admin:board"), language=language, width=320)

    boxes = page.eval_on_selector_all(
        ".hub-header :is(a, button)",
        """found => found.filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect())
          .map(box => [box.left, box.right, box.top, box.bottom])""",
    )

    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert len(boxes) >= 3
    assert [box for box in boxes if box[0] < 0 or box[1] > 320] == []
    # Of those that share a line, none lies on another.
    ordered = sorted(boxes)
    over = [
        (one, two)
        for place, one in enumerate(ordered)
        for two in ordered[place + 1 :]
        if two[0] < one[1] - 1 and two[2] < one[3] - 1 and one[2] < two[3] - 1
    ]
    assert over == []
