from __future__ import annotations

import sys
from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


def load_openpyxl_without_numpy() -> None:
    """openpyxl loads numpy wherever it is installed, only to know its number types; every process would hold it.

    The hub hands openpyxl none of those types. Whoever wants numpy itself still gets it.
    """
    if "numpy" in sys.modules:
        return
    # None makes "import numpy" fail as if it were not installed.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        import_module("openpyxl")
    finally:
        del sys.modules["numpy"]


# Here, because applications are loaded before the models and pages that read workbooks.
load_openpyxl_without_numpy()


class PromisesConfig(AppConfig):
    name = "promises"
    verbose_name = _("Promises")
