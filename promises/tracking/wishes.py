"""What customers ask for on their page. Nothing is done by itself: each wish is a row, sealed, and a to-do for a person."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import cast

from django import forms
from django.core.validators import RegexValidator
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from orders.contacts import Contact, Person, fernet
from orders.deadlines import Calendars
from orders.models import Order, Todo
from orders.stages import HANDED_OVER, Stage
from orders.worktime import CalendarNeverOpens, add_working
from promises.tracking.models import CustomerRequest, DeliveryRating, MessageConsent

# Working time until somebody must have answered. An address is urgent once the goods may leave.
ANSWERED_WITHIN = timedelta(hours=4)
ADDRESS_WITHIN = timedelta(hours=2)
ADDRESS_ON_WAY_WITHIN = timedelta(minutes=30)
CONSENT_LASTS = timedelta(days=180)
A_DAY = 5
PHONE = re.compile(r"\A\+?[0-9 ()-]{6,23}\Z")
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class TooMany(Exception):
    """The order's page has taken as many wishes today as anybody needs."""


class AddressForm(forms.Form):
    name = forms.CharField(label=_("Name of the receiver"), max_length=60)
    phone = forms.CharField(
        label=_("Phone"),
        max_length=24,
        validators=[RegexValidator(PHONE, _("Give a phone number: digits, spaces and + only."))],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "inputmode": "tel"}),
    )
    province = forms.CharField(label=_("Province or state"), max_length=40, required=False)
    city = forms.CharField(label=_("City"), max_length=40)
    street = forms.CharField(label=_("Street, house number, room"), max_length=200)

    def person(self) -> Person:
        return cast(Person, {name: text for name, text in self.cleaned_data.items() if text})


class MessageForm(forms.Form):
    message = forms.CharField(
        label=_("Your message"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": _("Write what you would like to know, then send it.")},
    )


class ConsentForm(forms.Form):
    channel = forms.ChoiceField(label=_("How"), choices=MessageConsent.Channel.choices)
    target = forms.CharField(
        label=_("Phone number or e-mail address"),
        max_length=120,
        error_messages={"required": _("Give the number or address to write to.")},
    )

    def clean(self) -> dict[str, str]:
        cleaned: dict[str, str] = super().clean() or {}
        target, channel = cleaned.get("target", ""), cleaned.get("channel")
        is_phone = PHONE.fullmatch(target)
        is_mail = MAIL.fullmatch(target)
        if target and channel == MessageConsent.Channel.SMS and not is_phone:
            self.add_error(
                "target", _("That is no phone number. Give one with digits only, or choose e-mail.")
            )
        if target and channel == MessageConsent.Channel.EMAIL and not is_mail:
            self.add_error("target", _("That is no e-mail address. It looks like name@example.com."))
        return cleaned


def ask_address(order: Order, person: Person, at: datetime) -> CustomerRequest:
    """Raises TooMany. The address that the order has stays in force until a person changes it."""
    contact = Contact.objects.keep(person, is_demo=order.is_demo)
    return _ask(order, CustomerRequest.Kind.ADDRESS, at, contact=contact)


def ask_message(order: Order, message: str, at: datetime) -> CustomerRequest:
    """Raises TooMany."""
    return _ask(order, CustomerRequest.Kind.MESSAGE, at, sealed=_sealed(message))


def _sealed(text: str) -> str:
    return fernet().encrypt(text.encode()).decode()


def _ask(
    order: Order,
    kind: CustomerRequest.Kind,
    at: datetime,
    *,
    contact: Contact | None = None,
    sealed: str = "",
) -> CustomerRequest:
    with transaction.atomic():
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        check_room(locked, at)
        due_at = answered_by(locked, kind, at)
        todo = _todo(locked, kind, at, due_at)
        return CustomerRequest.objects.create(
            order=locked, kind=kind, made_at=at, due_at=due_at, todo=todo, contact=contact, sealed=sealed
        )


def check_room(order: Order, at: datetime) -> None:
    """Raises TooMany if the page has been asked enough for a day: a link may fall into any hands."""
    today = CustomerRequest.objects.filter(order=order, made_at__gt=at - timedelta(days=1))
    if today.count() >= A_DAY:
        raise TooMany


def answered_by(order: Order, kind: CustomerRequest.Kind, at: datetime) -> datetime:
    """In working time of the warehouse, so that the page says a time at which somebody is there."""
    within = ANSWERED_WITHIN
    if kind == CustomerRequest.Kind.ADDRESS:
        within = ADDRESS_ON_WAY_WITHIN if Stage(order.stage) in HANDED_OVER else ADDRESS_WITHIN
    try:
        return add_working(at, within, Calendars().of(order.warehouse_id))
    except CalendarNeverOpens:
        return at + timedelta(days=1)


def _todo(order: Order, kind: CustomerRequest.Kind, at: datetime, due_at: datetime) -> Todo:
    """One open question of a kind: asked again, it is asked more often, and no later than before."""
    todo = Todo.objects.filter(
        order=order, kind=Todo.Kind.REQUEST, subject=f"customer_{kind.value}", done_at=None
    ).first()
    if todo is not None:
        todo.n_times += 1
        todo.save(update_fields=["n_times"])
        return todo
    return Todo.objects.create(
        order=order,
        kind=Todo.Kind.REQUEST,
        subject=f"customer_{kind.value}",
        owner="service",
        opened_at=at,
        due_at=due_at,
        is_demo=order.is_demo,
    )


def consent(order: Order, channel: str, target: str, at: datetime) -> MessageConsent:
    """Keep where this customer wants to be told, sealed; the newest word counts."""
    row, _made = MessageConsent.objects.update_or_create(
        order=order,
        channel=channel,
        defaults={"sealed": _sealed(target), "given_at": at, "lapses_at": at + CONSENT_LASTS},
    )
    return row


def withdraw(order: Order) -> int:
    """Forget every number and address that was given for this order; returns how many."""
    n_rows, _by_model = MessageConsent.objects.filter(order=order).delete()
    return n_rows


def forget_lapsed(at: datetime) -> int:
    """The sweep's part: consents that have lapsed are deleted, not kept."""
    n_rows, _by_model = MessageConsent.objects.filter(lapses_at__lt=at).delete()
    return n_rows


STARS: dict[int, StrOrPromise] = {
    1: _("Badly"),
    2: _("Not well"),
    3: _("All right"),
    4: _("Well"),
    5: _("Very well"),
}


def rate(order: Order, stars: int, at: datetime) -> DeliveryRating:
    row, _made = DeliveryRating.objects.update_or_create(order=order, defaults={"stars": stars, "at": at})
    return row


def rated(order: Order) -> int:
    """The stars that were given; 0 for none."""
    return DeliveryRating.objects.filter(order=order).values_list("stars", flat=True).first() or 0
