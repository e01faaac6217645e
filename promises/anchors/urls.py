"""Public addresses of receipts."""

from __future__ import annotations

from django.urls import path

from promises.anchors import pages

app_name = "anchors"
urlpatterns = [
    path("log/receipts/<int:pk>", pages.receipt, name="receipt"),
    path("log/receipts/<int:pk>/head", pages.head, name="head"),
]
