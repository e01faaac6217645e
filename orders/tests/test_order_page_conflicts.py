"""Two sources disagree: what the order's page shows of it, and how a person decides."""

from __future__ import annotations

import re

import pytest

from orders.models import AuditEntry, OrderEvent, OrderFact
from orders.stages import Stage
from orders.tests.factories import (
    told,
)
from orders.tests.order_pages import act, decision, english, fresh, page, undo_named

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("monday_afternoon")]


def test_both_sources_of_a_conflict_are_shown_with_the_rule_and_the_way_to_use_the_other(disputed):
    html = page(english("ops_manager"), disputed)

    assert "shop-system" in html
    assert "wms-system" in html
    assert "The goods had left when the cancellation was accepted." in html
    assert decision(disputed) in html
    assert re.search(r'class="order-now">.*?chip-warn.*?Sources disagree.*?order-clock', html, re.DOTALL)


def test_the_preview_says_what_would_change_and_changes_nothing(disputed):
    n_facts = OrderFact.objects.count()

    html = english("ops_manager").get(decision(disputed)).content.decode()

    assert re.search(r"stage</th><td>Shipped</td><td><strong>Cancelled</strong>", html)
    assert (OrderFact.objects.count(), fresh(disputed).stage) == (n_facts, Stage.SHIPPED)


def test_a_conflict_is_resolved_with_the_other_report_and_taken_back_from_the_page(disputed):
    client = english("ops_manager")

    answer = client.post(decision(disputed), {"reason": "the driver brought it back"})

    assert answer.status_code == 303
    assert (fresh(disputed).stage, fresh(disputed).has_conflict) == (Stage.CANCELLED, False)
    html = client.get(answer["Location"]).content.decode()
    assert "data-undo-toast" in html
    assert "the driver brought it back" in html
    back = act(client, disputed, "takeback", key=undo_named(answer), reason="wrong parcel")
    assert back.status_code == 303
    assert (fresh(disputed).stage, fresh(disputed).has_conflict) == (Stage.SHIPPED, True)
    assert list(
        AuditEntry.objects.filter(model="orders.order").order_by("pk").values_list("action", "reason")
    ) == [
        ("conflict.decided", "the driver brought it back"),
        ("undo", "wrong parcel"),
    ]


def test_a_decision_without_a_reason_is_refused_and_the_preview_stays(disputed):
    answer = english("ops_manager").post(decision(disputed), {"reason": " "})

    assert answer.status_code == 422
    assert "Say why" in answer.content.decode()
    assert fresh(disputed).has_conflict


def test_who_may_not_report_facts_is_neither_offered_nor_allowed_to_decide(disputed):
    client = english("supervisor", everything=True)

    assert decision(disputed) not in page(client, disputed)
    for answer in (client.get(decision(disputed)), client.post(decision(disputed), {"reason": "x"})):
        assert answer.status_code == 403
        assert "Can report a fact by hand" in answer.content.decode()
    assert fresh(disputed).has_conflict


def test_a_decision_on_a_page_that_is_out_of_date_is_refused_with_what_is_new(disputed):
    client = english("ops_manager")
    seen = OrderEvent.objects.filter(order=disputed).latest("pk").pk
    told(disputed, "parcel.in_transit", 4, role="carrier", parcel="SF1")
    disputed = fresh(disputed)

    answer = client.post(decision(disputed), {"reason": "x", "seen": seen})

    assert answer.status_code == 409
    assert "The order has changed since you opened this page" in answer.content.decode()
    assert fresh(disputed).has_conflict


def test_a_conflict_that_is_over_leads_back_to_the_page(disputed):
    client = english("ops_manager")
    url = decision(disputed)
    client.post(url, {"reason": "x"})

    answer = client.get(url, follow=True)

    assert "do not disagree any more" in answer.content.decode()
