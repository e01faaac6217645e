"""The admin site of the house: whole logins only, its own navigation, and the pages of the second factor."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.core.cache import cache
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode
from django.utils.module_loading import import_string
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from orderhub import navigation, second_factor
from orderhub.middleware import is_whole
from orders.worktime import missing_year

# Pages of our own under /admin/: each a function (site) -> URL patterns; the views check permissions themselves.
PAGES: tuple[str, ...] = (
    "orders.board.pages.urls",
    "orderhub.live.pages",
    "orderhub.today.pages",
    "orderhub.template.pages",
    "orderhub.wizard.pages",
    "orderhub.me.pages",
    "orderhub.palette.pages",
    "orderhub.style_page.pages",
    "integrations.developer.pages",
    "integrations.gallery.urls",
    "promises.backtest_page.pages",
    "promises.calibration_page.pages",
    "promises.commitments.pages.pages",
    "promises.tracking.pages.pages",
)


class HubAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Everything under /admin/."""

    index_title = _("Today")
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        if not super().has_permission(request):
            return False
        return settings.DEMO or is_whole(request.user)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Password first; whoever has given it goes on to the second factor."""
        half = getattr(request, "half_logged_in", request.user)
        if (
            request.method == "GET"
            and half.is_authenticated
            and half.is_staff
            and not self.has_permission(request)
        ):
            wanted = request.GET.get("next", "")
            return HttpResponseRedirect(f"{reverse('admin:second_factor')}?{urlencode({'next': wanted})}")
        response: HttpResponse = super().login(request, extra_context)
        return response

    def extra_urls(self) -> list[URLPattern]:
        # Not behind admin_view: whoever is here has given a password only. The pages themselves ask for that.
        return [
            path("second-factor/", self.second_factor, name="second_factor"),
            path("second-factor/set-up/", self.second_factor_enrol, name="second_factor_enrol"),
            path("second-factor/leave/", self.second_factor_leave, name="second_factor_leave"),
            *(url for page in PAGES for url in import_string(page)(self)),
        ]

    def second_factor(self, request: HttpRequest) -> HttpResponse:
        return second_factor.verify(request, self)

    def second_factor_enrol(self, request: HttpRequest) -> HttpResponse:
        return second_factor.enrol(request, self)

    def second_factor_leave(self, request: HttpRequest) -> HttpResponse:
        """Back to the login page, as somebody else perhaps. By POST only."""
        if request.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        logout(request)
        return redirect("admin:login")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from orderhub import today

        return today.index(request, self)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        return {
            **context,
            "demo_banner": second_factor.demo_banner(request),
            "calendar_banner": calendar_banner(request),
            **(_frame(request) if self.has_permission(request) else {}),
        }

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Worked out when somebody looks at it: every page is given it, and the side bar shows its own places instead."""
        if app_label:
            return super().get_app_list(request, app_label)
        return SimpleLazyObject(partial(super().get_app_list, request))

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Unfold's search box over record kinds. Not cached as Unfold does it: a role taken away is gone at once."""
        wanted = request.GET.get("s", "").strip().lower()
        if not wanted:
            return HttpResponse()
        results = self._search_apps(self.get_app_list(request), wanted)
        page = Paginator(results, 100)
        context = {"page_obj": page, "results": page.page(1), "page_counter": 0, "execution_time": 0}
        return TemplateResponse(
            request, "unfold/helpers/search_results.html", context, headers={"HX-Trigger": "search"}
        )


def _frame(request: HttpRequest) -> dict[str, Any]:
    """What the header shows to whoever is in."""
    return {
        "hub_pages": navigation.places(request),
        "hub_search": navigation.search_address(request),
        "preference": getattr(request, "preference", None),
    }


def calendar_banner(request: HttpRequest) -> str:
    """From 1 November, while the next year's holidays are not published: every clock that runs into it is a guess."""
    if not request.user.is_authenticated:
        return ""
    # Every page asks; holidays are published once a year.
    year = cache.get_or_set("missing_year", lambda: missing_year(now()) or 0, 60)
    if not year:
        return ""
    return gettext("The holidays of %(year)s are not published. Deadlines in that year are provisional.") % {
        "year": year
    }


# Other packages register their own tables. Some are dangerous there (a queue's schedule names any function to run),
# some are secrets (second factors), none is for this house's staff.
APPS_SHOWN = frozenset({"orders", "integrations", "exceptions", "promises", "insights", "auth"})


def hide_foreign_records() -> None:
    from django.contrib import admin

    foreign = [model for model in admin.site._registry if model._meta.app_label not in APPS_SHOWN]
    for model in foreign:
        admin.site.unregister(model)
