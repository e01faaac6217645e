"""HTML to PDF/A-3a by WeasyPrint, with the bundled letters, and nothing fetched that is not in the page itself."""

from __future__ import annotations

import atexit
import warnings
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.template.loader import get_template
from django.utils.translation import gettext as _

from promises.document import faces

STYLE = "promises/document/paper.css"
VARIANT = "pdf/a-3a"


def to_pdf(html: str, *, attachment: bytes, name: str, at: datetime) -> bytes:
    """The page with the attachment in it. at: the only time in the file, so that the same page gives the same bytes.

    Raises Unprintable where the machine lacks what sets the type.
    """
    try:
        from weasyprint import HTML, Attachment
    except OSError as missing:
        raise faces.Unprintable(
            _(
                "Pango is missing on this machine; install libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0"
            )
        ) from missing

    fonts, style = _style()
    page = HTML(string=html, base_url="data:,", url_fetcher=_only("data"))
    with warnings.catch_warnings():
        # WeasyPrint leaves the file of its colour profile to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        return bytes(
            page.write_pdf(
                stylesheets=[style],
                font_config=fonts,
                pdf_variant=VARIANT,
                pdf_tags=True,
                attachments=[
                    Attachment(
                        string=attachment,
                        name=name,
                        description="The promise itself (RFC 8785)",
                        relationship="Source",
                        created=at,
                        modified=at,
                        url_fetcher=_only("data"),
                    )
                ],
            )
        )


def _only(*protocols: str) -> Any:
    """Whoever writes an address into a product's name is not to read a file or call a server with it."""
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=protocols, allow_redirects=False, fail_on_errors=True)


@lru_cache(maxsize=1)
def _style() -> tuple[Any, Any]:
    """The fonts are read once a process: each new configuration costs half a paper."""
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration

    faces.bundled()
    fonts = FontConfiguration()
    # It lets go of its files by functions that are gone when the process ends.
    atexit.register(_style.cache_clear)
    text = get_template(STYLE).render({"regular": _address(faces.REGULAR), "bold": _address(faces.BOLD)})
    # Our own stylesheet, which holds nothing from outside, is the one place that reads files: the two fonts.
    return fonts, CSS(string=text, font_config=fonts, url_fetcher=_only("file"))


def _address(name: str) -> str:
    return (faces.FOLDER / name).as_uri()
