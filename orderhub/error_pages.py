"""What people read when a page is not there or has failed: what, why, what now, and the number of the request."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from orderhub import request_id

MACHINES = ("/api/", "/hooks/")


def front(request: HttpRequest) -> HttpResponse:
    """The bare address: staff go to their desk, everybody else reads what this is."""
    if admin.site.has_permission(request):
        return HttpResponseRedirect(reverse("admin:index"))
    return render(request, "public/front.html", {"title": "orderhub"})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404. Staff stay inside their navigation; outside of it the page says nothing of what exists."""
    if request.path.startswith(MACHINES):
        return _for_machines("not_found", _("There is nothing at this address."), 404)
    context = {"title": _("There is nothing at this address"), "request_id": request_id.current()}
    if request.path.startswith("/admin/") and admin.site.has_permission(request):
        return render(request, "404.html", {**admin.site.each_context(request), **context}, status=404)
    return render(request, "public/404.html", context, status=404)


def failed(request: HttpRequest) -> HttpResponse:
    """500. Asks nothing of the database, which may be what failed."""
    if request.path.startswith(MACHINES):
        return _for_machines("internal_error", _("The hub failed at this. Send it again later."), 500)
    context = {"title": _("This page has failed"), "request_id": request_id.current()}
    return HttpResponse(render_to_string("500.html", context), status=500)


def _for_machines(code: str, text: str, status: int) -> JsonResponse:
    return JsonResponse({"error": code, "detail": text, "request_id": request_id.current()}, status=status)
