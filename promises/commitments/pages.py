"""What people do with commitments: ask for one, move its date, revoke it, waive it, and download the paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.timezone import localdate, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from orders.byhand import Refused
from orders.models import Order
from orders.order_page.page import here
from promises import commitments, estimates
from promises.commitments import asking, compensating, life, papers
from promises.commitments.issuing import n_moved
from promises.commitments.models import Asker, Compensation, Promise, Reason
from promises.commitments.panel import ISSUE, REVOKE, SEE
from promises.commitments.refusals import NotIssued


class IssueForm(forms.Form):
    day = forms.DateField(
        label=gettext_lazy("Delivered at the latest on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Empty: the confirmed date or, without one, the estimate's latest date."),
    )


class MoveForm(forms.Form):
    day = forms.DateField(
        label=gettext_lazy("Delivered at the latest on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    # Nothing is chosen beforehand: a reason that nobody chose would stand in the log for ever.
    rc = forms.ChoiceField(label=gettext_lazy("Why the date moves"), choices=[("", "–"), *Reason.choices])
    asked_by = forms.ChoiceField(label=gettext_lazy("Who asked for it"), choices=[("", "–"), *Asker.choices])
    of_version = forms.IntegerField(widget=forms.HiddenInput)


class ReasonForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)


class CompensationForm(forms.Form):
    state = forms.ChoiceField(
        label=gettext_lazy("How far it has come"), choices=[("", "–"), *Compensation.State.choices]
    )
    words = forms.CharField(
        label=gettext_lazy("What it is"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("The customer reads it on the page of the commitment, in these words."),
    )


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/promises/commitment/..."""
    page, base = _Page(site), "promises/commitment/"
    return [
        path(f"{base}<int:order_id>/issue/", site.admin_view(page.issue), name="commitment_issue"),
        path(f"{base}<int:order_id>/move/", site.admin_view(page.move), name="commitment_move"),
        path(f"{base}<int:order_id>/revoke/", site.admin_view(page.revoke), name="commitment_revoke"),
        path(f"{base}<int:order_id>/waive/", site.admin_view(page.waive), name="commitment_waive"),
        path(
            f"{base}<int:order_id>/compensate/",
            site.admin_view(page.compensate),
            name="commitment_compensate",
        ),
        path(f"{base}paper/<int:pk>/", site.admin_view(page.paper), name="commitment_paper"),
    ]


