"""Issuing: what stands where once a commitment is out, and that a refusal leaves nothing behind."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from orders.audit import AuditEntry
from orders.models import Order, OrderEvent, Todo
from orders.tests.factories import after, told
from orders.tests.staff import make_staff
from promises import canonical, commitments, token
from promises.commitments import asking, issuing, life, papers
from promises.commitments.models import IssueRequest, Promise, PromiseFile
from promises.commitments.payload import end_of
from promises.commitments.refusals import NotIssued
from promises.ledger import keys, sequencer
from promises.ledger.models import LogLeaf, LogPending, SellerProfile
from promises.statistics import replay
from promises.tests.factories_commitments import FRIDAY, issued, make_promised_order
from promises.tests.factories_estimates import make_estimate

pytestmark = pytest.mark.django_db
SHANGHAI = "Asia/Shanghai"
NEXT_MONDAY = datetime(2026, 6, 8, 3, tzinfo=UTC)


def files(settings) -> list[Path]:
    return sorted(Path(settings.DOCUMENT_DIR).glob("*/*.pdf"))


def moved(promise: Promise, *, hours: float = 2, **what_matters) -> Promise:
    wish = {"due": NEXT_MONDAY, "rc": "STOCK", "asked_by": "seller", "by": None, **what_matters}
    return issuing.issue(promise.order, at=after(hours), **wish)


def test_a_commitment_stands_in_rows_file_queue_and_board_and_all_of_them_agree(settings):
    by = make_staff("sales", everything=True)

    promise = issued(by=by)

    said = canonical.decode(bytes(promise.payload))
    file = promise.file
    content = file.full_path.read_bytes()
    assert canonical.digest(bytes(promise.payload)) == promise.ph
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert (file.path, file.n_bytes) == (f"{file.sha256[:2]}/{file.sha256}.pdf", len(content))
    assert file.sm3 == papers.sm3(content)
    assert [one.name for one in files(settings)] == [f"{file.sha256}.pdf"]
    assert promise.pending.kind == "issue"
    assert promise.pending.body == {
        "nh": hashlib.sha256(f"no\n{promise.number}".encode()).hexdigest(),
        "ph": promise.ph,
        "pdf": file.sha256,
        "due": said["due"],
    }
    assert (promise.due, promise.first_due) == (end_of(FRIDAY, SHANGHAI), end_of(FRIDAY, SHANGHAI))
    assert promise.judge_at == promise.due + timedelta(hours=72, seconds=1)
    assert Order.objects.get().promised_at == promise.due
    assert list(OrderEvent.objects.filter(kind="promise").values_list("name", "actor")) == [
        ("promised_at", by.pk)
    ]
    row = AuditEntry.objects.get(action="promise.issue")
    assert (row.actor_id, row.after["ph"]) == (by.pk, promise.ph)
    assert commitments.current(promise.order) == promise


def test_the_token_is_signed_by_the_logs_key_and_names_this_payload():
    promise = issued()

    said = token.verify(bytes(promise.token), keys.token_keys(promise.pending.log))

    assert (said.number, said.ph.hex()) == (promise.number, promise.ph)
    assert datetime.fromtimestamp(said.due, UTC) == promise.due


def test_the_terms_of_both_languages_are_one_text_whose_hash_the_payload_holds():
    promise = issued()

    said = canonical.decode(bytes(promise.payload))

    text = "按承诺日期送达。\n\nDelivered by the promised date."
    assert said["terms"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_commitment_names_the_newest_head_of_the_log_it_goes_into():
    first = issued()
    sequencer.sweep(after(1))
    second = issued(hours=2)

    seen = canonical.decode(bytes(second.payload))["seen"]

    head = first.pending.log.checkpoints.get(size=seen["size"])
    assert seen["size"] == 2
    assert seen["root"] == bytes(head.root).hex()


def test_a_new_version_keeps_the_number_and_says_what_it_replaces_why_and_for_whom():
    first = issued()

    second = moved(first, rc="CUSTOMER", asked_by="customer")

    assert (second.number, second.version, second.supersedes) == (first.number, 2, first)
    assert canonical.decode(bytes(second.payload))["supersedes"] == first.ph
    assert (second.due, second.first_due) == (end_of(date(2026, 6, 8), SHANGHAI), first.due)
    assert (second.pending.kind, second.pending.about) == ("revise", first.pending)
    assert (second.pending.body["by"], second.pending.body["rc"]) == ("customer", "CUSTOMER")
    first.refresh_from_db()
    assert (first.state, first.judge_at) == (Promise.State.SUPERSEDED, None)
    assert Order.objects.get().promised_at == second.due


def test_the_next_version_closes_the_todo_that_asked_for_it():
    first = issued()
    Todo.objects.create(
        order=first.order, kind="request", subject="move_date", owner="sales", opened_at=after(1)
    )

    second = moved(first)

    assert Todo.objects.values_list("done_at", "outcome").get(subject="move_date") == (after(2), str(second))


def test_the_log_tells_the_same_story_to_whoever_replays_it():
    first = issued()
    sequencer.sweep(after(1))
    second = moved(first)
    sequencer.sweep(after(2))
    told(first.order, "parcel.delivered", 110, parcel="SF1", role="carrier")
    life.judge(second.pk, at=after(112))
    sequencer.sweep(after(113))

    entries = [canonical.decode(bytes(leaf.entry)) for leaf in LogLeaf.objects.order_by("index")]

    assert [entry["t"] for entry in entries] == ["genesis", "issue", "revise", "outcome"]
    figures = replay(entries).statistics(as_of=int(after(400).timestamp()))
    assert (figures.issued, figures.revised, figures.kept_first, figures.late) == (1, 1, 0, 1)
    assert (figures.kept_latest, Promise.objects.get(pk=second.pk).state) == (1, Promise.State.MISSED)


def refused(code: str, settings, order: Order, **wish) -> None:
    """The wish is refused for this, and everything is as before."""
    before = _stored(settings)
    with pytest.raises(NotIssued) as refusal:
        issuing.issue(order, **{"by": None, "at": after(3), **wish})
    assert refusal.value.code == code
    assert _stored(settings) == before


def _stored(settings) -> tuple:
    return (
        list(Promise.objects.order_by("pk").values_list("pk", "state")),
        PromiseFile.objects.count(),
        LogPending.objects.exclude(kind="genesis").count(),
        len(files(settings)),
        AuditEntry.objects.filter(action__startswith="promise.").count(),
    )


STOCK = {"rc": "STOCK", "asked_by": "seller"}


def test_what_must_not_be_issued_stores_nothing(settings):
    order = make_promised_order()
    SellerProfile.objects.all().delete()
    refused("not_set_up", settings, order)
    refused("no_date", settings, make_promised_order(confirmed=None))
    refused("no_place", settings, make_promised_order(person={"name": "王小明"}))
    refused("past", settings, make_promised_order(confirmed=date(2026, 5, 31)))
    refused("no_promise", settings, order, due=NEXT_MONDAY, **STOCK)
    hidden = make_promised_order()
    hidden.lines.update(name="刹车\u202e片")
    refused("bad_text", settings, hidden)
    cancelled = make_promised_order()
    told(cancelled, "cancel.accepted", 2)
    refused("closed", settings, cancelled)


def test_what_must_not_be_moved_stores_nothing(settings):
    order = issued().order
    refused("has_one", settings, order)
    refused("no_reason", settings, order, due=NEXT_MONDAY, rc="MOOD", asked_by="seller")
    refused("no_reason", settings, order, due=NEXT_MONDAY, rc="STOCK", asked_by="neighbour")
    refused("same_date", settings, order, due=end_of(FRIDAY, SHANGHAI), **STOCK)
    refused("inside_window", settings, order, due=NEXT_MONDAY, is_automatic=True, **STOCK)


def test_a_promise_is_not_moved_once_its_date_has_passed(settings):
    promise = issued()
    refused(
        "overdue", settings, promise.order, at=promise.due + timedelta(seconds=1), due=NEXT_MONDAY, **STOCK
    )

    assert issuing.issue(promise.order, by=None, at=promise.due, due=NEXT_MONDAY, **STOCK).version == 2


def test_an_ended_promise_is_neither_moved_nor_followed_by_another(settings):
    promise = issued()
    Promise.objects.filter(pk=promise.pk).update(state="missed")

    refused("ended", settings, promise.order, due=NEXT_MONDAY, **STOCK)
    refused("ended", settings, promise.order)


def test_after_a_revoked_promise_a_new_one_has_a_number_of_its_own():
    promise = issued()
    life.carry_out(promise.pk, by=make_staff("ops_manager"), reason="wrong article", at=after(2))

    second = issued(promise.order, hours=3)

    assert second.version == 1
    assert second.number != promise.number
    assert second.supersedes is None


def test_a_draft_that_somebody_overtook_is_not_stored():
    promise = issued()
    wish = issuing.Wish(by=None, day=date(2026, 6, 9), rc="STOCK", asked_by="seller")
    draft = issuing.drawn(promise.order, wish, at=after(2))
    paper = papers.keep(issuing.rendered(draft))
    moved(promise)

    with pytest.raises(NotIssued) as refusal:
        issuing.store(draft, paper)

    assert refusal.value.code == "changed"
    assert Promise.objects.count() == 2


def test_the_worker_answers_a_request_in_the_same_transaction_and_the_estimate_is_its_basis():
    order = make_promised_order(confirmed=None)
    make_estimate(order)
    request = asking.ask(order, by=None, at=after(1))

    promise = asking.answer(request, at=after(1))

    request = IssueRequest.objects.get()
    assert (request.state, request.promise) == (IssueRequest.State.ISSUED, promise)
    said = canonical.decode(bytes(promise.payload))
    assert said["basis"] == {"model": "1.1", "lane": "city", "p": 952, "n": 120}
    assert (promise.window_from, promise.window_to) == (
        datetime(2026, 6, 2, 16, tzinfo=UTC),
        datetime(2026, 6, 4, 15, 59, 59, tzinfo=UTC),
    )


def test_papers_that_never_got_a_row_are_deleted_and_others_stay(
    settings, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        promise = issued()
    open_marks = Path(settings.DOCUMENT_DIR) / "open"
    assert list(open_marks.iterdir()) == []
    stray = papers.keep(b"%PDF nobody issued")
    named = papers.keep(promise.file.full_path.read_bytes())

    assert papers.forget_strays(datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert papers.forget_strays(datetime(2100, 1, 1, tzinfo=UTC)) == 2
    assert [one.name for one in files(settings)] == [f"{named.sha256}.pdf"]
    assert stray.sha256 != named.sha256
