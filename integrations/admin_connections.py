"""Connections and their keys in the admin. Secrets go in and never come out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations import tokens
from integrations.connectors.base import REGISTRY
from integrations.models import ApiToken, Connection
from integrations.signatures import BadSecret, shared_key
from orders.scoped_admin import ScopedAdmin


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A connection. The webhook secret is write-only: leave it empty to keep what is stored."""

    connector = forms.ChoiceField(label=gettext_lazy("Speaks"))
    webhook_secret = forms.CharField(
        label=gettext_lazy("New webhook secret"),
        required=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy(
            "Begins with whsec_. The one before it stays valid, so that the sender can change over."
        ),
    )

    class Meta:
        model = Connection
        fields = ("label", "slug", "connector", "role", "shop", "warehouse", "mapping", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "connector" in self.fields:
            choices = [(slug, connector.label) for slug, connector in sorted(REGISTRY.items())]
            self.fields["connector"].choices = choices  # type: ignore[attr-defined]

    def clean_webhook_secret(self) -> str:
        secret: str = self.cleaned_data["webhook_secret"].strip()
        if secret and not secret.startswith(("whpk_", "whsk_")):
            try:
                shared_key(secret)
            except BadSecret as error:
                raise ValidationError(
                    _("This is not a webhook secret: whsec_ followed by base64 of 24 to 64 bytes.")
                ) from error
        return secret


@admin.register(Connection)
class ConnectionAdmin(ScopedAdmin):
    may_add = may_change = True
    form = ConnectionForm
    list_display = (
        "label",
        "slug",
        "connector",
        "role",
        "shop",
        "is_active",
        "heard_at",
        "failed_at",
        "failure",
    )
    list_filter = ("is_active", "role")
    list_select_related = ("shop",)
    readonly_fields = ("heard_at", "failed_at", "failure", "webhook_address", "kept_secrets")

    def get_fields(self, request: HttpRequest, obj: Connection | None = None) -> list[str]:
        fields = ["label", "slug", "connector", "role", "shop", "warehouse", "mapping", "is_active"]
        if request.user.has_perm("integrations.set_secret"):
            fields.append("webhook_secret")
        return [*fields, "kept_secrets", "webhook_address", "heard_at", "failed_at", "failure"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        kwargs["fields"] = [
            name for name in self.get_fields(request, obj) if name not in self.readonly_fields
        ]
        return super().get_form(request, obj, change, **kwargs)

    @admin.display(description=gettext_lazy("webhook address"))
    def webhook_address(self, connection: Connection) -> str:
        return f"/hooks/{connection.slug}/" if connection.pk else "–"

    @admin.display(description=gettext_lazy("webhook secrets kept"))
    def kept_secrets(self, connection: Connection) -> int:
        return len(connection.secrets().get("webhook", [])) if connection.pk else 0

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:  # noqa: FBT001
        if settings.DEMO and not obj.is_demo and not change:
            obj.is_demo = True
        secret = form.cleaned_data.get("webhook_secret", "")
        if secret and request.user.has_perm("integrations.set_secret"):
            kept = obj.secrets()
            kept["webhook"] = [secret, *kept.get("webhook", [])][:2]
            obj.seal(kept)
        super().save_model(request, obj, form, change)


@admin.register(ApiToken)
class ApiTokenAdmin(ScopedAdmin):
    """Keys for the API. The clear text is shown once, right after a token is made."""

    may_add = True
    list_display = ("name", "tail", "connection", "may_read", "made_at", "used_at", "revoked_at")
    list_select_related = ("connection",)
    fields = ("connection", "name", "may_read")
    actions = ("revoke",)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:  # noqa: FBT001
        clear = tokens.make(obj.connection, obj.name, may_read=obj.may_read)
        obj.pk = ApiToken.objects.get(digest=tokens.digest(clear)).pk
        self.message_user(
            request, _("Copy it now, it is not shown again: %(token)s") % {"token": clear}, messages.WARNING
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.change_apitoken")

    @admin.action(description=gettext_lazy("Revoke: these tokens stop working"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset.filter(revoked_at=None):
            token.revoked_at = now()
            token.save(update_fields=["revoked_at"])
            self.message_user(request, _("%(token)s is revoked.") % {"token": token})
