from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orders import append_only, audit
from orders.models import AuditEntry
from orders.tests.factories import make_shop
from promises import canonical
from promises.ledger import audit_trail, monitor, reading, sequencer
from promises.ledger.models import LogPending, TransparencyLog
from promises.tests.factories_ledger import make_seller

pytestmark = pytest.mark.django_db
AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def record(number, **given):
    shop = make_shop(f"shop-{number}")
    return audit.record("change", shop, before={"name": "张三"}, after={"n": number, "rate": 0.1}, **given)


@pytest.fixture
def rows():
    make_seller()
    return [record(number) for number in range(5)]


def logged():
    return TransparencyLog.objects.get(purpose="audit")


def test_every_row_of_the_audit_gets_one_entry_that_says_nothing_to_strangers(rows, client):
    n_rows = AuditEntry.objects.count()

    assert audit_trail.sweep(AT) == n_rows
    assert audit_trail.sweep(AT) == 0
    sequencer.sweep(AT)

    log = logged()
    assert log.origin == "127.0.0.1:8000/t/parts/audit"
    entries = [
        canonical.decode(bytes(entry))
        for entry in log.leaves.order_by("index").values_list("entry", flat=True)
    ]
    assert [set(entry) for entry in entries[1:]] == [{"v", "i", "t", "ts", "h"}] * n_rows
    assert len({entry["h"] for entry in entries[1:]}) == n_rows
    assert client.get("/log/audit/checkpoint").status_code == 200
    assert client.get(f"/log/audit/tile/entries/000.p/{n_rows + 1}").status_code == 404
    assert monitor.watch(log, AT).findings == []


@pytest.mark.parametrize(
    "changes",
    [
        {"actor_name": "somebody"},
        {"after": {"n": 7, "rate": 0.1}},
        {"at": AT},
        {"reason": "asked for"},
        {"actor_id": 9},
    ],
)
def test_a_row_of_the_audit_that_somebody_rewrites_is_named(rows, changes):
    audit_trail.sweep(AT)
    sequencer.sweep(AT)
    with append_only.lifted():
        AuditEntry.objects.filter(pk=rows[2].pk).update(**changes)

    found = monitor.watch(logged(), AT).findings

    place = LogPending.objects.get(dedup=f"audit {rows[2].pk}").index
    assert [(one.code, one.place) for one in found] == [("audit", place)]
    assert str(rows[2].pk) in found[0].what


def test_a_row_of_the_audit_that_somebody_deletes_is_named(rows):
    audit_trail.sweep(AT)
    sequencer.sweep(AT)
    with append_only.lifted():
        AuditEntry.objects.filter(pk=rows[4].pk).delete()

    assert [one.what for one in monitor.watch(logged(), AT).findings] == [
        f"the audit's row {rows[4].pk} is gone"
    ]


def test_a_row_that_is_committed_late_is_logged_all_the_same(rows):
    late = rows[1]
    audit_trail.sweep(AT)
    LogPending.objects.filter(dedup=f"audit {late.pk}").delete()

    assert audit_trail.sweep(AT + timedelta(seconds=5)) == 1


def test_rows_of_the_demo_and_rows_before_there_is_a_seller_are_not_logged():
    record(1)
    assert audit_trail.sweep(AT) == 0
    make_seller(is_demo=True)
    assert audit_trail.sweep(AT) == 0

    assert not TransparencyLog.objects.exists()


def test_without_its_salt_nothing_more_is_logged(rows, settings):
    audit_trail.sweep(AT)
    for file in settings.LEDGER_KEY_DIR.glob("*salt.key"):
        assert file.stat().st_mode & 0o777 == 0o600
        file.unlink()
    record(9)

    assert audit_trail.sweep(AT) == 0

    assert sequencer.sweep(AT) == 0
    assert logged().alarm == "key"
    assert reading.newest(logged()) is None
