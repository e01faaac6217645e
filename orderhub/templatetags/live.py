"""The two marks a page needs to be live: {% live_head %} in its head, {% freshness %} where the chip stands."""

from __future__ import annotations

from typing import Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from orderhub import live
from orders.templatetags.hub import icon

register = template.Library()

# What live.js says.
TEXTS = {
    "live_live": gettext_lazy("Live · %(seconds)s s ago"),
    "live_late": gettext_lazy("Late · %(seconds)s s ago"),
    "live_cut": gettext_lazy("Cut off · data of %(at)s"),
    "live_banner": gettext_lazy(
        "No connection to the hub. You see the data of %(at)s; what is shown stays, and the page goes on by itself."
    ),
    "live_back": gettext_lazy("The connection is back. The page is live again."),
    "live_login": gettext_lazy("Log in"),
    "live_reload": gettext_lazy("Reload the page"),
}


def texts() -> dict[str, str]:
    found = {key: str(text) for key, text in TEXTS.items()}
    # The script fills in the number: one word form for one, one for more.
    found["live_changed_one"] = ngettext("%(n)s order changed", "%(n)s orders changed", 1)
    found["live_changed_more"] = ngettext("%(n)s order changed", "%(n)s orders changed", 2)
    return found


@register.simple_tag(takes_context=True)
def live_head(context: dict[str, Any]) -> SafeString:
    """The script and what it must know; nothing for whoever may not see orders.

    A page that reads its orders before its template is rendered gives the cursor of before as `live_cursor`, or is
    named in live.READ_BEFORE.
    """
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.has_perm(live.MAY):
        return SafeString("")
    given = {
        "cursor": str(context.get("live_cursor") or getattr(request, "live_cursor", "") or live.head()),
        "url": reverse("admin:live"),
        "login": reverse("admin:login"),
    }
    parts = [
        json_script(texts(), "live-texts"),
        json_script(given, "hub-live"),
        format_html('<link rel="stylesheet" href="{}">', static("orderhub/live.css")),
        format_html('<script src="{}" defer></script>', static("orderhub/live.js")),
    ]
    return format_html_join("\n", "{}", ((part,) for part in parts))


@register.simple_tag
def freshness() -> SafeString:
    """The chip. Without a script it says when the page was made."""
    at = localtime(now())
    words = _("Data of %(at)s") % {"at": f"{at:%H:%M:%S}"}
    return format_html(
        '<span class="chip chip-neutral num" data-freshness>{}<span>{}</span></span>', icon("clock"), words
    )
