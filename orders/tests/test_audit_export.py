"""Taking the audit log along as a file."""

from __future__ import annotations

import csv
import io

import pytest

from orders.masters import Shop
from orders.tests.staff import staff_client

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/orders/auditentry/export/"


def export(client) -> list[dict[str, str]]:
    fields = {f"auditresource_{name}": "on" for name in ("id", "action", "object_label", "before", "after")}
    answer = client.post(ADDRESS, {"format": "0", "resource": "", **fields})
    assert answer["Content-Type"] == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_an_auditor_takes_the_log_along_and_no_cell_runs_in_a_spreadsheet():
    Shop.objects.create(code="x", name='=HYPERLINK("http://example.test")')
    client = staff_client("auditor", everything=True)

    rows = [row for row in export(client) if row["action"] == "create" and "HYPERLINK" in row["object_label"]]

    assert len(rows) == 1
    assert not rows[0]["object_label"].startswith("=")


def test_who_may_only_look_cannot_take_it_along():
    client = staff_client("viewer", everything=True)

    assert client.get("/admin/orders/auditentry/").status_code == 200
    assert client.get(ADDRESS).status_code == 403
    assert client.post(ADDRESS, {"format": "0"}).status_code == 403
