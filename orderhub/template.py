"""The one-click template: what a fresh house starts with. Shown before it is written, written once, undone while unused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache

from orderhub.models import TemplateInstall, TemplateRow
from orders import audit
from orders.auditing import Audited, columns
from orders.wanted import Difference, Part, Use, Wanted, nobody, uses_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NAME = gettext_lazy("Order coordination template")
# Raise it when a part wants other rows than before.
VERSION = 1
PERMISSION = "orderhub.install_template"


@dataclass(frozen=True, slots=True)
class Line:
    """One wanted record beside what is there. found None: it would be added."""

    wanted: Wanted
    found: models.Model | None
    differences: Sequence[Difference] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the template, compared."""

    part: Part
    lines: Sequence[Line]

    @property
    def n_missing(self) -> int:
        return sum(line.found is None for line in self.lines)

    @property
    def n_different(self) -> int:
        return sum(bool(line.differences) for line in self.lines)


@dataclass(frozen=True, slots=True)
class Fate:
    """What undoing would do to one record the template made: take it out, or leave it for these reasons."""

    row: TemplateRow
    record: models.Model | None
    is_changed: bool = False
    uses: Sequence[Use] = ()

    @property
    def goes(self) -> bool:
        return self.record is not None and not self.is_changed and not self.uses


@dataclass(slots=True)
class Undone:
    n_removed: int = 0
    kept: list[Fate] = field(default_factory=list)


def parts(without: Sequence[str] = ()) -> list[Part]:
    """The parts of settings.TEMPLATE_PARTS, in their order."""
    found: list[Part] = [import_string(name)() for name in settings.TEMPLATE_PARTS]
    return [part for part in found if part.key not in without]


def compare(without: Sequence[str] = ()) -> list[Section]:
    """What is there of what the template wants. Reads only."""
    return [Section(part, [_line(wanted) for wanted in part.rows]) for part in parts(without)]


def _line(wanted: Wanted) -> Line:
    found = wanted.found()
    return Line(wanted, found, wanted.differences(found) if found is not None else ())


def install(*, by: User | None, at: datetime, without: Sequence[str] = ()) -> list[TemplateRow]:
    """Make what is missing; whatever is there stays as it is. Returns what was made, [] the second time."""
    with transaction.atomic():
        standing: TemplateInstall | None = None
        made = []
        for part in parts(without):
            for wanted in part.rows:
                # Asked one by one: a row that was just made may have brought the next one along.
                if wanted.found() is not None:
                    continue
                if standing is None:
                    standing = TemplateInstall.objects.create(
                        version=VERSION, installed_at=at, installed_by=by
                    )
                made.append(_made(standing, part, wanted, at))
        if standing is not None:
            audit.record("template.install", standing, after={"version": VERSION, "rows": len(made)})
    return made


def _made(standing: TemplateInstall, part: Part, wanted: Wanted, at: datetime) -> TemplateRow:
    record = wanted.made(at)
    return TemplateRow.objects.create(
        install=standing,
        part=part.key,
        model=record._meta.label_lower,
        object_id=str(record.pk),
        label=str(wanted.label)[:200],
        columns=columns(record),
    )


def fates() -> list[Fate]:
    """What undoing would do, newest first: a shop before the warehouse it names. Reads only."""
    wanted = [row for part in parts() for row in part.rows if row.also_used is not nobody]
    going: dict[str, set[str]] = {}
    found = []
    for row in TemplateRow.objects.filter(removed_at=None).order_by("-id"):
        fate = _fate(row, going, wanted)
        if fate.goes:
            going.setdefault(row.model, set()).add(row.object_id)
        found.append(fate)
    return found


def _fate(row: TemplateRow, going: dict[str, set[str]], wanted: Sequence[Wanted]) -> Fate:
    record = apps.get_model(row.model)._default_manager.filter(pk=row.object_id).first()
    if record is None:
        return Fate(row, None)
    uses = uses_of(record, going)
    for one in wanted:
        if one.model == row.model and one.found() == record:
            uses += one.also_used(record)
    return Fate(row, record, is_changed=columns(record) != row.columns, uses=uses)


def undo(*, at: datetime) -> Undone:
    """Take out what the template made and nobody uses or has changed; the rest stays and is named."""
    done = Undone()
    with transaction.atomic():
        for fate in fates():
            if fate.record is not None and not fate.goes:
                done.kept.append(fate)
                continue
            if fate.record is not None:
                _delete(fate.record)
                done.n_removed += 1
            fate.row.removed_at = at
            fate.row.save(update_fields=["removed_at"])
        last = TemplateInstall.objects.order_by("-id").first()
        if last is not None and done.n_removed:
            after = {"removed": done.n_removed, "kept": len(done.kept)}
            audit.record("template.undo", last, after=after)
    return done


def _delete(record: models.Model) -> None:
    if not isinstance(record, Audited):
        audit.record("delete", record, before=columns(record))
    record.delete()


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/template/"""
    return [path("template/", site.admin_view(_Page(site).answer), name="template")]


@dataclass(frozen=True, slots=True)
class _Page:
    site: AdminSite

    @method_decorator(never_cache)
    def answer(self, request: HttpRequest) -> HttpResponse:
        """The comparison; by POST the one button, or its undo."""
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied(PERMISSION)
        if request.method == "POST":
            return self._act(request)
        return TemplateResponse(request, "hub/template.html", self._context(request))

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        sections = compare()
        standing = fates()
        return {
            **self.site.each_context(request),
            "title": NAME,
            "version": VERSION,
            "sections": sections,
            "n_missing": sum(section.n_missing for section in sections),
            "n_different": sum(section.n_different for section in sections),
            "n_there": sum(len(section.lines) - section.n_missing for section in sections),
            "fates": [fate for fate in standing if fate.record is not None],
            "n_going": sum(fate.goes for fate in standing),
        }

    def _act(self, request: HttpRequest) -> HttpResponse:
        action = request.POST.get("action")
        if action == "install":
            made = install(by=request.user, at=now())  # type: ignore[arg-type]
            messages.success(request, say_installed(len(made)))
        elif action == "undo":
            done = undo(at=now())
            messages.success(request, say_undone(done))
        else:
            messages.error(
                request, _("Nothing was done: the form named no action. Use the buttons on this page.")
            )
        return see_other(reverse("admin:template"))


def see_other(url: str) -> HttpResponseRedirect:
    """After a form: the browser goes on with a GET, and a reload repeats nothing."""
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response


def say_installed(n_made: int) -> str:
    if not n_made:
        return _("Everything was there already. Nothing was changed.")
    return ngettext("%(n)s record was added.", "%(n)s records were added.", n_made) % {"n": n_made}


def say_undone(done: Undone) -> str:
    removed = ngettext("%(n)s record was taken out.", "%(n)s records were taken out.", done.n_removed)
    text = removed % {"n": done.n_removed}
    if done.kept:
        kept = ngettext(
            "%(n)s stays, because it is in use or was changed.",
            "%(n)s stay, because they are in use or were changed.",
            len(done.kept),
        )
        text = f"{text} {kept % {'n': len(done.kept)}}"
    return text
