"""The settings of the house in which workers die at marked points."""

from __future__ import annotations

from orderhub.settings import *  # noqa: F403
from orderhub.settings import INSTALLED_APPS as USUAL

INSTALLED_APPS = [*USUAL, "orderhub.bench.deadly.DeadlyConfig"]
