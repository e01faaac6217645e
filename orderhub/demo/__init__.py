"""The demo seller: an auto-parts wholesaler made up by a random generator with a fixed seed, loaded through the one door."""

from __future__ import annotations

from orderhub.demo.loading import AlreadyLoaded, Loaded, load, loaded_orders
from orderhub.demo.wiping import wipe

__all__ = ["AlreadyLoaded", "Loaded", "load", "loaded_orders", "wipe"]
