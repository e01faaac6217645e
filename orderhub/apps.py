from __future__ import annotations

from django.apps import AppConfig


class OrderhubConfig(AppConfig):
    name = "orderhub"
    verbose_name = "orderhub"
