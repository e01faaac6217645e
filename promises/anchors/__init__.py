"""Receipts of others over the heads of our logs: they bound when an entry was there, whatever our clock said.

services.py says what every kind of service does; rfc3161.py (time-stamp authorities), calendars.py (OpenTimestamps),
notary.py (notarisation chains) and mail.py do it. anchoring.py asks them and keeps the receipts, reading.py gives those
that hold, pages.py gives them away. Never in the way of anything: a log without receipts works, and its pages say so.
"""

from __future__ import annotations
