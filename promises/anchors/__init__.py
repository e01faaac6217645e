"""Receipts of others over the heads of our logs: they bound when an entry was there, whatever our clock said.

rfc3161.py speaks to a time-stamp authority and checks its stamps, anchoring.py asks for them and keeps them, reading.py
gives those that hold. Never in the way of anything: a log without stamps works, and its pages say so.
"""

from __future__ import annotations
