"""The admin classes of this room: importing them registers them."""

from __future__ import annotations

from promises.commitments import admin as commitments

__all__ = ["commitments"]
