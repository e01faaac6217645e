"""What the sandbox partners are given so that they can talk to this hub: addresses, secrets, a token, goods to order."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.db import transaction

from integrations import signatures, tokens
from integrations.models import ApiToken, Connection
from orderhub.demo import catalogue
from orders.stages import Role

SECRET_NAME = "webhook"  # noqa: S105 - the name of a secret, not one
TOKEN_NAME = "sandbox"  # noqa: S105
READER = "demo-sandbox"


def introduce(file: Path) -> bool:
    """Give every demo connection a secret and write the partners' file; False if it stands as it should.

    The secrets are read back from the connections, so a lost file can be written again. A token cannot: the old one
    is revoked and a new one made.
    """
    known = _read(file)
    with transaction.atomic():
        # The seller's own only: a connection that somebody has made in the demo is no partner of ours.
        rows = Connection.objects.filter(is_demo=True, slug__in=catalogue.ROLE_OF).select_related("shop")
        partners = {row.slug: _partner(row) for row in rows}
        token = known.get("token", "")
        if not _is_good(token):
            token = _new_token()
    wanted = {"token": token, "partners": partners, **_goods()}
    if wanted == known:
        return False
    _write(file, wanted)
    return True


def _partner(connection: Connection) -> dict[str, str]:
    sealed = connection.secrets()
    if not sealed.get(SECRET_NAME):
        sealed[SECRET_NAME] = [signatures.new_secret()]
        connection.seal(sealed)
        connection.save()
    shop = connection.shop.code if connection.shop else ""
    return {"role": connection.role, "shop": shop, "secret": sealed[SECRET_NAME][0]}


def _is_good(token: str) -> bool:
    return ApiToken.objects.filter(digest=tokens.digest(token), revoked_at__isnull=True).exists()


def _new_token() -> str:
    """A token that reads the orders of every shop, as the partners together know them all."""
    reader, _made = Connection.objects.get_or_create(
        slug=READER,
        defaults={"label": "示例伙伴读取", "connector": "api", "role": Role.CRM, "is_demo": True},
    )
    reader.tokens.all().delete()
    return tokens.make(reader, TOKEN_NAME, may_read=True)


def _goods() -> dict[str, Any]:
    abroad = [row.code for row in catalogue.SHOPS if row.is_abroad]
    return {
        "abroad": abroad,
        "articles": [
            {"sku": one.sku, "name": one.name, "unit": one.unit, "price": str(one.price)}
            for one in catalogue.articles()
        ],
        "customers": [
            {
                "code": one.code,
                "name": one.name,
                "region": one.region,
                "country": one.country,
                "contact": one.person,
            }
            for one in catalogue.buyers()
        ],
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, wanted: dict[str, Any]) -> None:
    beside = file.with_suffix(".new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        os.fchmod(opened.fileno(), 0o600)
        json.dump(wanted, opened, ensure_ascii=False, indent=1)
    beside.replace(file)
