"""The addresses of verifying. Scanners change case, chats add slashes: all of it leads to the same page."""

from __future__ import annotations

from django.urls import path, re_path

from promises.verification import files, views

app_name = "verification"

urlpatterns = [
    path("log/verify.py", views.verifier, name="verifier"),
    re_path(r"^log/(?:(?P<purpose>demo)/)?figures$", views.figures, name="figures"),
    re_path(r"^[vV]/+(?P<text>[A-Za-z2-7]{191})\.tlog-proof$", views.proof, name="proof"),
    path("v/file/", files.page, name="file"),
    re_path(r"^[vV]/+(?P<what>[^/].*)$", views.page, name="one"),
    path("v/", views.page, name="form"),
    re_path(r"^[vV]/*$", views.page),
]