_acts = method_decorator([require_http_methods(["GET", "HEAD", "POST"]), never_cache])


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @_acts
    def issue(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Look at what would be promised; by POST ask for it."""
        order = _order(request, order_id, ISSUE)
        newest = commitments.current(order)
        if newest is not None and newest.state != Promise.State.REVOKED:
            messages.error(request, str(NotIssued("has_one", number=newest.shown_number)))
            return HttpResponseRedirect(here(order, request), status=303)

        def act(given: dict[str, Any], user: User, at: datetime) -> str:
            asking.ask(order, by=user, at=at, day=given["day"])
            return _("The commitment is asked for. Its paper is being made; it appears here in some seconds.")

        return self._act(request, order, "issue", _("Issue a commitment"), IssueForm, act)

    @_acts
    def move(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Another day, with the reason and who asked: by POST the next version is asked for."""
        order = _order(request, order_id, ISSUE)
        newest = _live(order)

        def act(given: dict[str, Any], user: User, at: datetime) -> str:
            if given["of_version"] != newest.version:
                raise NotIssued("changed", version=newest.version)
            asking.ask(order, by=user, at=at, day=given["day"], rc=given["rc"], asked_by=given["asked_by"])
            return _(
                "Version %(version)s is asked for. Its paper is being made; it appears here in some seconds."
            ) % {"version": newest.version + 1}

        title, initial = _("Move the promised date"), {"of_version": newest.version}
        return self._act(request, order, "move", title, MoveForm, act, initial)

    @_acts
    def revoke(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """What revoking means; by POST a second person is asked."""
        order = _order(request, order_id, REVOKE)
        newest = _live(order)

        def act(given: dict[str, Any], user: User, at: datetime) -> str:
            life.revoke(newest, by=user, reason=given["reason"], at=at)
            return _("A second person has been asked. Until then the commitment stays in force.")

        return self._act(request, order, "revoke", _("Revoke the commitment"), ReasonForm, act)

    @_acts
    def waive(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """The customer no longer wants the goods; by POST nothing is owed any more."""
        order = _order(request, order_id, ISSUE)
        newest = _live(order)

        def act(given: dict[str, Any], user: User, at: datetime) -> str:
            life.waive(newest, by=user, reason=given["reason"], at=at)
            return _("The commitment is waived: the customer called the order off.")

        return self._act(request, order, "waive", _("Waive the commitment"), ReasonForm, act)

    @_acts
    def compensate(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """What the customer of the missed commitment gets; by POST it stands on its page."""
        order = _order(request, order_id, ISSUE)
        newest = commitments.current(order)
        if newest is None or newest.state not in compensating.MISSED:
            raise Http404(_("This order has no commitment that was missed."))
        said = Compensation.objects.filter(promise=newest).first()
        initial = {"state": said.state, "words": said.words} if said else None

        def act(given: dict[str, Any], user: User, at: datetime) -> str:
            compensating.compensate(newest, state=given["state"], words=given["words"], by=user, at=at)
            return _("Whoever holds the commitment reads it on its page from now on.")

        title = _("Say what the customer gets")
        return self._act(request, order, "compensate", title, CompensationForm, act, initial)

    @method_decorator([require_safe, never_cache])
    def paper(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The stored bytes of one version's paper, as they were hashed."""
        if not request.user.has_perm(SEE):
            raise PermissionDenied(SEE)
        promise = Promise.objects.visible_to(request.user).select_related("file").filter(pk=pk).first()
        if promise is None:
            raise Http404(_("There is no such commitment, or it is outside your area."))
        if not papers.is_whole(promise.file):
            raise Http404(
                _(
                    "The file of this commitment is missing or damaged. Put it back from the backup of var/documents; "
                    "its hash in the log says which one it is."
                )
            )
        return _as_download(promise)

    def _act(
        self,
        request: HttpRequest,
        order: Order,
        what: str,
        title: str,
        form_class: type[forms.Form],
        act: Callable[[dict[str, Any], User, datetime], str],
        initial: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page that asks, and what comes of it. A refusal shows the page again, with the reason."""
        form = form_class(request.POST or None, initial=initial, label_suffix="")
        error, status = "", 200
        if request.method == "POST":
            status = 422
            if form.is_valid():
                user = cast("User", request.user)
                try:
                    done = act(form.cleaned_data, user, now())
                except Refused as refused:
                    error = str(refused)
                else:
                    messages.success(request, done)
                    return HttpResponseRedirect(here(order, request), status=303)
        newest = commitments.current(order)
        context = {
            **self.site.each_context(request),
            "title": title,
            "order": order,
            "what": what,
            "form": form,
            "error": error,
            "newest": newest,
            "n_moved": n_moved(newest.number) if newest else 0,
            "estimate": estimates.current(order),
            "today": localdate(),
            "has_gate": life.has_gate(),
            "here": here(order, request),
        }
        return TemplateResponse(request, "promises/commitments/act.html", context, status=status)


def _order(request: HttpRequest, order_id: int, permission: str) -> Order:
    """Raises Http404 out of scope, before anything else is said; then PermissionDenied."""
    order: Order | None = (
        Order.objects.visible_to(request.user).select_related("contact", "shop").filter(pk=order_id).first()
        if order_id < 2**63
        else None
    )
    if order is None:
        raise Http404(_("There is no such order, or it is outside your area."))
    if not request.user.has_perm(permission):
        raise PermissionDenied(permission)
    return order


def _live(order: Order) -> Promise:
    newest = commitments.current(order)
    if newest is None or not newest.is_live:
        raise Http404(_("This order has no commitment in force."))
    return newest


def _as_download(promise: Promise) -> FileResponse:
    return FileResponse(
        promise.file.full_path.open("rb"),
        as_attachment=True,
        filename=f"{promise.shown_number}-v{promise.version}.pdf",
        content_type="application/pdf",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"},
    )
