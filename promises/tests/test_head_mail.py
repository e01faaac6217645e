"""The day's head goes out by real mail, to whoever the seller's page names; nobody else learns of them."""

from __future__ import annotations

import email
import re
from datetime import timedelta
from email import policy

import pytest
import time_machine
from aiosmtpd.controller import Controller
from django.core.exceptions import ValidationError
from django.utils.timezone import now

from promises.anchors import anchoring, reading
from promises.anchors.models import Anchor
from promises.ledger import sequencer
from promises.ledger.models import Checkpoint, SellerProfile, are_addresses
from promises.tests.factories_ledger import make_entries, make_log, queue_issue
from promises.tests.smalllog import Promised, SmallLog, number
from promises.tests.test_verify_commitment import alone, run

pytestmark = pytest.mark.django_db
READERS = "owner@example.com\naccountant@example.com"


class Mailbox:
    """What a mail server took. refused: what it says to every message instead."""

    def __init__(self):
        self.taken, self.refused = [], ""

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - the library's name
        if self.refused:
            return self.refused
        self.taken.append(
            (sorted(envelope.rcpt_tos), email.message_from_bytes(envelope.content, policy=policy.default))
        )
        return "250 OK"


class OnAnyPort(Controller):
    """On a port that is free; the library looks for itself on the one that it was told."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def mailbox(settings):
    box = Mailbox()
    controller = OnAnyPort(box, hostname="127.0.0.1", port=0)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    settings.MAIL_URL = "smtp://127.0.0.1"
    yield box
    controller.stop()


@pytest.fixture
def log():
    log = make_log(head_readers=READERS)
    make_entries(log, 3)
    return log


def test_the_days_head_is_sent_once_a_day_with_the_signed_note(mailbox, log):
    anchoring.work()
    anchoring.work()

    ((to, message),) = mailbox.taken
    (attached,) = message.iter_attachments()
    assert to == ["accountant@example.com", "owner@example.com"]
    assert attached.get_filename() == "head-4.txt"
    assert attached.get_content().decode() == Checkpoint.objects.get(log=log, size=4).note
    queue_issue(log, 9)
    sequencer.sweep()
    with time_machine.travel(now() + timedelta(hours=25)):
        anchoring.work()
    assert [one.checkpoint.size for one in Anchor.objects.order_by("pk")] == [4, 5]
    assert len(mailbox.taken) == 2


def test_it_is_written_in_both_languages_and_names_no_reader(mailbox, log):
    anchoring.work()

    ((_to, message),) = mailbox.taken
    text = message.get_body().get_content()
    root = bytes(Checkpoint.objects.get(log=log, size=4).root).hex()
    assert text.count(root) == 2
    assert "Please keep this message" in text
    assert "请保留" in text
    assert "4" in message["Subject"]
    for reader in READERS.split():
        assert reader not in message.as_string()


def test_nobody_outside_is_told_to_whom_it_went(mailbox, log, client):
    anchoring.work()

    anchor = Anchor.objects.get()
    assert (anchor.state, anchor.facts["readers"]) == ("anchored", "2")
    assert b"example.com" not in bytes(anchor.receipt)
    assert client.get(f"/log/receipts/{anchor.pk}").status_code == 404
    assert client.get(f"/log/receipts/{anchor.pk}/head").status_code == 404
    assert reading.receipts(log, 1) == ()


def test_a_server_that_does_not_take_it_is_asked_again(mailbox, log):
    mailbox.refused = "451 later"
    anchoring.work()
    assert (Anchor.objects.get().state, "451" in Anchor.objects.get().error) == ("pending", True)
    mailbox.refused = ""

    with time_machine.travel(now() + timedelta(minutes=2)):
        anchoring.work()

    assert (Anchor.objects.get().state, len(mailbox.taken)) == ("anchored", 1)


@pytest.mark.parametrize(("url", "readers"), [("", READERS), ("smtp://127.0.0.1", "")])
def test_without_a_server_or_readers_nothing_is_sent(mailbox, log, settings, url, readers):
    settings.MAIL_URL = url
    SellerProfile.objects.update(head_readers=readers)

    anchoring.work()

    assert (mailbox.taken, Anchor.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    "text", ["owner", "a@b.example c@", "x\n@example.com", "a@example.com,b@example.com"]
)
def test_what_is_no_address_is_named(text):
    with pytest.raises(ValidationError, match="is no mail address"):
        are_addresses(text)


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [(4, (0, True)), (7, (0, True)), (2, (2, None))],
    ids=["older", "the same", "no way from it"],
)
def test_whoever_kept_a_message_can_show_that_the_log_continues_it(tmp_path, entries, wanted):
    log = SmallLog()
    for n in range(6):
        log.issue(Promised(log, no=number(n)))
    (tmp_path / "keys.txt").write_text(log.keys())
    (tmp_path / "a.tlog-proof").write_text(log.proof(2, since=4))
    (tmp_path / "head.txt").write_text(log.head(entries))

    assert both(tmp_path) == wanted


@pytest.mark.parametrize("size", [4, 7])
def test_whoever_kept_a_message_can_show_that_the_log_was_rewritten(tmp_path, size):
    log, before = SmallLog(), SmallLog()
    for n in range(6):
        log.issue(Promised(log, no=number(n)))
        before.issue(Promised(before, no=number(n + 20 * (n == 1))))
    (tmp_path / "keys.txt").write_text(log.keys())
    (tmp_path / "a.tlog-proof").write_text(log.proof(2, since=4))
    (tmp_path / "head.txt").write_text(before.head(size))

    assert both(tmp_path) == ((3 if size == 7 else 1), False)


def both(folder):
    proof, keys, seen = (folder / name for name in ("a.tlog-proof", "keys.txt", "head.txt"))
    theirs = alone(str(proof), "--keys", str(keys), "--seen", str(seen))
    ours = run(str(proof), keys=[keys], seen=seen)
    found = [
        (code, next(one["ok"] for one in said["checks"] if one["name"] == "earlier head"))
        for code, said in (theirs, ours)
    ]
    assert found[0] == found[1]
    return found[0]


def test_the_proof_of_a_rewritten_log_holds_both_heads(tmp_path):
    log, before = SmallLog(), SmallLog()
    log.issue(Promised(log, no=number(1)))
    before.issue(Promised(before, no=number(2)))
    for name, text in {
        "keys.txt": log.keys(),
        "a.tlog-proof": log.proof(1),
        "head.txt": before.head(),
    }.items():
        (tmp_path / name).write_text(text)

    _code, said = alone(
        str(tmp_path / "a.tlog-proof"),
        "--keys",
        str(tmp_path / "keys.txt"),
        "--seen",
        str(tmp_path / "head.txt"),
    )

    assert len(re.findall(r"^\u2014 ", "\n".join(said["misbehaviour"]), re.MULTILINE)) == 2
