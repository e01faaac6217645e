"""/v/: the verdict on a code and on a number, in every state, and what it must not give away."""

from __future__ import annotations

import json
import logging
import re
from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client

from orderhub.request_id import JsonLines
from orders import append_only
from orders.tests.factories import after
from promises import numbers, token
from promises.commitments.models import Compensation, Promise
from promises.ledger import keys
from promises.ledger.models import LogKey, LogLeaf, SellerProfile
from promises.tests.factories_commitments import PERSON
from promises.tests.factories_verification import make_chain, make_filed, paper_of, write_log
from promises.verification import rate, verdict, verify

pytestmark = pytest.mark.django_db

MONDAY_11 = after(2)


@pytest.fixture(autouse=True)
def _house(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    settings.KEY_DIR = tmp_path
    settings.LEDGER_DIR = tmp_path / "ledger"


def text_of(promise: Promise) -> str:
    return token.to_text(bytes(promise.token))


def ask(path, *, at=MONDAY_11, **query):
    with time_machine.travel(at, tick=False):
        return Client().get(path, {"lang": "en", **query})


def shown(response) -> str:
    """The words of the page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def verdict_of(response) -> str:
    return re.search(r'<section class="verdict verdict-(\w+)"', response.content.decode())[1]


@pytest.mark.parametrize("written", ["/v/{}", "/V/{}", "/V//{}", "/v/{}/", "/V//{}/"])
def test_a_code_opens_its_promise_however_a_scanner_writes_it(written):
    promise = make_filed()

    for text in (text_of(promise), text_of(promise).lower()):
        response = ask(written.format(text))
        assert response.status_code == 200
        assert "Genuine, in force" in shown(response)
        assert promise.shown_number in shown(response)


def test_the_holder_of_the_code_sees_what_was_signed_and_why_to_believe_it():
    promise = make_filed()

    page = shown(ask(f"/v/{text_of(promise)}"))

    assert "Promised by 2026-06-05 23:59 Beijing time" in page
    assert "浙江省 绍兴市" in page
    assert "王**" in page
    assert f"Order number ends in {promise.order.number[-4:]}" in page
    assert "Entry 1 of 2" in page
    assert promise.file.sha256 in page


def test_the_number_alone_says_state_and_date_and_nothing_else():
    promise = make_filed()

    response = ask("/v/", n=promise.shown_number)

    assert "Genuine, in force" in shown(response)
    assert "promised by 2026-06-05 23:59 Beijing time" in shown(response)
    for secret in (
        "绍兴",
        "王**",
        promise.order.number[-4:],
        promise.ph[:16],
        promise.file.sha256,
        text_of(promise),
    ):
        assert secret not in response.content.decode()


@pytest.mark.parametrize(
    "change", [str.lower, lambda n: n.replace("-", " "), lambda n: n[:-2], lambda n: n.replace("0", "O")]
)
def test_a_number_is_read_as_people_write_it(change):
    promise = make_filed()

    assert ask("/v/", n=change(promise.shown_number)).status_code == 200
    assert ask(f"/V/{change(promise.shown_number)}/").status_code == 200


def test_a_fingerprint_says_which_version_the_paper_is():
    first, second = make_chain(date(2026, 6, 8))

    page = shown(
        ask("/v/", n=first.number, f=f"{first.ph[:4]} {first.ph[4:8]} {first.ph[8:16].upper()}", at=after(3))
    )

    assert "The fingerprint is that of version 1." in page
    assert "Genuine, replaced" in page
    wrong = ask("/v/", n=first.number, f="0" * 16, at=after(3))
    assert verdict_of(wrong) == "danger"
    assert "Does not match" in shown(wrong)
    assert second.version == 2


def test_a_chain_of_three_agrees_on_the_newest_from_all_its_papers():
    chain = make_chain(date(2026, 6, 8), date(2026, 6, 9))
    newest = chain[-1]

    pages = [ask(f"/v/{text_of(promise)}", at=after(4)) for promise in chain]

    for page, promise in zip(pages[:2], chain, strict=False):
        assert f"Version {promise.version}, issued" in shown(page)
        assert "replaced it by version 3" in shown(page)
        assert f"/v/{text_of(newest)}" in page.content.decode()
    assert "Genuine, in force" in shown(pages[2])
    for page in pages:
        assert (
            "The date was moved 2 times. The first one, 2026-06-05 23:59 Beijing time, is what counts."
            in shown(page)
        )
        assert "asked for by the seller. Reason: Stock." in shown(page)
    by_number = shown(ask("/v/", n=newest.number, at=after(4)))
    assert "promised by 2026-06-09 23:59" in by_number


@pytest.mark.parametrize(
    ("state", "words", "meaning"),
    [
        ("kept", "Genuine, kept", "ok"),
        ("missed", "Genuine, missed", "danger"),
        ("waived", "Genuine, waived", "stale"),
        ("revoked", "Genuine, revoked", "danger"),
        ("unknown", "Genuine, no outcome", "danger"),
    ],
)
def test_each_end_has_words_and_a_shape_of_its_own(state, words, meaning):
    promise = make_filed()
    Promise.objects.filter(pk=promise.pk).update(state=state)

    for response in (ask(f"/v/{text_of(promise)}"), ask("/v/", n=promise.number)):
        assert words in shown(response)
        assert verdict_of(response) == meaning


def test_a_missed_promise_shows_the_sellers_apology_to_its_holder():
    promise = make_filed()
    SellerProfile.objects.update(apology="很抱歉。", apology_en="We are sorry.")
    Promise.objects.filter(pk=promise.pk).update(state="missed")

    Compensation.objects.create(promise=promise, state="offered", words="12 yuan back", said_at=MONDAY_11)

    holders, strangers = shown(ask(f"/v/{text_of(promise)}")), shown(ask("/v/", n=promise.number))

    assert "We are sorry." in holders
    assert "Compensation: Offered · 12 yuan back" in holders
    assert "We are sorry." not in strangers
    assert "12 yuan" not in strangers


def test_a_date_that_has_passed_is_said_before_anything_was_judged():
    promise = make_filed()

    assert "Genuine, date passed" in shown(
        ask(f"/v/{text_of(promise)}", at=promise.due + timedelta(seconds=1))
    )


def test_ten_minutes_without_the_log_turn_the_page_red():
    promise = make_filed(logged=False)
    path = f"/v/{text_of(promise)}"

    early = ask(path, at=promise.made_at + timedelta(minutes=10))
    late = ask(path, at=promise.made_at + timedelta(minutes=10, seconds=1))

    assert verdict_of(early) == "ok"
    assert "Registered; it is written within 10 minutes." in shown(early)
    assert verdict_of(late) == "danger"
    assert "Signed, but not in the log" in shown(late)
    assert verdict_of(ask("/v/", n=promise.number, at=promise.made_at + timedelta(minutes=11))) == "danger"
    write_log(2)
    assert verdict_of(ask(path, at=promise.made_at + timedelta(minutes=11))) == "ok"


def test_a_code_that_was_signed_and_is_nowhere_recorded_is_red_not_unknown():
    """As after the return to an old backup: the seller's own signature speaks against him."""
    log = make_filed().pending.log
    at = int(MONDAY_11.timestamp())
    signed = token.sign(
        log.origin, keys.token_key(log), number=numbers.draw(), issued_at=at, due=at + 1, ph=bytes(32)
    )

    response = ask(f"/v/{token.to_text(signed)}")

    assert verdict_of(response) == "danger"
    assert "Signed, but not in the log" in shown(response)


def test_an_entry_altered_behind_our_back_is_never_shown_as_good():
    promise = make_filed()
    leaf = LogLeaf.objects.get(index=promise.pending.index)
    with append_only.lifted():
        LogLeaf.objects.filter(pk=leaf.pk).update(entry=bytes(leaf.entry).replace(b'"ts":17', b'"ts":16'))

    response = ask(f"/v/{text_of(promise)}")

    assert response.status_code == 503
    assert "Cannot be checked now" in shown(response)


def test_each_changed_character_of_the_code_is_refused():
    promise = make_filed()
    text = text_of(promise)

    for place in range(0, len(text), 7):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert verify_sees(changed) in {"differs", "unknown"}
    assert verify_sees(text) == "genuine"


def verify_sees(text):
    return verdict.by_token(text, MONDAY_11).authenticity


def test_a_code_of_a_revoked_key_is_good_only_if_it_was_logged_before():
    before, after_it = make_filed(), make_filed(hours=1.5)
    LogKey.objects.filter(purpose="token").update(revoked_at_size=before.pending.index + 1)

    assert verify_sees(text_of(before)) == "genuine"
    assert verify_sees(text_of(after_it)) == "differs"


def test_unknown_and_malformed_are_answered_alike(django_assert_num_queries, settings):
    settings.VERIFY_PER_MINUTE = 100
    promise = make_filed()
    stranger = numbers.encode(bytes(10))
    asked = [
        f"/v/{stranger}",
        "/v/nothing",
        f"/v/{promise.number[:-1]}",
        f"/v/{promise.number}{'*' * 3}",
        "/v/a/b/c",
    ]
    codes = [f"/v/{'A' * 191}", f"/v/{'A' * 190}", f"/v/{'8' * 191}", f"/v/{text_of(promise)[:-2]}"]

    found = {}
    for path in asked:
        with django_assert_num_queries(1):
            response = ask(path)
        found[path] = (response.status_code, response.content)
    for path in codes:
        with django_assert_num_queries(2):
            response = ask(path)
        found[path] = (response.status_code, response.content)

    assert {status for status, _body in found.values()} == {404}
    assert len({body.replace(path.encode(), b"") for path, (_status, body) in found.items()}) == 1


def test_trying_numbers_is_stopped_and_holding_a_code_is_not(settings):
    settings.VERIFY_PER_MINUTE = 3
    promise = make_filed()

    answers = [ask("/v/", n=promise.number).status_code for _time in range(4)]

    assert answers == [200, 200, 200, 429]
    assert ask("/v/", n=promise.number)["Retry-After"] == "60"
    assert ask(f"/v/{text_of(promise)}").status_code == 200
    assert Client().get("/v/").status_code == 200
    assert ask("/v/", n=promise.number, at=MONDAY_11 + timedelta(minutes=1)).status_code == 200


def test_all_addresses_together_have_a_limit_too(settings):
    settings.VERIFY_PER_MINUTE_IN_ALL = 5
    with time_machine.travel(MONDAY_11, tick=False):
        found = [Client().get("/v/0000", REMOTE_ADDR=f"10.0.0.{n}").status_code for n in range(6)]

    assert found == [404] * 5 + [429]


def test_the_proof_file_alone_satisfies_the_stand_alone_verifier(tmp_path):
    first, promise = make_chain(date(2026, 6, 8))
    (tmp_path / "a.pdf").write_bytes(paper_of(promise))
    (tmp_path / "a.tlog-proof").write_bytes(ask(f"/v/{text_of(promise)}.tlog-proof").content)
    trust = verify.Trust()
    verify.read_keys(Client().get("/.well-known/promise-keys.txt").content.decode(), trust)

    report = verify.verify([str(tmp_path / "a.pdf"), str(tmp_path / "a.tlog-proof")], verify.Wish(trust))

    assert report.checks.keys() >= {"file", "attachment", "payload", "token", "inclusion", "seen"}
    assert report.exit == verify.TRUE
    assert report.promise["number"] == first.number


def test_the_proof_file_is_for_holders_only():
    promise = make_filed()

    assert ask(f"/v/{text_of(promise)[:-1]}7.tlog-proof").status_code == 404
    assert ask(f"/v/{text_of(promise)}.tlog-proof")["Cache-Control"] == "no-store"


def test_the_verifier_is_served_byte_for_byte():
    response = Client().get("/log/verify.py")

    with open(verify.__file__, "rb") as source:
        assert response.content == source.read()


def test_pages_are_strict_private_and_free_of_people():
    promise = make_filed()

    for response in (ask(f"/v/{text_of(promise)}"), ask("/v/", n=promise.number), ask("/v/")):
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Robots-Tag"] == "noindex, nofollow"
        assert "unsafe" not in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
        assert len(response.content) <= 15_000
        for secret in (PERSON["name"], PERSON["phone"], PERSON["street"], promise.order.number):
            assert secret not in response.content.decode()
        assert not re.search(r'(src|href)="(https?:)?//', response.content.decode())
    assert Client().post("/v/").status_code == 405


def test_codes_and_links_do_not_reach_the_log_lines():
    text = text_of(make_filed())
    lines = JsonLines()

    for message in (
        f"Not Found: /v/{text}",
        f"GET /V//{text.lower()}?a=1",
        f"n={text} failed",
        "Not Found: /o/c2VjcmV0LWxpbms/",
    ):
        record = logging.LogRecord("django.request", logging.WARNING, "", 0, message, None, None)
        line = lines.format(record)
        assert text.lower() not in line.lower()
        assert "c2VjcmV0" not in line
        assert "***" in json.loads(line)["message"]
    kept = logging.LogRecord("x", logging.WARNING, "", 0, "/admin/orders/order/12/ /var/o.txt", None, None)
    assert json.loads(lines.format(kept))["message"] == "/admin/orders/order/12/ /var/o.txt"


def test_the_rate_stands_with_its_numbers_and_its_evidence():
    promise = make_filed()
    log = promise.pending.log
    assert "How often the seller keeps" not in shown(ask(f"/v/{text_of(promise)}"))

    rate.count(log, promise.due + timedelta(days=4))

    page = shown(ask(f"/v/{text_of(promise)}"))
    assert "promises due: 1; kept by their first date: 0 (0.0%)" in page
    assert "without an outcome, counted as missed: 1." in page
    assert "Counted from all 2 entries of the log" in page


def test_the_rate_is_counted_again_only_where_the_log_has_grown():
    promise = make_filed()
    at = promise.made_at

    with time_machine.travel(at + timedelta(minutes=5), tick=False):
        assert rate.work() == 1
        assert rate.work() == 0
    with time_machine.travel(at + timedelta(minutes=30), tick=False):
        assert rate.work() == 0
        make_filed(hours=1.4)
        assert rate.work() == 1
