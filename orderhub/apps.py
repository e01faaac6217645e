from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class OrderhubConfig(AppConfig):
    name = "orderhub"
    verbose_name = "orderhub"
    default = True

    def ready(self) -> None:
        from orderhub import checks  # noqa: F401 - importing it registers them
        from orderhub.accounts import audit_memberships

        audit_memberships()


class HubAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site, in place of django.contrib.admin in INSTALLED_APPS."""

    default = False
    default_site = "orderhub.site.HubAdminSite"

    def ready(self) -> None:
        super().ready()
        from orderhub.site import hide_foreign_records

        hide_foreign_records()
