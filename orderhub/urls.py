"""The URL map of the house."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from orderhub import health

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    # Webhooks and the API, each with its full path.
    path("", include("integrations.urls")),
]

handler403 = "orderhub.refusals.permission_denied"
