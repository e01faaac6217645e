from __future__ import annotations

import os
import sys
from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


def load_openpyxl_alone() -> None:
    """openpyxl takes numpy and lxml wherever they are installed. It is loaded here as if it had neither.

    It wants numpy only to know its number types, of which the hub hands it none, and every process would hold it. With lxml it
    would read workbooks without defusedxml, which is what refuses XML entities. Whoever wants either for himself still gets it.
    """
    os.environ["OPENPYXL_LXML"] = "False"
    if "numpy" in sys.modules:
        return
    # None makes "import numpy" fail as if it were not installed.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        import_module("openpyxl")
    finally:
        del sys.modules["numpy"]


# Here, because applications are loaded before the models and pages that read workbooks.
load_openpyxl_alone()


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = _("Connections")

    def ready(self) -> None:
        from integrations import connectors  # noqa: F401 - importing them fills the registry
