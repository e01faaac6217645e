"""Colours are told apart and read by everybody: computed from the tokens themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from orderhub import style_page
from orders.tests.staff import staff_client


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_pair_of_tokens_has_the_contrast_it_needs(theme):
    too_low = [
        f"{row.front}/{row.back} {row.ratio:.2f}" for row in style_page.measured(theme) if not row.is_enough
    ]

    assert too_low == []


def test_contrast_is_measured_as_wcag_does():
    assert style_page.contrast("#000000", "#ffffff") == 21
    assert round(style_page.contrast("#b42318", "#fee4e2"), 2) == 5.45
    assert round(style_page.contrast("#bdb4fe", "#27115f"), 2) == 8.35


def test_both_themes_name_the_same_colours():
    light, dark = style_page.tokens()["light"], style_page.tokens()["dark"]

    assert sorted(light) == sorted(dark)


def test_the_sheet_of_the_public_pages_uses_the_same_colours():
    sheet = Path(str(finders.find("orderhub/public.css"))).read_text(encoding="utf-8")
    light, dark = (dict(style_page.TOKEN.findall(rule)) for rule in re.findall(r":root \{([^}]*)\}", sheet))

    assert {name: style_page.tokens()["light"][name] for name in light} == light
    assert {name: style_page.tokens()["dark"][name] for name in dark} == dark


@pytest.mark.django_db
def test_the_style_page_shows_every_token_pair_and_every_icon():
    page = staff_client("sales").get("/admin/style/", headers={"accept-language": "en"}).content.decode()

    assert page.count("enough</span>") == 2 * len(style_page.PAIRS)
    assert "too low" not in page
    assert page.count("data-state=") == 6


@pytest.mark.django_db
def test_the_style_page_is_for_staff(client):
    assert client.get("/admin/style/").status_code == 302
