"""Personal data: names, phones, streets. Encrypted, masked where shown, deletable; facts and orders hold only the row's id."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypedDict

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from orders import audit

FIELDS = ("name", "phone", "email", "country", "province", "city", "district", "street", "postcode")


class Person(TypedDict, total=False):
    """What is known of a person. All values are text; missing keys are unknown."""

    name: str
    phone: str
    email: str
    country: str
    province: str
    city: str
    district: str
    street: str
    postcode: str


@lru_cache(maxsize=4)
def _fernet(secrets: tuple[str, ...]) -> MultiFernet:
    if not secrets:
        raise ImproperlyConfigured("ORDERHUB_SECRETS is empty: run script/setup, or set it to a Fernet key.")
    return MultiFernet([Fernet(secret) for secret in secrets])


def fernet() -> MultiFernet:
    """Encrypts with the newest secret, decrypts with any of them."""
    return _fernet(tuple(settings.ORDERHUB_SECRETS))


def masked_name(name: str) -> str:
    """王小明 -> 王**; one sign stays, the number of stars says nothing about the length."""
    return f"{name[0]}**" if name else ""


def masked_phone(phone: str) -> str:
    """13812345678 -> 138****5678; short numbers keep the last two digits only."""
    digits = "".join(sign for sign in phone if sign.isdigit())
    if len(digits) < 8:
        return f"****{digits[-2:]}" if digits else ""
    return f"{digits[:3]}****{digits[-4:]}"


class ContactQuerySet(models.QuerySet["Contact"]):
    def keep(self, person: Person, *, is_demo: bool = False) -> Contact | None:
        """The row for exactly these details, made if new; None if there are no personal data in them.

        The same details give the same row, so that a message delivered twice leaves one.
        """
        return self.keep_many([person], is_demo=is_demo)[0]

    def keep_many(self, people: Sequence[Person], *, is_demo: bool = False) -> list[Contact | None]:
        """keep() for many at once, in three statements at most; the answer is as long as the question."""
        texts = [_text(person) for person in people]
        wanted = {fingerprint(text): text for text in texts if text}
        kept = {contact.fingerprint: contact for contact in self.filter(fingerprint__in=wanted)}
        missing = [
            _sealed_row(mark, text, is_demo=is_demo) for mark, text in wanted.items() if mark not in kept
        ]
        if missing:
            # Another worker may keep the same person at this moment: its row is as good as ours.
            self.bulk_create(missing, ignore_conflicts=True)
            marks = [contact.fingerprint for contact in missing]
            kept |= {contact.fingerprint: contact for contact in self.filter(fingerprint__in=marks)}
        return [kept[fingerprint(text)] if text else None for text in texts]


def _text(person: Person) -> str:
    """The details as they are sealed, in one fixed form; empty if there are none."""
    details = {field: str(person[field]) for field in FIELDS if person.get(field)}  # type: ignore[literal-required]
    return json.dumps(details, ensure_ascii=False, sort_keys=True) if details else ""


def _sealed_row(mark: str, text: str, *, is_demo: bool) -> Contact:
    details: dict[str, str] = json.loads(text)
    return Contact(
        fingerprint=mark,
        sealed=fernet().encrypt(text.encode()).decode(),
        masked_name=masked_name(details.get("name", "")),
        masked_phone=masked_phone(details.get("phone", "")),
        phone_tail="".join(filter(str.isdigit, details.get("phone", "")))[-4:],
        country=details.get("country", "")[:2].upper(),
        province=details.get("province", "")[:40],
        city=details.get("city", "")[:40],
        is_demo=is_demo,
    )


def fingerprint(text: str) -> str:
    """Keyed apart from the secrets, so that neither a new secret nor dropping an old one makes a known contact new."""
    if not settings.ORDERHUB_FINGERPRINT_KEY:
        raise ImproperlyConfigured("ORDERHUB_FINGERPRINT_KEY is empty: run script/setup.")
    key = settings.ORDERHUB_FINGERPRINT_KEY.encode()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Contact(models.Model):
    """One person's details as one source gave them. Emptying the row removes the person; orders and facts stay."""

    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    sealed = models.TextField(editable=False, blank=True)
    masked_name = models.CharField(_("name"), max_length=10, blank=True)
    masked_phone = models.CharField(_("phone"), max_length=20, blank=True)
    phone_tail = models.CharField(max_length=4, blank=True, db_index=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    province = models.CharField(_("province"), max_length=40, blank=True)
    city = models.CharField(_("city"), max_length=40, blank=True)
    emptied_at = models.DateTimeField(_("emptied at"), null=True, blank=True)
    is_demo = models.BooleanField(_("demo"), default=False, editable=False)

    objects = ContactQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        permissions = [
            ("reveal_contact", _("Can see names, phone numbers and streets in full (each look is recorded)")),
            ("empty_contact", _("Can remove a person's details for good")),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.masked_name} {self.masked_phone}".strip() or f"#{self.pk}"

    def opened(self) -> Person:
        """The details in clear; {} if the row was emptied. Whoever shows them records the look in the audit.

        Raises InvalidToken if none of ORDERHUB_SECRETS fits.
        """
        if not self.sealed:
            return {}
        person: Person = json.loads(fernet().decrypt(self.sealed.encode()))
        return person

    @property
    def pseudonym(self) -> str:
        """Tells two persons apart without saying who they are."""
        return self.fingerprint[:16]

    @property
    def audit_label(self) -> str:
        # The audit outlives an erasure: not even the masked name goes there.
        return self.pseudonym

    def reveal(self, *, reason: str = "") -> Person:
        """The details in clear, and the look in the audit."""
        with transaction.atomic():
            audit.record("reveal", self, after={"pseudonym": self.pseudonym}, reason=reason)
            return self.opened()

    def empty(self, at: datetime, *, reason: str = "") -> None:
        """Remove the person for good. The row, its orders and a pseudonym in the audit stay.

        The fingerprint goes too: should the same person order again, that order gets a row of its own.
        """
        with transaction.atomic():
            row = Contact.objects.select_for_update().get(pk=self.pk)
            if row.emptied_at:
                return
            audit.record("empty", row, before={"pseudonym": row.pseudonym}, reason=reason)
            self.sealed = self.masked_name = self.masked_phone = self.phone_tail = ""
            self.country = self.province = self.city = ""
            self.fingerprint = f"emptied-{self.pk}"
            self.emptied_at = at
            self.save()


__all__ = ["Contact", "InvalidToken", "Person", "fernet", "fingerprint", "masked_name", "masked_phone"]
