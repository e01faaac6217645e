"""The demo seller's commitments: in every state, in a log of their own, gone with the demo."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from orderhub.demo.loading import load
from orderhub.demo.wiping import wipe
from promises import canonical
from promises.commitments.models import Outcome, Promise
from promises.ledger import sequencer
from promises.ledger.models import LogLeaf, SellerProfile, TransparencyLog
from promises.statistics import replay
from promises.tests.factories_ledger import make_seller

pytestmark = pytest.mark.django_db
AT = datetime(2026, 6, 17, 2, tzinfo=UTC)


def papers(settings) -> list[Path]:
    return list(Path(settings.DOCUMENT_DIR).glob("*/*.pdf"))


def test_the_demo_has_commitments_in_force_moved_kept_and_missed_and_takes_them_away_again(settings):
    with time_machine.travel(AT, tick=False):
        load(200, seed=7, at=AT)
        sequencer.sweep(AT)

    states = Counter(Promise.objects.values_list("state", flat=True))
    n_versions = Promise.objects.count()
    assert set(states) == {"active", "superseded", "kept", "missed"}
    assert n_versions <= 12
    assert n_versions == len(papers(settings))
    assert set(Promise.objects.values_list("is_demo", flat=True)) == {True}
    assert list(TransparencyLog.objects.values_list("purpose", flat=True)) == ["demo"]
    entries = [canonical.decode(bytes(leaf.entry)) for leaf in LogLeaf.objects.order_by("index")]
    stamps = [entry["ts"] for entry in entries]
    assert stamps == sorted(stamps)
    figures = replay(entries).statistics(as_of=int(AT.timestamp()))
    assert (figures.kept_first, figures.late) == (states["kept"], states["missed"])
    assert figures.revised == states["superseded"]

    with time_machine.travel(AT, tick=False):
        gone = wipe()
    assert gone["promise"] == n_versions
    assert not Promise.objects.exists()
    assert not Outcome.objects.exists()
    assert not SellerProfile.objects.exists()
    assert not TransparencyLog.objects.exists()


def test_a_seller_that_is_set_up_is_not_written_over_by_the_demo():
    make_seller(legal_name="真名有限公司")

    with time_machine.travel(AT, tick=False):
        load(60, seed=7, at=AT)

    assert SellerProfile.objects.get().legal_name == "真名有限公司"
