"""The day's head by mail, to people outside: whoever keeps the messages can show later what the log was on each of these days.

The plainest of witnesses. It proves nothing to strangers, so it stands on no public page; it binds the house all the same,
because a log that is rewritten no longer continues the head that somebody has in his mailbox (verify.py --seen).
"""

from __future__ import annotations

import smtplib
from datetime import timedelta
from email.utils import make_msgid
from typing import ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import gettext as _
from django.utils.translation import override

from promises import notes
from promises.anchors.services import NoReceipt, Receipt, Said
from promises.ledger.models import SellerProfile

LANGUAGES = ("zh-hans", "en")


class Mail:
    """The readers that the seller's page names, through the mail server of ORDERHUB_MAIL_URL."""

    kind: ClassVar[str] = "mail"
    every: ClassVar[timedelta] = timedelta(days=1)
    patience: ClassVar[timedelta] = timedelta(hours=1)

    def is_set_up(self) -> bool:
        return bool(settings.MAIL_URL and readers())

    def submit(self, note: str) -> Receipt:
        to, message_id = readers(), make_msgid(domain=urlsplit(settings.PUBLIC_URL).hostname)
        try:
            _message(note, to, message_id).send()
        except (smtplib.SMTPException, OSError) as error:
            raise NoReceipt(f"the mail server did not take the message: {error}") from None
        # Without the addresses: the audit of logs is no place for them.
        receipt = f"{message_id}\n{len(to)}\n".encode()
        return Receipt(receipt, self.check(receipt, note))

    def upgrade(self, receipt: bytes, note: str) -> Receipt:
        return Receipt(receipt, self.check(receipt, note))

    def check(self, receipt: bytes, note: str) -> Said:
        """What was sent, by our own word only."""
        message_id, n_readers = receipt.decode().split("\n")[:2]
        return Said(None, {"message_id": message_id, "readers": n_readers})


def readers() -> list[str]:
    """The addresses that get the day's head."""
    seller = SellerProfile.the_one()
    return seller.head_readers.split() if seller else []


def _message(note: str, to: list[str], message_id: str) -> EmailMessage:
    head = notes.checkpoint(notes.parse(note).text)
    parts = []
    for language in LANGUAGES:
        with override(language):
            subject = _("Head of the log: %(n)s entries") % {"n": head.size}
            parts.append((subject, _body(head)))
    message = EmailMessage(
        subject=" / ".join(subject for subject, _text in parts),
        body="\n\n".join(text for _subject, text in parts) + "\n",
        # Readers need not know of each other.
        bcc=to,
        headers={
            "Message-ID": message_id,
            "To": "undisclosed-recipients:;",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach(f"head-{head.size}.txt", note.encode(), "application/octet-stream")
    return message


def _body(head: notes.Checkpoint) -> str:
    return _(
        "The log %(origin)s has %(n)s entries today. Their fingerprint is %(root)s, signed in the attached file.\n\n"
        "Please keep this message. If the log is ever altered, it no longer fits this file, and anybody can prove it: "
        "download %(program)s and the proof of any commitment, and give it the file with --seen. There is nothing else to do."
    ) % {
        "origin": head.origin,
        "n": head.size,
        "root": head.root.hex(),
        "program": f"{settings.PUBLIC_URL}/log/verify.py",
    }
