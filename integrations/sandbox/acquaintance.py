"""What the partners know of the hub: the file that `manage.py quickstart --demo` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NotIntroduced(Exception):
    """The file is missing or not readable; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Partner:
    """One system that pushes to /hooks/<slug>/."""

    slug: str
    role: str
    shop: str
    secret: str


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """All partners, what they trade in, and the token with which they may read."""

    partners: Mapping[str, Partner]
    token: str
    articles: Sequence[Mapping[str, Any]]
    customers: Sequence[Mapping[str, Any]]
    abroad: frozenset[str]

    def of_role(self, role: str) -> list[Partner]:
        return [partner for partner in self.partners.values() if partner.role == role]

    def shop(self, code: str) -> Partner | None:
        return next((partner for partner in self.of_role("shop") if partner.shop == code), None)

    def carrier(self, shop: str) -> Partner:
        """Goods for abroad go by the last carrier of the list, all others by the first."""
        carriers = sorted(self.of_role("carrier"), key=lambda partner: partner.slug)
        return carriers[-1] if shop in self.abroad else carriers[0]


def read(file: Path) -> Acquaintance:
    """Raises NotIntroduced."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        partners = {slug: Partner(slug=slug, **row) for slug, row in found["partners"].items()}
        return Acquaintance(
            partners=partners,
            token=found["token"],
            articles=found["articles"],
            customers=found["customers"],
            abroad=frozenset(found["abroad"]),
        )
    except FileNotFoundError:
        raise NotIntroduced(f"There is no {file}. Make it with: manage.py quickstart --demo") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotIntroduced(
            f"{file} cannot be used ({type(error).__name__}: {error}). Delete it and run: manage.py quickstart --demo"
        ) from error
