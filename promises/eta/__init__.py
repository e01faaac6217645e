"""The estimate: when an order will arrive, with odds that keep what they say.

orders.py what is known of an order, features.py the same as numbers, book.py the orders learned from, fit.py the weekly fit,
survival.py Kaplan-Meier, calibration.py the nightly curve of what estimates were off by, surge.py planned surges, learner.py
all of it driven by events, forecast.py what comes out, processing.py the warehouse in front of the way. No database, no
clock; numpy stays out of processes that do not import these modules.
"""

from __future__ import annotations
