"""The web server of the screen checks: the same pages, at a moment that ORDERHUB_BENCH_NOW names and from which it ticks."""

from __future__ import annotations

import os
from datetime import datetime

import time_machine

time_machine.travel(datetime.fromisoformat(os.environ["ORDERHUB_BENCH_NOW"]), tick=True).start()

from orderhub.wsgi import application  # noqa: E402 - everything below must live in that time

__all__ = ["application"]
