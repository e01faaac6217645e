from __future__ import annotations

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

from integrations.api import Facts, Orders, nothing_here
from integrations.views import Webhook

urlpatterns = [
    path("api/v1/facts/", Facts.as_view(), name="api-facts"),
    path("api/v1/orders/", Orders.as_view(), name="api-orders"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/docs/", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-docs"),
    path(
        "api/v1/redoc/",
        SpectacularRedocView.as_view(url_name="api-schema", template_name="integrations/redoc.html"),
        name="api-redoc",
    ),
    path("", include("orders.urls")),
    path("hooks/<str:slug>/", Webhook.as_view(), name="webhook"),
    re_path(r"^api/(?P<rest>.*)$", nothing_here),
]
