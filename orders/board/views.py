"""Views of the board: those of the house, and those that people save, share, and give to a role to begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise

from orders.access import ROLES
from orders.board.query import MAX_DEFINITION, BoardQuery, is_explicit, read
from orders.byhand import NotAllowed, Refused, who_may
from orders.desk import SavedView, StaffPreference, preference_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

MAY_SHARE = "orders.share_savedview"
FIRST = "todo"
MOST_SAVED = 30


class ViewRefused(Refused):
    """A view that cannot be saved, changed or deleted."""


# The views everybody has. What they count is shown beside their names.
HOUSE: dict[str, tuple[StrOrPromise, str]] = {
    "todo": (gettext_lazy("To do"), "need=todo"),
    "risk": (gettext_lazy("At risk"), "need=risk"),
    "exception": (gettext_lazy("Exception"), "need=exception"),
    "mine": (gettext_lazy("Mine"), "need=mine"),
    "all": (gettext_lazy("All open"), "x=1"),
}


@dataclass(frozen=True, slots=True)
class View:
    """A view as the board offers it. code: its name in addresses."""

    code: str
    name: StrOrPromise
    query: BoardQuery
    row: SavedView | None = None


def house_views() -> dict[str, View]:
    return {
        code: View(code, name, replace(read(QueryDict(definition)), view=code))
        for code, (name, definition) in HOUSE.items()
    }


@dataclass(frozen=True, slots=True)
class Desk:
    """The views and preferences of one person. home: the view they set themselves; empty if none."""

    views: dict[str, View]
    preference: StaffPreference
    home: str
    first: str

    @classmethod
    def of(cls, user: User | AnonymousUser, preference: StaffPreference | None = None) -> Desk:
        """One query, and another one unless the request has read the preference already."""
        preference = preference or preference_of(user)
        saved = saved_for(user)
        views = house_views() | {str(row.pk): _view(row) for row in saved}
        of_role = next((str(row.pk) for row in saved if row.is_of_role), FIRST)
        # A view that is not shared any more is nobody's home but its owner's.
        home = str(preference.home_view_id) if str(preference.home_view_id) in views else ""
        return cls(views, preference, home, home or of_role)

    def query(self, given: QueryDict) -> BoardQuery:
        """The list that an address names; one that says nothing gets the person's first view."""
        code = given.get("view", "")
        if is_explicit(given):
            return read(given, view=code if code in self.views else "")
        return self.views.get(code, self.views[self.first]).query


def saved_for(user: User | AnonymousUser) -> list[Any]:
    """The person's own views, those shared with everybody, and those that their roles begin with (is_of_role)."""
    is_of_role = Exists(user.groups.filter(name=OuterRef("default_for")))
    mine = Q(owner=user.pk) | Q(is_shared=True) | Q(is_of_role=True)
    return list(SavedView.objects.annotate(is_of_role=is_of_role).filter(mine)[:100])


def _view(row: SavedView) -> View:
    query = read(QueryDict(row.filters), view=str(row.pk))
    return View(
        str(row.pk),
        row.name,
        replace(
            query,
            sort_code=row.sort,
            columns=tuple(row.columns),
            density=row.density,
            layout=row.layout,
        ),
        row,
    )


def save(
    user: User, query: BoardQuery, *, name: str, is_shared: bool = False, default_for: str = ""
) -> SavedView:
    """Keep the present list as a view; one of the same name is replaced. Raises ViewRefused or NotAllowed."""
    name = name.strip()
    _check(user, query, name=name, is_shared=is_shared, default_for=default_for)
    with transaction.atomic():
        known: SavedView | None = SavedView.objects.filter(owner=user, name=name).first()
        row: SavedView = known or SavedView(owner=user, name=name)
        if row.pk is None and SavedView.objects.filter(owner=user).count() >= MOST_SAVED:
            raise ViewRefused("too_many", _("You have %(n)s views. Delete one first.") % {"n": MOST_SAVED})
        row.is_shared = is_shared or bool(default_for)
        row.default_for = default_for
        definition = replace(query, sort_code="", columns=(), density="", layout="table").definition()
        row.filters = definition.urlencode() or "x=1"
        row.sort, row.columns = query.sort_code, list(query.columns)
        # As the person sees the list now; an address that says nothing shows it as they like it.
        row.density = query.density or (known.density if known else preference_of(user).density)
        row.layout = query.layout
        row.save()
    return row


def _check(user: User, query: BoardQuery, *, name: str, is_shared: bool, default_for: str) -> None:
    if not name or len(name) > 60:
        raise ViewRefused("bad_name", _("Give the view a name of 1 to 60 signs."))
    if name in {str(label) for label, _query in HOUSE.values()}:
        raise ViewRefused("house_name", _("A view of the house has this name. Choose another one."))
    if len(query.definition().urlencode()) > MAX_DEFINITION:
        raise ViewRefused("too_long", _("The view has too many filters. Choose fewer."))
    if default_for and default_for not in ROLES:
        raise ViewRefused("bad_role", _("There is no such role."))
    if (is_shared or default_for) and not user.has_perm(MAY_SHARE):
        raise NotAllowed(
            "not_allowed",
            _("You may save views for yourself. These roles may share them: %(roles)s.")
            % {"roles": who_may(MAY_SHARE)},
        )
    taken = SavedView.objects.filter(default_for=default_for).exclude(owner=user, name=name)
    if default_for and taken.exists():
        raise ViewRefused("role_taken", _("Another view is the first one of this role. Change that one."))


def owned(user: User, pk: int) -> SavedView:
    """A view this person may change: their own, or a shared one if they may share. Raises ViewRefused."""
    row: SavedView | None = SavedView.objects.filter(pk=pk).first()
    is_mine = row is not None and row.owner_id == user.pk
    if row is None or not (is_mine or (row.is_shared and row.owner_id and user.has_perm(MAY_SHARE))):
        raise ViewRefused("not_found", _("There is no such view among those you may change."))
    return row


def rename(user: User, pk: int, name: str) -> SavedView:
    """Raises ViewRefused."""
    name = name.strip()
    with transaction.atomic():
        row = owned(user, pk)
        if not name or len(name) > 60:
            raise ViewRefused("bad_name", _("Give the view a name of 1 to 60 signs."))
        if SavedView.objects.filter(owner=row.owner_id, name=name).exclude(pk=pk).exists():
            raise ViewRefused("taken", _("You have a view of this name. Choose another one."))
        row.name = name
        row.save(update_fields=["name"])
    return row


def delete(user: User, pk: int) -> None:
    """Raises ViewRefused."""
    with transaction.atomic():
        owned(user, pk).delete()


def begin_with(user: User, code: str) -> None:
    """Make this view the one that the board opens with for this person; a view of the house: the default again."""
    if not code.isdecimal():
        StaffPreference.objects.filter(user=user).update(home_view=None)
        return
    if int(code) not in {row.pk for row in saved_for(user)}:
        raise ViewRefused("not_found", _("There is no such view among those you may see."))
    StaffPreference.objects.update_or_create(user=user, defaults={"home_view_id": int(code)})
