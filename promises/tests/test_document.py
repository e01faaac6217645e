from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
import zxingcpp
from django.conf import settings
from PIL import Image, ImageFilter

from promises import canonical
from promises.document import Letterhead, Unprintable, faces, render
from promises.document.printing import to_pdf
from promises.tests.promise import payload
from promises.verification import verify

AT = datetime(2025, 11, 22, tzinfo=UTC)
TOKEN = ("AEZ2345672ABCDEFGHIJKLMNOPQRSTUVWXY" * 6)[:191]
URL = "https://promises.example.com/v/"
TERMS = "逾期每日补偿百分之一。\nOne per cent a day is paid back."


def items(n: int) -> list[dict[str, object]]:
    names = ("前刹车片", "机油滤清器", "雨刮片", "点火线圈", "减震器", "火花塞", "空调滤芯", "转向拉杆")
    return [{"name": f"{names[i % 8]} P85-{i:03d}", "qty": i + 1, "unit": "套"} for i in range(n)]


def paper(**changed: object) -> bytes:
    terms = str(changed.pop("terms_text", TERMS))
    return render(
        payload(terms=hashlib.sha256(terms.encode()).hexdigest() if terms else None, **changed),
        token_text=TOKEN,
        verify_url=URL,
        terms=terms,
        letterhead=Letterhead(hotline="400-000-0000"),
    )


def texts(data: bytes) -> list[str]:
    with closing(pypdfium2.PdfDocument(data)) as document:
        return [_text_of(document[place]) for place in range(len(document))]


def _text_of(page: pypdfium2.PdfPage) -> str:
    with closing(page), closing(page.get_textpage()) as text:
        return re.sub(r"\s+", " ", text.get_text_bounded())


def picture(data: bytes, dpi: int = 150) -> Image.Image:
    with closing(pypdfium2.PdfDocument(data)) as document, closing(document[0]) as page:
        return page.render(scale=dpi / 72).to_pil()


def read(image: Image.Image) -> list[str]:
    return [code.text for code in zxingcpp.read_barcodes(image)]


def attached(data: bytes) -> dict[str, bytes]:
    with closing(pypdfium2.PdfDocument(data)) as document:
        found = [document.get_attachment(place) for place in range(document.count_attachments())]
        return {one.get_name(): bytes(one.get_data()) for one in found}


def test_the_paper_says_the_promise_in_both_languages_on_one_page():
    pages = texts(
        paper(
            items=items(12),
            order_tail="0123",
            to="王**",
            window={"from": 1_763_913_600, "to": 1_764_072_000},
            basis={"model": "v12", "lane": "city", "p": 953, "n": 412},
        )
    )

    assert len(pages) == 1
    for said in (
        "ZRFJ-Q39T-BHZ9-0492-H",
        "2025年11月25日",
        "the end of 25 November 2025",
        "Expected 24 November 2025 to 25 November 2025",
        "412 单",
        "stated odds 95.3%",
        "王**",
        "绍兴市",
        "promises.example.com/v",
        "逾期每日补偿百分之一。",
        "400-000-0000",
        "前刹车片 P85-000",
    ):
        assert said in pages[0], said


def test_odds_are_never_printed_without_the_number_of_orders_behind_them():
    (page,) = texts(paper(basis={"model": "v12", "lane": "city", "p": 953}))

    assert "%" not in page
    assert "what orders to the same city took" in page


def test_a_day_confirmed_by_a_person_pretends_to_no_odds():
    (page,) = texts(paper(basis={"model": "person", "lane": "confirmed", "p": 0}))

    assert "a day confirmed by the seller" in page
    assert "%" not in page


def test_the_code_is_read_from_a_picture_of_the_paper():
    image = picture(paper(items=items(12))).convert("L")

    turned = image.rotate(2, expand=True, fillcolor=255).filter(ImageFilter.GaussianBlur(0.7))

    assert read(image) == [(URL + TOKEN).upper()]
    assert read(turned) == [(URL + TOKEN).upper()]


def test_the_code_is_thirty_millimetres_wide_and_still_read_at_a_hundred_dots_an_inch():
    data = paper()
    (code,) = zxingcpp.read_barcodes(picture(data, dpi=254).convert("L"))
    corners = code.position

    modules = 49
    assert (corners.top_right.x - corners.top_left.x) / 10 == pytest.approx(
        30 * modules / (modules + 8), abs=0.6
    )
    assert read(picture(data, dpi=100).convert("L")) == [(URL + TOKEN).upper()]


def links(data: bytes) -> set[tuple[float, float, int]]:
    """Width and height in millimetres, and the flags of each."""
    with closing(pypdfium2.PdfDocument(data)) as document, closing(document[0]) as page:
        found = [pdfium.FPDFPage_GetAnnot(page, at) for at in range(pdfium.FPDFPage_GetAnnotCount(page))]
        return {_link(one) for one in found}


