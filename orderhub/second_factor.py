"""The second factor of staff: an app's time-based code, or one of ten recovery codes. Pages work without JavaScript."""

from __future__ import annotations

import base64
import io
import secrets
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

import segno
from django import forms
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as confirm_session
from django_otp import verify_token
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.widgets import UnfoldAdminTextInputWidget

from orders import audit

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.contrib.auth.models import User

N_RECOVERY_CODES = 10


class CodeForm(forms.Form):
    """Six digits of the app, or a recovery code; blanks and hyphens do not matter."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        help_text=gettext_lazy("Six digits from your authenticator app, or one of your recovery codes."),
        widget=UnfoldAdminTextInputWidget(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "spellcheck": "false",
                "autocapitalize": "none",
            }
        ),
    )

    def clean_code(self) -> str:
        return str(self.cleaned_data["code"]).replace(" ", "").replace("-", "").lower()


def demo_banner(request: HttpRequest) -> str:
    """The sentence on every admin page of a demo installation; empty on a real one."""
    if not settings.DEMO:
        return ""
    return _(
        "Demo: no second factor is asked, and real connections are refused. Do not put real data in here."
    )


def enrolled(user: User) -> bool:
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def new_device(user: User) -> TOTPDevice:
    """A device with a fresh secret, not stored: looking at the set-up page changes nothing."""
    return TOTPDevice(user=user, name="app", confirmed=True)


def signed_key(device: TOTPDevice) -> str:
    """The secret for the form's hidden field, of use to this user for an hour."""
    return signing.dumps(device.key, salt=f"second-factor-{device.user_id}")


def proposed_device(user: User, signed: str) -> TOTPDevice:
    """The device that an earlier page proposed; a new one if the form is too old or not ours."""
    device = new_device(user)
    with suppress(signing.BadSignature):
        device.key = signing.loads(signed, salt=f"second-factor-{user.pk}", max_age=3600)
    return device


def accepts(device: TOTPDevice, code: str) -> bool:
    """Does the code prove that the app knows the secret? Stores the device if so."""
    proof = TOTP(device.bin_key, device.step, device.t0, device.digits)
    proof.time = time()
    return code.isdigit() and bool(proof.verify(int(code), device.tolerance) and device.verify_token(code))


def qr_svg(device: TOTPDevice) -> SafeString:
    """The device's set-up address as an inline SVG."""
    out = io.BytesIO()
    segno.make(device.config_url, error="m").save(
        out, kind="svg", scale=5, border=3, xmldecl=False, svgns=True, dark="#000", light="#fff", nl=False
    )
    # Drawn by segno from numbers alone: paths and sizes, no text of anybody's.
    return mark_safe(out.getvalue().decode())  # noqa: S308


@transaction.atomic
def renew_recovery_codes(user: User) -> list[str]:
    """Ten fresh codes, each good for one login; the old ones stop working. The only time they are shown."""
    device, _made = StaticDevice.objects.get_or_create(user=user, defaults={"name": "recovery"})
    device.token_set.all().delete()
    codes = [secrets.token_hex(5) for _code in range(N_RECOVERY_CODES)]
    for code in codes:
        device.token_set.create(token=code)
    return codes


def matching_device(user: User, code: str) -> TOTPDevice | StaticDevice | None:
    """The user's device that accepts this code now. A code is accepted once, and wrong ones are slowed down."""
    kinds = (TOTPDevice,) if code.isdigit() and len(code) == 6 else (StaticDevice,)
    for kind in kinds:
        for device in kind.objects.filter(user=user, confirmed=True):
            if verify_token(user, device.persistent_id, code):
                found: TOTPDevice | StaticDevice = device
                return found
    return None


def _half(request: HttpRequest) -> User | None:
    """Whoever gave a right password in this session, whole login or not."""
    user: Any = getattr(request, "half_logged_in", request.user)
    return user if user.is_authenticated and user.is_staff else None


def _finish(request: HttpRequest, user: User, device: Any) -> None:
    request.user = user
    confirm_session(request, device)
    # Whoever learned the session's name before it was worth anything has nothing.
    request.session.cycle_key()


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else reverse("admin:index")


def _page(request: HttpRequest, site: AdminSite, template: str, **context: Any) -> TemplateResponse:
    context = {**site.each_context(request), "next": _next(request), **context}
    return TemplateResponse(request, f"admin/{template}.html", context)


@never_cache
@sensitive_post_parameters()
def verify(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Ask for the code; whoever has no device yet sets one up first."""
    user = _half(request)
    if user is None:
        return redirect("admin:login")
    if not enrolled(user):
        return HttpResponseRedirect(f"{reverse('admin:second_factor_enrol')}?next={_next(request)}")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        device = matching_device(user, form.cleaned_data["code"])
        if device is not None:
            _finish(request, user, device)
            return HttpResponseRedirect(_next(request))
        form.add_error(
            "code",
            _(
                "This code is wrong, used before, or too old. Wait for the next one; after several wrong codes wait a minute."
            ),
        )
    return _page(request, site, "second_factor", form=form, title=_("Second factor"))


@never_cache
@sensitive_post_parameters()
def enrol(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Set up an app: show its QR code, take one code as proof, then show the recovery codes once."""
    user = _half(request)
    if user is None:
        return redirect("admin:login")
    if enrolled(user):
        return redirect("admin:second_factor")
    device = proposed_device(user, request.POST.get("key", ""))
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        codes = _enrolled(user, device, form.cleaned_data["code"])
        if codes:
            _finish(request, user, device)
            return _page(request, site, "second_factor_codes", codes=codes, title=_("Recovery codes"))
        form.add_error(
            "code", _("This code does not fit. Check the clock of your phone and enter the code shown now.")
        )
    return _page(
        request, site, "second_factor_enrol", form=form, title=_("Set up the second factor"), qr=qr_svg(device),
        secret=_spelled(device),
        key=signed_key(device),
    )  # fmt: skip


def _spelled(device: TOTPDevice) -> str:
    """The secret in base32, in groups of four, for whoever cannot scan."""
    text = base64.b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


@transaction.atomic
def _enrolled(user: User, device: TOTPDevice, code: str) -> list[str]:
    """The recovery codes; [] if the code proves nothing. Device and codes are stored together or not at all."""
    if not accepts(device, code):
        return []
    codes = renew_recovery_codes(user)
    with audit.acting(actor=user, way="admin"):
        audit.record("enrol_second_factor", user)
    return codes


@transaction.atomic
def reset(user: User, *, reason: str = "") -> None:
    """Take a lost device away: the next login sets up a new one."""
    for kind in (TOTPDevice, StaticDevice):
        kind.objects.filter(user=user).delete()
    audit.record("reset_second_factor", user, reason=reason)
