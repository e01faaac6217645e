"""The roles of the house and what each may do: one row per role. Groups carry the codes, people read the labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps as all_apps
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from django_stubs_ext import StrOrPromise

if TYPE_CHECKING:
    from django.apps.registry import Apps


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One role: its group's name, its label, what it may do ("app.codename")."""

    code: str
    label: StrOrPromise
    may: frozenset[str]


def _orders(*names: str) -> frozenset[str]:
    return frozenset(f"orders.{name}" for name in names)


def _house(*names: str) -> frozenset[str]:
    return frozenset(f"orderhub.{name}" for name in names)


def _connections(*names: str) -> frozenset[str]:
    return frozenset(f"integrations.{name}" for name in names)


# What customers do on their pages, and what they are told there.
SEE_CUSTOMERS_PAGE = frozenset(
    f"promises.view_{model}"
    for model in (
        "customerlink", "pagevisit", "contactclick", "nextupdate", "customerrequest", "messageconsent",
        "deliveryrating",
    )
)  # fmt: skip
TELL_CUSTOMERS = frozenset({"promises.open_customerlink", "promises.give_news"})
REVOKE_LINKS = frozenset({"promises.revoke_customerlink"})
# What everybody who works with orders sees, within the row scope. Never a phone number: that is reveal_contact.
SEE_ORDERS = _orders(
    "view_order", "view_orderline", "view_parcel", "view_orderstep", "view_orderhold", "view_orderfact",
    "view_orderevent", "view_externalreference", "view_referencelink", "view_contact", "view_customer", "view_shop",
    "view_warehouse", "view_sourceheard", "view_todo", "view_reasoncode",
) | SEE_CUSTOMERS_PAGE | frozenset({"promises.view_estimate", "promises.view_promise"})  # fmt: skip
# Giving the seller's word on paper.
GIVE_WORD = frozenset({"promises.issue_promise", "promises.view_issuerequest"})
# The order's life outside the four steps, open to everyone who answers for a part of it.
WORK_ON_ORDERS = SEE_ORDERS | TELL_CUSTOMERS | _orders("change_todo", "add_note")
SEE_STOCK = _orders("view_stockitem", "view_stocklock", "view_stockentry")
SEE_CALENDARS = _orders("view_workcalendar", "view_calendarday")
SEE_RULES = (
    SEE_CALENDARS
    | _orders("view_precedenceversion")
    | frozenset(
        {
            "promises.view_promiserule",
            "promises.view_plannedsurge",
            "promises.view_warehousepickup",
            "promises.view_estimatemodel",
            "promises.view_recalibration",
        }
    )
)
SEE_CONNECTIONS = _connections(
    "view_connection", "view_apitoken", "view_fieldmapping", "view_fieldmappingversion", "view_unmappedvalue",
    "view_importrun", "view_importrowerror", "view_inboundmessage",
)  # fmt: skip
IMPORT_FILES = _connections(
    "view_importrun", "add_importrun", "change_importrun", "view_importrowerror", "view_fieldmapping"
)


# Histories to be replayed: who uploads one also takes it away again.
BACKTEST = frozenset({"promises.view_backtestrun", "promises.add_backtestrun", "promises.delete_backtestrun"})

TUNE_PROMISES = frozenset(
    f"promises.{may}"
    for may in ("recalibrate", "delete_plannedsurge", "delete_warehousepickup", "delete_promiserule")
)

# The history that nobody can rewrite: who reads it.
SEE_LEDGER = frozenset(
    f"promises.view_{model}"
    for model in (
        "sellerprofile",
        "transparencylog",
        "logkey",
        "logpending",
        "logleaf",
        "checkpoint",
        "cosignature",
        "anchor",
    )
)


def _edit(app: str, *models: str) -> frozenset[str]:
    return frozenset(f"{app}.{verb}_{model}" for verb in ("view", "add", "change") for model in models)


