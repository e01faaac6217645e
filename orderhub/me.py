"""What one person sets for themselves: shortcuts, time zone, density; and the help page. Whoever is in may do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.desk import StaffPreference, preference_of

if TYPE_CHECKING:
    Form = forms.ModelForm[StaffPreference]
else:
    Form = forms.ModelForm


def pages(site: AdminSite) -> list[URLPattern]:
    def me(request: HttpRequest) -> HttpResponse:
        return show(request, site)

    def help_page(request: HttpRequest) -> HttpResponse:
        context = {**site.each_context(request), "title": _("Help"), "keys": KEYS}
        return TemplateResponse(request, "hub/help.html", context)

    return [
        path("me/", site.admin_view(me), name="me"),
        path("help/", site.admin_view(help_page), name="help"),
    ]


def zone_choices() -> list[tuple[str, Any]]:
    """The house's own zone first; then every zone by its name."""
    house = _("As the house: %(zone)s") % {"zone": settings.TIME_ZONE}
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return [("", house), *((name, name.replace("_", " ")) for name in names)]


class PreferenceForm(Form):
    timezone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        required=False,
        choices=zone_choices,
        # Names of places, the same in every language.
        widget=forms.Select(attrs={"translate": "no"}),
    )

    class Meta:
        model = StaffPreference
        fields = ("shortcuts", "timezone", "density")


def show(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The page; by POST it keeps what was chosen."""
    preference = preference_of(request.user)
    form = PreferenceForm(request.POST or None, instance=preference)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Your settings are saved."))
        return HttpResponseRedirect(reverse("admin:me"), status=303)
    context = {**site.each_context(request), "title": _("My settings"), "form": form}
    return TemplateResponse(request, "hub/me.html", context)


# The help page without a script; with one the overlay lists what is really registered on the page.
KEYS = (
    (gettext_lazy("Everywhere"), (
        ("?", gettext_lazy("Show this help")),
        ("/", gettext_lazy("Search")),
        ("Ctrl+K", gettext_lazy("Go to anything")),
        ("g h", gettext_lazy("Go to today")),
        ("g b", gettext_lazy("Go to the order board")),
        ("g e", gettext_lazy("Go to the exceptions")),
        ("g r", gettext_lazy("Go to the review gates")),
        ("g u", gettext_lazy("Go to the rules")),
        ("u", gettext_lazy("Undo the last action")),
        ("Esc", gettext_lazy("Close and return")),
    )),
    (gettext_lazy("In a list"), (
        ("j / k", gettext_lazy("Next and previous row")),
        ("x", gettext_lazy("Select the row")),
        ("Shift+x", gettext_lazy("Select up to this row")),
        ("Enter", gettext_lazy("Open")),
        ("o", gettext_lazy("Open in a new tab")),
        ("e", gettext_lazy("Act or resolve")),
        ("a", gettext_lazy("Assign")),
        ("s", gettext_lazy("Snooze")),
        (".", gettext_lazy("Menu of the row")),
    )),
)  # fmt: skip
