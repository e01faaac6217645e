from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.tests.staff import staff_client
from promises.ledger.models import (
    Checkpoint,
    Cosignature,
    LogKey,
    LogLeaf,
    LogNode,
    LogPending,
    TransparencyLog,
)
from promises.tests.factories_ledger import make_entries, make_log

pytestmark = pytest.mark.django_db
SHOWN = [TransparencyLog, LogLeaf, Checkpoint, LogPending, LogKey]


@pytest.fixture
def log():
    log = make_log()
    make_entries(log, 30)
    return log


def address(model, *rest):
    return "/".join(["/admin/promises", model._meta.model_name, *map(str, rest), ""])


@pytest.mark.parametrize("model", SHOWN)
def test_the_auditor_reads_every_part_of_the_log(log, model):
    auditor = staff_client("auditor")
    row = model.objects.order_by("-pk").first()

    assert auditor.get(address(model)).status_code == 200
    assert auditor.get(address(model, row.pk, "change")).status_code == 200


@pytest.mark.parametrize("model", SHOWN)
def test_nobody_adds_changes_or_deletes_there(log, model):
    boss = staff_client("ops_manager", "auditor")
    row = model.objects.order_by("-pk").first()
    n_rows = model.objects.count()

    answers = [
        boss.post(address(model, *rest)).status_code
        for rest in (("add",), (row.pk, "change"), (row.pk, "delete"))
    ]

    assert answers == [403, 403, 403]
    assert model.objects.count() == n_rows


def test_hashes_and_witnesses_have_no_pages_of_their_own():
    assert not {LogNode, Cosignature} & set(admin.site._registry)


@pytest.mark.parametrize("model", SHOWN)
def test_whoever_may_not_see_the_log_does_not_see_it(log, model):
    assert staff_client("sales").get(address(model)).status_code == 403


def test_an_entry_is_found_by_its_place_and_shown_as_it_is_written(log):
    auditor = staff_client("auditor")

    found, none = (
        auditor.get(address(LogLeaf) + query).context["cl"].result_list for query in ("?q=7", "?q=x")
    )
    page = auditor.get(address(LogLeaf, found[0].pk, "change")).content.decode()

    assert ([leaf.index for leaf in found], list(none)) == ([7], [])
    assert "&quot;i&quot;:7," in page
    assert bytes(found[0].leaf_hash).hex() in page


def test_an_entry_that_cannot_be_read_any_more_does_not_hide_the_list(log):
    LogLeaf.objects.create(log=log, index=31, entry=b"\xff", leaf_hash=b"")

    assert staff_client("auditor").get(address(LogLeaf)).status_code == 200


def test_the_list_of_entries_asks_the_same_queries_however_long_the_log_is(log):
    auditor = staff_client("auditor")
    auditor.get(address(LogLeaf))

    counts = []
    for number in range(2):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            auditor.get(address(LogLeaf))
        counts.append(len(asked))
        make_entries(log, 40 + 30 * number)

    assert counts[0] == counts[1]
