"""One file per outside system's way of speaking. Importing this package fills the registry."""

from __future__ import annotations
