"""Users and groups in the admin. Whatever changes here leaves one audit row, and nobody deletes a person."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from django_stubs_ext import StrOrPromise
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orderhub import second_factor
from orderhub.refusals import permission_label
from orders import (
    audit,
    people_admin,  # noqa: F401 - registers contacts, scopes and the audit log
)
from orders.access import ROLES, role_label
from orders.auditing import columns, raw, record_change, record_creation


class RecordedAdmin(ModelAdmin):  # type: ignore[misc]
    """An admin for records of Django's own: each save leaves one audit row."""

    def save_model(self, request: HttpRequest, obj: models.Model, form: Any, change: bool) -> None:  # noqa: FBT001
        with transaction.atomic():
            before = raw(type(obj)._base_manager.get(pk=obj.pk)) if change else None
            super().save_model(request, obj, form, change)
            if before is None:
                record_creation(obj)
            else:
                record_change(obj, before)

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        with transaction.atomic():
            audit.record("delete", obj, before=columns(obj))
            super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # Django's bulk deletion goes past delete_model.
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


def named_choices(db_field: models.ManyToManyField[Any, Any], field: Any) -> Any:
    """The form field of a person's roles or permissions, with names to read instead of codes."""
    if field is not None and db_field.related_model is Group:
        field.label_from_instance = lambda group: str(role_label(group.name))
    if field is not None and db_field.related_model is Permission:
        field.queryset = field.queryset.select_related("content_type")
        field.label_from_instance = _permission_label
    return field


def _permission_label(permission: Permission) -> str:
    return permission_label(f"{permission.content_type.app_label}.{permission.codename}")


admin.site.unregister([User, Group])


class RoleFilter(admin.RelatedFieldListFilter):
    """Roles by name."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, StrOrPromise]]:
        return [(str(pk), role_label(name)) for pk, name in Group.objects.values_list("pk", "name")]


@admin.register(User)
class HubUserAdmin(UserAdmin[User], RecordedAdmin):  # type: ignore[misc]
    """People. They are deactivated, not deleted: facts and the audit name them."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "is_active", "is_staff", "roles", "last_login")
    list_filter = ("is_active", "is_staff", ("groups", RoleFilter))
    change_form_template = "admin/auth/user/hub_change_form.html"

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return named_choices(db_field, super().formfield_for_manytomany(db_field, request, **kwargs))

    def get_urls(self) -> list[URLPattern]:
        reset = self.admin_site.admin_view(self.reset_second_factor)
        return [
            path("<int:pk>/reset-second-factor/", reset, name="auth_user_reset_second_factor"),
            *super().get_urls(),
        ]

    @admin.display(description=_("Roles"))
    def roles(self, user: User) -> str:
        return ", ".join(str(role_label(group.name)) for group in user.groups.all())

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[User]:
        rows: models.QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return rows

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only a superuser makes superusers, or gives permissions past the roles."""
        fixed = (*super().get_readonly_fields(request, obj), "date_joined", "last_login")
        return fixed if request.user.is_superuser else (*fixed, "is_superuser", "user_permissions", "groups")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        user = self.get_object(request, id)
        before = raw(user) if user else {}
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
            if user and request.method == "POST":
                user.refresh_from_db()
                record_change(user, before)
        return response

    @method_decorator(require_POST)
    def reset_second_factor(self, request: HttpRequest, pk: int) -> HttpResponse:
        """For a lost phone: the next login sets up a new device."""
        user = self.get_object(request, str(pk))
        if user is None or not self.has_change_permission(request, user):
            raise PermissionDenied("auth.change_user")
        second_factor.reset(user, reason=request.POST.get("reason", "")[:500])
        self.message_user(
            request,
            gettext("The second factor is reset. The next login sets up a new one."),
            messages.SUCCESS,
        )
        return redirect("admin:auth_user_change", pk)


@admin.register(Group)
class HubGroupAdmin(GroupAdmin, RecordedAdmin):  # type: ignore[misc]
    """Roles. Those of the house come from orders/access.py and are shown only; others may be made by hand."""

    list_display = ("label",)
    readonly_fields = ("label", "may")

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> tuple[str, ...]:
        return ("label", "name", "may") if obj and obj.name in ROLES else ("name", "permissions")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return named_choices(db_field, super().formfield_for_manytomany(db_field, request, **kwargs))

    @admin.display(description=_("Role"))
    def label(self, group: Group) -> str:
        return str(role_label(group.name))

    @admin.display(description=_("What it may do"))
    def may(self, group: Group) -> str:
        names = {_permission_label(one) for one in group.permissions.select_related("content_type")}
        return format_html_join("", "<p>{}</p>", ((name,) for name in sorted(names)))

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.name in ROLES)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.name in ROLES)
