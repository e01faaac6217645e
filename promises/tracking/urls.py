"""The customer's addresses."""

from __future__ import annotations

from django.urls import path

from promises.tracking import views

app_name = "tracking"

urlpatterns = [
    path("o/<str:token>/", views.page, name="page"),
    path("o/<str:token>/state/", views.state, name="state"),
    path("o/<str:token>/contact/", views.contact, name="contact"),
    path("o/<str:token>/ask/", views.ask, name="ask"),
    path("o/<str:token>/address/", views.address, name="address"),
    path("o/<str:token>/messages/", views.consent, name="consent"),
    path("o/<str:token>/rating/", views.rate, name="rate"),
    path("o/<str:token>/open/", views.entry_page, name="entry"),
]
