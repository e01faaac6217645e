"""The URL map of the house."""

from __future__ import annotations

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from orderhub import error_pages, health

urlpatterns = [
    path("", error_pages.front, name="front"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    # Browsers ask for it whatever the page says.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("orderhub/favicon.svg"))),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("promises.tracking.urls")),
    # Webhooks and the API, each with its full path.
    path("", include("integrations.urls")),
    # For strangers with a commitment in their hands.
    path("", include("promises.verification.urls")),
    # The transparency log, for programs.
    path("", include("promises.anchors.urls")),
    path("", include("promises.ledger.urls")),
]

handler403 = "orderhub.refusals.permission_denied"
handler404 = "orderhub.error_pages.not_found"
handler500 = "orderhub.error_pages.failed"