ROLES: dict[str, RoleRow] = {
    row.code: row
    for row in (
        RoleRow(
            "ops_manager",
            _("Operations manager"),
            WORK_ON_ORDERS | SEE_STOCK | SEE_RULES | SEE_CONNECTIONS | IMPORT_FILES
            | _edit("orders", "workcalendar", "calendarday", "shop", "warehouse", "customer", "staffscope", "reasoncode")
            | _orders("add_precedenceversion", "apply_precedence", "hold_order", "join_orders", "report_fact",
                      "undo_step_late", "add_todo", "delete_calendarday", "view_auditentry", "see_all_orders",
                      "export_order", "share_savedview")
            | _connections("replay_message")
            | _house("run_setup", "install_template")
            | BACKTEST
            | SEE_LEDGER | _edit("promises", "sellerprofile", "commitmentrule")
            | GIVE_WORD | REVOKE_LINKS | frozenset({"promises.revoke_promise", "promises.delete_commitmentrule"})
            | _edit("promises", "promiserule", "plannedsurge", "warehousepickup")
            | TUNE_PROMISES,
        ),
        RoleRow(
            "sales",
            _("Sales"),
            WORK_ON_ORDERS | SEE_STOCK
            | _orders("confirm_date", "hold_order", "report_fact", "add_todo", "reveal_contact", "add_customer",
                      "change_customer", "export_order")
            | GIVE_WORD | REVOKE_LINKS | IMPORT_FILES,
        ),
        RoleRow(
            "warehouse",
            _("Warehouse"),
            WORK_ON_ORDERS | SEE_STOCK | SEE_CALENDARS
            | _orders("lock_stock", "report_fact", "add_stockitem", "change_stockitem"),
        ),
        RoleRow(
            "logistics",
            _("Logistics"),
            WORK_ON_ORDERS | SEE_CALENDARS | _orders("make_waybill", "report_fact", "reveal_contact"),
        ),
        RoleRow("customs", _("Customs documents"), WORK_ON_ORDERS | _orders("propose_waybill", "report_fact")),
        RoleRow(
            "finance", _("Finance"), WORK_ON_ORDERS | _orders("issue_invoice", "report_fact", "export_order")
        ),
        RoleRow(
            "service",
            _("Customer service"),
            WORK_ON_ORDERS | REVOKE_LINKS | _orders("hold_order", "report_fact", "add_todo", "reveal_contact"),
        ),
        RoleRow(
            "supervisor",
            _("Supervisor"),
            WORK_ON_ORDERS | SEE_STOCK | SEE_RULES
            | _orders("undo_step_late", "hold_order", "join_orders", "add_todo", "view_auditentry", "empty_contact",
                      "export_order", "share_savedview")
            | GIVE_WORD | REVOKE_LINKS | frozenset({"promises.revoke_promise"}),
        ),
        RoleRow(
            "integrator",
            _("Integrations"),
            SEE_ORDERS | SEE_RULES | SEE_CONNECTIONS | IMPORT_FILES
            | _edit("integrations", "connection", "apitoken", "fieldmapping")
            | _connections("set_secret", "replay_message", "read_body")
            | _house("run_setup")
            | _orders("view_auditentry", "join_orders", "change_todo", "add_shop", "change_shop"),
        ),
        RoleRow(
            "viewer",
            _("Management (reads only)"),
            frozenset({"promises.view_backtestrun"})
            | SEE_ORDERS | SEE_STOCK | SEE_RULES | _orders("view_auditentry", "see_all_orders", "export_order"),
        ),
        RoleRow(
            "auditor",
            _("Audit"),
            SEE_ORDERS | SEE_STOCK | SEE_RULES | SEE_CONNECTIONS
            | _orders("view_staffscope", "view_auditentry", "export_auditentry", "see_all_orders", "export_order")
            | SEE_LEDGER | frozenset({"auth.view_user", "auth.view_group"}),
        ),
    )
}  # fmt: skip


def role_label(code: str) -> StrOrPromise:
    """The role's name for people; the code itself for a group that somebody made by hand."""
    row = ROLES.get(code)
    return row.label if row else code


class UnknownPermission(LookupError):
    """A line of ROLES names a permission that no model has."""


def sync_roles(apps: Apps = all_apps) -> list[str]:
    """Make every role's group and give it exactly the permissions of ROLES. Run again, it changes nothing.

    Returns the codes of the groups that it made or changed. Raises UnknownPermission for a misspelt line.
    """
    Group = apps.get_model("auth", "Group")
    changed = []
    permissions = _permissions(apps)
    for row in ROLES.values():
        group, made = Group.objects.get_or_create(name=row.code)
        wanted = {_found(permissions, name) for name in row.may}
        held = set(group.permissions.values_list("pk", flat=True))
        if made or wanted != held:
            group.permissions.set(wanted)
            changed.append(row.code)
    return changed


def remove_roles(apps: Apps, codes: Iterable[str] = tuple(ROLES)) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=list(codes)).delete()


def _found(permissions: dict[str, int], name: str) -> int:
    try:
        return permissions[name]
    except KeyError:
        raise UnknownPermission(f"orders.access.ROLES names {name}, which no model has") from None


def _permissions(apps: Apps) -> dict[str, int]:
    """Every permission that the roles need, by "app.codename"; made where missing.

    Django makes them after the last migration, which is too late on a fresh database.
    """
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    known = {
        (app, code): pk
        for pk, app, code in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    needed = {name for row in ROLES.values() for name in row.may}
    for model, code, label in _declared():
        if (model._meta.app_label, code) in known or f"{model._meta.app_label}.{code}" not in needed:
            continue
        kind, _made = ContentType.objects.get_or_create(
            app_label=model._meta.app_label, model=model._meta.model_name
        )
        permission = Permission.objects.create(content_type=kind, codename=code, name=label)
        known[model._meta.app_label, code] = permission.pk
    return {f"{app}.{code}": pk for (app, code), pk in known.items()}


def _declared() -> Iterable[tuple[Any, str, str]]:
    # Names are stored untranslated, as Django itself stores them.
    with override(None):
        for model in all_apps.get_models():
            for verb in model._meta.default_permissions:
                yield model, f"{verb}_{model._meta.model_name}", f"Can {verb} {model._meta.verbose_name_raw}"
            for code, label in model._meta.permissions:
                yield model, code, str(label)
