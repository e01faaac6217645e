"""The way in, as a person sees it."""

from __future__ import annotations

import pytest

from orderhub.bench.browser import overflow, violations


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_login_page_fits_and_can_be_used_by_everybody(open_page, language, width):
    page = open_page(None, "/admin/login/", language=language, width=width)

    assert overflow(page) == 0
    assert violations(page) == []