def _link(one: object) -> tuple[float, float, int]:
    place = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(one, place)
    sides = (place.right - place.left, place.bottom - place.top)
    flags = pdfium.FPDFAnnot_GetFlags(one)
    pdfium.FPDFPage_CloseAnnot(one)
    return (*(round(abs(side) / 72 * 25.4, 1) for side in sides), flags)


def test_the_code_is_a_link_too_for_programs_that_have_no_eyes():
    data = paper()

    assert verify.paper(data).token == TOKEN.upper()
    # All of the code can be pressed; PDF/A wants each annotation to be printed.
    assert links(data) == {(30.0, 30.0, pdfium.FPDF_ANNOT_FLAG_PRINT)}


def test_the_payload_is_attached_to_the_byte():
    said = payload(items=items(3), terms=hashlib.sha256(TERMS.encode()).hexdigest())

    assert attached(paper(items=items(3))) == {"commitment.json": canonical.encode(said)}


def test_the_same_payload_gives_the_same_bytes_in_another_process():
    program = (
        "import django; django.setup()\n"
        "from promises.tests.test_document import paper\n"
        "import hashlib; print(hashlib.sha256(paper()).hexdigest())"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "orderhub.settings"}

    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    assert hashlib.sha256(paper()).hexdigest() == other
    assert hashlib.sha256(paper()).hexdigest() != hashlib.sha256(paper(due=1_764_072_001)).hexdigest()


def test_a_paper_of_twelve_articles_weighs_at_most_sixty_kilobytes_and_names_its_language():
    data = paper(items=items(12))

    assert len(data) <= 60_000
    with closing(pypdfium2.PdfDocument(data)) as document:
        assert document.is_tagged()
        assert document.get_metadata_dict()["Title"] == "交付承诺书 ZRFJ-Q39T-BHZ9-0492-H"


def test_two_hundred_articles_go_over_pages_that_repeat_the_head():
    pages = texts(paper(items=items(200)))

    assert len(pages) > 3
    assert all("数量 Quantity" in page for page in pages[:-1])
    assert all(f"{number} / {len(pages)}" in page for number, page in enumerate(pages, start=1))
    assert sum(page.count("P85-") for page in pages) == 200


def test_a_name_of_sixty_characters_stays_on_the_paper():
    name = "超长名称汽配用品商贸有限责任公司" * 3 + "超长名称汽配用品商贸有限责任"[:12]

    (page,) = texts(paper(seller={"name": name[:60], "uscc": "91330000MA0000000X"}))

    assert name[:60] in page.replace(" ", "")


def test_whatever_stands_in_a_name_is_text():
    trick = '<img src="file:///etc/passwd"><script>x</script>&amp;'

    (page,) = texts(paper(items=[{"name": trick, "qty": 1, "unit": "套"}]))

    assert trick in page


@pytest.mark.parametrize(
    "markup", ['<img src="{file}">', '<img src="{url}a.png">', '<link rel="stylesheet" href="{url}b.css">']
)
def test_markup_from_outside_could_read_no_file_and_ask_no_port(tmp_path: Path, markup: str):
    from weasyprint.urls import FatalURLFetchingError

    secret = tmp_path / "secret.svg"
    secret.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text>canary</text></svg>')
    with closing(socket.create_server(("127.0.0.1", 0))) as canary:
        canary.settimeout(0.3)
        asked = markup.format(file=secret.as_uri(), url=f"http://127.0.0.1:{canary.getsockname()[1]}/")

        with pytest.raises(FatalURLFetchingError):
            to_pdf(f"<html lang='zh'><body>x{asked}</body></html>", attachment=b"{}", name="a", at=AT)

        with pytest.raises(TimeoutError):
            canary.accept()


def test_a_character_without_a_letter_is_named_instead_of_printed_as_a_box():
    # A private use character: no font may have it.
    with pytest.raises(Unprintable, match="U\\+F0000"):
        faces.check("刹车片\U000f0000")


def test_other_terms_than_the_payload_names_are_refused():
    with pytest.raises(ValueError, match="terms"):
        render(
            payload(terms="0" * 64), token_text=TOKEN, verify_url=URL, terms=TERMS, letterhead=Letterhead()
        )


def test_a_payload_that_is_none_is_refused():
    with pytest.raises(canonical.Refused):
        paper(due="tomorrow")


def test_pages_do_not_load_what_makes_papers():
    program = (
        "import django; django.setup()\n"
        "import orderhub.urls, promises.document, sys\n"
        "print([name for name in ('weasyprint', 'fontTools') if name in sys.modules])"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "orderhub.settings"}

    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    assert loaded == "[]"
