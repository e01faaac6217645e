"""How sources are ranked against each other, and which steps an order passes: data, versioned, judged with as one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from orders.stages import Role, Step, Topic

# A topic that is not named here uses "others"; a role that is not named ranks after those that are;
# a rule always comes last.
DEFAULT_RULES: dict[str, Any] = {
    "topics": {
        "parcel": ["carrier", "wms", "shop", "person"],
        "picking": ["wms", "person", "shop"],
        "packing": ["wms", "person", "shop"],
        "payment": ["shop", "finance", "person"],
        "cancel": ["shop", "finance", "person"],
        "address": ["person", "shop"],
        "stock": ["erp", "wms", "hub", "person"],
    },
    "others": ["shop", "erp", "wms", "carrier", "finance", "crm", "person", "hub"],
    "steps": [["date"], ["stock"], ["waybill"], ["invoice"]],
    "after_sale_days": 7,
}


@dataclass(frozen=True)
class Precedence:
    """One version of the rules. Ranks count from 0, the strongest; steps in one inner tuple run side by side."""

    version: int
    ranks: Mapping[str, Mapping[str, int]]
    steps: tuple[tuple[Step, ...], ...]
    after_sale: timedelta

    def rank(self, topic: str, role: str) -> int:
        return self.ranks[topic][role]


def precedence_of(version: int, rules: Mapping[str, Any]) -> Precedence:
    """The rules as the derivation uses them. Raises ValidationError, naming the entry, if they make no sense."""
    check_rules(rules)
    ranks: dict[str, dict[str, int]] = {}
    for topic in Topic:
        named = list(rules["topics"].get(topic.value, rules["others"]))
        rest = [role.value for role in Role if role.value not in named and role != Role.RULE]
        ordered = [role for role in named if role != Role.RULE.value] + rest + [Role.RULE.value]
        ranks[topic.value] = {role: position for position, role in enumerate(ordered)}
    return Precedence(
        version=version,
        ranks=ranks,
        steps=tuple(tuple(Step(name) for name in group) for group in rules["steps"]),
        after_sale=timedelta(days=rules["after_sale_days"]),
    )


def check_rules(rules: Mapping[str, Any]) -> None:
    """Raises ValidationError that names the first entry that is wrong."""
    unknown = set(rules) - set(DEFAULT_RULES)
    missing = set(DEFAULT_RULES) - set(rules)
    if unknown or missing:
        raise ValidationError(
            _("The rules need exactly these entries: %(needed)s."),
            params={"needed": ", ".join(DEFAULT_RULES)},
        )
    for topic, roles in [*rules["topics"].items(), ("others", rules["others"])]:
        if topic != "others" and topic not in Topic.values:
            raise ValidationError(_("“%(topic)s” is not a topic."), params={"topic": topic})
        for role in roles:
            if role not in Role.values:
                raise ValidationError(
                    _("“%(role)s” under “%(topic)s” is not a kind of source."),
                    params={"role": role, "topic": topic},
                )
        if len(set(roles)) != len(roles):
            raise ValidationError(_("A source stands twice under “%(topic)s”."), params={"topic": topic})
    steps = [step for group in rules["steps"] for step in group]
    if sorted(steps) != sorted(Step.values):
        raise ValidationError(
            _("Every step must stand exactly once: %(steps)s."), params={"steps": ", ".join(Step.values)}
        )
    if not isinstance(rules["after_sale_days"], int) or not 0 <= rules["after_sale_days"] <= 365:
        raise ValidationError(_("The after-sale window must be 0 to 365 days."))


@lru_cache(maxsize=8)
def _default() -> Precedence:
    return precedence_of(0, DEFAULT_RULES)


_versions: dict[int, Precedence] = {}


def precedence_in_force() -> Precedence:
    """The newest applied version; version 0, the defaults above, while none was applied. One small query."""
    from orders.models import PrecedenceVersion

    found = (
        PrecedenceVersion.objects.filter(applied_at__isnull=False)
        .order_by("-number")
        .values_list("pk", "number")
        .first()
    )
    if found is None:
        return _default()
    pk, number = found
    if pk not in _versions:
        # A version never changes once made, so it may be kept for the life of the process. By its id: a number comes
        # again when the template's version is taken out unused.
        _versions[pk] = precedence_of(number, PrecedenceVersion.objects.get(pk=pk).rules)
    return _versions[pk]


def forget_versions() -> None:
    """For tests, which give the same number to different rules."""
    _versions.clear()


def add_version(rules: Mapping[str, Any], *, note: str, made_by: Any, at: Any) -> Any:
    """Store a new version, not yet in force. Raises ValidationError if the rules make no sense."""
    from orders.models import PrecedenceVersion

    check_rules(rules)
    with transaction.atomic():
        last = PrecedenceVersion.objects.select_for_update().order_by("-number").first()
        return PrecedenceVersion.objects.create(
            number=last.number + 1 if last else 1, rules=rules, note=note, made_by=made_by, made_at=at
        )
