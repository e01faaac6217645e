"""What a fresh house starts with, part by part, for settings.TEMPLATE_PARTS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from orders.access import ROLES, sync_roles
from orders.masters import Shop, Warehouse
from orders.models import Order, PrecedenceVersion
from orders.precedence import DEFAULT_RULES
from orders.reasons import REASONS
from orders.stages import Stage, Step
from orders.wanted import Part, Ref, Use, Wanted
from orders.worktime import WorkCalendar
from orders.worktime.shifts import standard_week

WAREHOUSE, SHOPS = "warehouse-1", ("shop-1", "shop-2")


def rules() -> Part:
    """Stages and steps: the first version of the rules, as the house has them built in."""
    counted = ngettext("%(n)s stage", "%(n)s stages", len(Stage)) % {"n": len(Stage)}
    return Part(
        key="rules",
        title=_("Stages and steps"),
        text=gettext("%(stages)s from %(first)s to %(last)s, and four steps, one after the other: %(steps)s.")
        % {
            "stages": counted,
            "first": Stage.INTAKE.label,
            "last": Stage.RETURNED.label,
            "steps": gettext(", ").join(str(step.label) for step in Step),
        },
        rows=[
            Wanted(
                model="orders.precedenceversion",
                key={"number": 1},
                values={"rules": DEFAULT_RULES},
                label=_("How sources rank, and the order of the steps"),
                compared=("rules",),
                also_used=_orders_judged_with,
                make=_first_version,
            )
        ],
    )


def _first_version(wanted: Wanted, at: datetime) -> models.Model:
    return PrecedenceVersion.objects.create(
        number=1, rules=DEFAULT_RULES, note=gettext("Installed with the template"), made_at=at, applied_at=at
    )


def _orders_judged_with(row: models.Model) -> Sequence[Use]:
    """Orders that this version judged, and versions that people made after it."""
    number = row.number  # type: ignore[attr-defined]
    judged = Order.objects.filter(derived_with=number)[:1000].count()
    later = PrecedenceVersion.objects.filter(number__gt=number).count()
    uses = [
        Use(Order._meta.verbose_name_plural or "", judged),
        Use(PrecedenceVersion._meta.verbose_name_plural or "", later),
    ]
    return [use for use in uses if use.count]


def roles() -> Part:
    return Part(
        key="roles",
        title=_("Roles"),
        text=_("Who confirms, locks, ships, invoices, supervises and audits, each with what it may do."),
        rows=[
            Wanted(model="auth.group", key={"name": row.code}, label=row.label, make=_role)
            for row in ROLES.values()
        ],
    )


def _role(wanted: Wanted, at: datetime) -> models.Model:
    sync_roles()
    return Group.objects.get(name=wanted.key["name"])


def reasons() -> Part:
    return Part(
        key="reasons",
        title=_("Reason codes"),
        text=_(
            "Why an order is stuck: twelve reasons to choose from, and OTHER, which is off to begin with."
        ),
        rows=[
            Wanted(
                model="orders.reasoncode",
                key={"code": row.code},
                values={
                    "owner": row.owner,
                    "pauses_clock": row.pauses_clock,
                    "position": 10 * position,
                    "is_active": row.is_active,
                },
                label=row.label,
                compared=("owner", "pauses_clock", "is_active"),
            )
            for position, row in enumerate(REASONS.values(), start=1)
        ],
    )


def calendar() -> Part:
    return Part(
        key="calendar",
        title=_("Working calendar"),
        text=_(
            "Monday to Friday with the Chinese public holidays and the working days that make up for them."
        ),
        rows=[
            Wanted(
                model="orders.workcalendar",
                key={"is_default": True},
                values={"name": gettext("Usual working hours"), "week": standard_week()},
                label=_("Usual working hours"),
                compared=("week",),
                also_used=_clocks,
            )
        ],
    )


def _clocks(row: models.Model) -> Sequence[Use]:
    """Every deadline of every order was counted with some calendar, and the default one with most."""
    if not (isinstance(row, WorkCalendar) and row.is_default):
        return []
    count = Order.objects.all()[:1000].count()
    return [Use(Order._meta.verbose_name_plural or "", count)] if count else []


def places() -> Part:
    """A warehouse and two shops to rename. Connections and files need a shop to belong to."""
    warehouse = Ref("orders.warehouse", {"code": WAREHOUSE})
    names = (gettext("My first shop"), gettext("My second shop"))
    return Part(
        key="places",
        title=_("Sample shops and warehouse"),
        text=_("To be renamed, or to be switched off when your own are there."),
        rows=[
            Wanted(
                model=Warehouse._meta.label_lower,
                key={"code": WAREHOUSE},
                values={
                    "name": gettext("My warehouse"),
                    "calendar": Ref("orders.workcalendar", {"is_default": True}),
                },
                label=_("My warehouse"),
            ),
            *(
                Wanted(
                    model=Shop._meta.label_lower,
                    key={"code": code},
                    values={"name": name, "warehouse": warehouse},
                    label=name,
                )
                for code, name in zip(SHOPS, names, strict=True)
            ),
        ],
    )
