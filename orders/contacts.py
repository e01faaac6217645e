"""Personal data: names, phones, streets. Encrypted, masked where shown, deletable; facts and orders hold only the row's id."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import lru_cache
from typing import TypedDict

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils.translation import gettext_lazy as _

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
        details = {field: str(person[field]) for field in FIELDS if person.get(field)}  # type: ignore[literal-required]
        if not details:
            return None
        text = json.dumps(details, ensure_ascii=False, sort_keys=True)
        contact, _created = self.get_or_create(
            fingerprint=fingerprint(text),
            defaults={
                "sealed": fernet().encrypt(text.encode()).decode(),
                "masked_name": masked_name(details.get("name", "")),
                "masked_phone": masked_phone(details.get("phone", "")),
                "phone_tail": "".join(filter(str.isdigit, details.get("phone", "")))[-4:],
                "country": details.get("country", "")[:2].upper(),
                "province": details.get("province", "")[:40],
                "city": details.get("city", "")[:40],
                "is_demo": is_demo,
            },
        )
        return contact


def fingerprint(text: str) -> str:
    """Keyed with the oldest secret, so that rotation does not make every contact new."""
    return hmac.new(settings.ORDERHUB_SECRETS[-1].encode(), text.encode(), hashlib.sha256).hexdigest()


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
            ("reveal_contact", _("Can see names, phone numbers and streets in full (each look is recorded)"))
        ]

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


__all__ = ["Contact", "InvalidToken", "Person", "fernet", "fingerprint", "masked_name", "masked_phone"]
