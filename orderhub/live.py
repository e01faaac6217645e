"""The live feed: which orders changed since a cursor. Only what is committed for good, only what the reader may see.

Every open page asks about once a second, so the usual answer, "nothing new", costs two small statements: the middleware
`short_way` reads the login and the newest event itself. It only ever says yes where the whole way would; in every other
case it passes the request on, and `feed` below decides behind the full middleware.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.crypto import constant_time_compare
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django_otp import DEVICE_ID_SESSION_KEY

from orderhub.prepared import first_row
from orders.models import Order
from orders.people import granted, scope_of, within

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

Handler = Callable[[HttpRequest], HttpResponseBase]

MAY = "orders.view_order"
# Events of one answer; whoever is further behind is told that there is more and asks again at once.
BATCH = 500
# Says that something is committed that cannot be told yet, and will be in a moment: ask again sooner.
HELD = "Hub-Held"
# How long the processes of one house keep what a window of events holds: long enough for all who ask at that moment.
KEPT_FOR = 10


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has read: the transaction and the id of the last event.

    On PostgreSQL ids commit out of order, transactions below the oldest one still running do not: whatever commits later
    has a higher transaction. On SQLite the transaction is always 0 and the order of ids is the order of commits.
    """

    xid: int = 0
    id: int = 0

    def __str__(self) -> str:
        return f"{self.xid}.{self.id}"

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """What a reader sent; None if no answer of ours ever said so."""
        xid, dot, pk = text.partition(".")
        known = dot and text.isascii() and xid.isdigit() and pk.isdigit() and max(len(xid), len(pk)) <= 18
        return cls(int(xid), int(pk)) if known else None


@dataclass(frozen=True, slots=True)
class Window:
    """The events between two cursors: which orders, and which kinds of change."""

    end: Cursor
    kinds: dict[str, list[int]]
    more: bool

    def seen(self, visible: set[int] | None) -> dict[str, list[int]]:
        """The changes of these orders only; None: of all."""
        if visible is None:
            return self.kinds
        found = {kind: [pk for pk in ids if pk in visible] for kind, ids in self.kinds.items()}
        return {kind: ids for kind, ids in found.items() if ids}

    @property
    def orders(self) -> list[int]:
        return sorted({pk for ids in self.kinds.values() for pk in ids})


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the journal has come: the newest event that may be told; held: a committed one waits for an older transaction."""

    newest: Cursor
    held: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may read the feed."""

    user_id: int
    sees_all: bool


# What is committed for good: no transaction that is still running can put an event in front of these.
_BELOW = {
    "postgresql": "xid > 0 AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
    "sqlite": "1 = 1",
}
# Committed too, but behind a transaction that still writes. A transaction that never ends leaves no event here.
_HELD = {
    "postgresql": "EXISTS (SELECT 1 FROM orders_orderevent "
    "WHERE xid > 0 AND xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint)",
    "sqlite": "1 = 0",
}
_AFTER = {"postgresql": "(xid, id) > (%s, %s)", "sqlite": "%s = 0 AND id > %s"}
_ORDER = {"postgresql": "xid {0}, id {0}", "sqlite": "id {0}"}


def newest_event() -> str:
    """The statement for the newest event that may be told, as a cursor."""
    vendor = connection.vendor
    return (
        "SELECT CAST(xid AS text) || '.' || CAST(id AS text) FROM orders_orderevent "  # noqa: S608 - our own words
        f"WHERE {_BELOW[vendor]} ORDER BY {_ORDER[vendor].format('DESC')} LIMIT 1"
    )


def head() -> Cursor:
    """Where a reader stands who knows everything up to now. Ask for it before reading what a page shows."""
    with connection.cursor() as cursor:
        cursor.execute(newest_event())
        row = cursor.fetchone()
    return _cursor_of(row[0] if row else None)


def _cursor_of(text: str | None) -> Cursor:
    """What newest_event() found; the beginning if there is no event."""
    return (Cursor.read(text) if text else None) or Cursor()


def _standing() -> Standing:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({newest_event()}), {_HELD[connection.vendor]}")
        newest, held = cursor.fetchone()
    return Standing(_cursor_of(newest), bool(held))


# Pages that read their orders before their template is rendered.
READ_BEFORE = frozenset({"admin:board", "admin:orders_order_change"})


class Reading:
    """Middleware: notes how far the journal has come before a page reads its orders, so that no change falls between."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> None:
        match = request.resolver_match
        if request.method == "GET" and match is not None and match.view_name in READ_BEFORE:
            request.live_cursor = str(head())  # type: ignore[attr-defined]


def window(since: Cursor) -> Window:
    """The next events after this cursor, at most BATCH of them."""
    vendor = connection.vendor
    statement = (
        "SELECT xid, id, order_id, kind FROM orders_orderevent "  # noqa: S608 - our own words
        f"WHERE {_AFTER[vendor]} AND {_BELOW[vendor]} ORDER BY {_ORDER[vendor].format('')} LIMIT {BATCH + 1}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [since.xid, since.id])
        rows = cursor.fetchall()
    told = rows[:BATCH]
    kinds: dict[str, set[int]] = {}
    for _xid, _id, order_id, kind in told:
        kinds.setdefault(kind, set()).add(order_id)
    end = Cursor(told[-1][0], told[-1][1]) if told else since
    return Window(end, {kind: sorted(ids) for kind, ids in sorted(kinds.items())}, len(rows) > BATCH)


def _window(since: Cursor, newest: Cursor) -> Window:
    """The same for everybody who asks between the same two points."""
    key = f"live/{since}/{newest}"
    found: Window | None = cache.get(key)
    if found is None:
        found = window(since)
        cache.set(key, found, KEPT_FOR)
    return found


def answer(request: HttpRequest, reader: Reader, standing: Standing) -> HttpResponse:
    """304 if nothing came since, else the changed orders that the reader may see."""
    response = _changes(request, reader, standing.newest)
    if standing.held:
        response[HELD] = "1"
    return response


def _changes(request: HttpRequest, reader: Reader, newest: Cursor) -> HttpResponse:
    text = request.GET.get("since", "")
    since = Cursor.read(text) if text else newest
    if since is None:
        return _refusal("bad_cursor", _("This page asked in a way we do not know. Reload it."), 400)
    if since == newest and request.headers.get("If-None-Match") == _tag(newest):
        return _fresh(HttpResponse(status=304), newest)
    # A cursor ahead of all events is from before a restore: whoever holds it goes on from here.
    is_ahead = (since.xid, since.id) >= (newest.xid, newest.id)
    found = Window(newest, {}, more=False) if is_ahead else _window(since, newest)
    kinds = found.seen(None if reader.sees_all else _visible(reader, found))
    body = {
        "cursor": str(found.end),
        "now": now().isoformat(),
        "orders": sorted({pk for ids in kinds.values() for pk in ids}),
        "kinds": kinds,
        "more": found.more,
    }
    return _fresh(JsonResponse(body), found.end)


def _visible(reader: Reader, found: Window) -> set[int]:
    if not found.orders:
        return set()
    # That the reader is who he says and has no right to every order, this very question has asked already.
    told = Order.objects.filter(pk__in=found.orders)
    return set(within(told, scope_of(reader.user_id)).values_list("pk", flat=True))


def _tag(cursor: Cursor) -> str:
    return f'"{cursor}"'


def _fresh(response: HttpResponse, cursor: Cursor) -> HttpResponse:
    response["ETag"] = _tag(cursor)
    response["Cache-Control"] = "private, no-store"
    return response


def _refusal(code: str, text: str, status: int) -> JsonResponse:
    response = JsonResponse({"error": code, "text": text}, status=status)
    response["Cache-Control"] = "private, no-store"
    return response


def _logged_out() -> JsonResponse:
    return _refusal("logged_out", _("You are logged out. Log in again to go on."), 401)


def pages(site: AdminSite) -> list[URLPattern]:
    """/admin/live/?since=CURSOR: JSON for the pages' script; whoever is not logged in gets 401, or the login page."""

    def feed(request: HttpRequest) -> HttpResponse:
        if not site.has_permission(request) and request.accepts("application/json"):
            return _logged_out()
        response: HttpResponse = behind_the_login(request)
        return response

    def read(request: HttpRequest) -> HttpResponse:
        if request.method != "GET":
            return HttpResponse(status=405, headers={"Allow": "GET"})
        if not request.user.has_perm(MAY):
            return _refusal(
                "no_permission", _("You may no longer see orders. Ask whoever gives out roles here."), 403
            )
        grant = granted(request.user)
        if grant is None:
            return _logged_out()
        return answer(request, Reader(grant.user_id, sees_all=grant.everything), _standing())

    behind_the_login = site.admin_view(read)
    return [path("live/", feed, name="live")]


def short_way(get_response: Handler) -> Handler:
    """Answers the feed before any other middleware looks up who asks; everything else goes on untouched."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        if request.method != "GET" or request.path != _address():
            return get_response(request)
        known = _known(request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""))
        if known is None:
            return get_response(request)
        response = answer(request, *known)
        if response.status_code != 304:
            # Otherwise set by a middleware that is passed over here; without it the answer goes out in chunks.
            response["Content-Length"] = str(len(response.content))
        return response

    return handle


@lru_cache(maxsize=1)
def _address() -> str:
    return reverse("admin:live")


# Where the second factors of a session's device lie. A device of another kind takes the whole way.
DEVICES = {"otp_totp.totpdevice": "otp_totp_totpdevice", "otp_static.staticdevice": "otp_static_staticdevice"}

_SESSION = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"


def _known(session_key: str) -> tuple[Reader, Standing] | None:
    """Whoever this session belongs to, if everything holds that the whole way would ask for; and how far the journal is."""
    if not session_key or settings.SESSION_ENGINE != "django.contrib.sessions.backends.db":
        return None
    at = connection.ops.adapt_datetimefield_value(now())
    row = first_row(_SESSION, [session_key, at])
    session = _decoded(row[0], demo=settings.DEMO) if row else None
    if session is None:
        return None
    row = first_row(_person(connection.vendor, session.device_table), session.names)
    return session.reader(row) if row else None


@dataclass(frozen=True, slots=True)
class _Session:
    """What a session says of its login."""

    user_id: int
    login_hash: str
    device_table: str
    device_id: int

    @property
    def names(self) -> list[int]:
        return [self.device_id, self.user_id] if self.device_table else [self.user_id]

    def reader(self, row: tuple[Any, ...]) -> tuple[Reader, Standing] | None:
        """The person if the login is whole and may see orders."""
        password, is_superuser, may_view, sees_all, newest, held = row
        if not _is_same_login(password, self.login_hash) or not (is_superuser or may_view):
            return None
        reader = Reader(self.user_id, bool(is_superuser or sees_all))
        return reader, Standing(_cursor_of(newest), bool(held))


@lru_cache(maxsize=1024)
def _decoded(session_data: str, *, demo: bool) -> _Session | None:
    """What the stored text says; it is signed by us, so the same text always says the same. None: nobody, or half a login."""
    said = SessionStore().decode(session_data)
    if said.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user_id, login_hash = int(said[SESSION_KEY]), str(said.get(HASH_SESSION_KEY, ""))
    if demo:
        return _Session(user_id, login_hash, "", 0)
    kind, _slash, device = str(said.get(DEVICE_ID_SESSION_KEY, "")).partition("/")
    if kind not in DEVICES or not device.isdigit():
        return None
    return _Session(user_id, login_hash, DEVICES[kind], int(device))


@lru_cache(maxsize=1024)
def _is_same_login(password: str, login_hash: str) -> bool:
    """A changed password ends every session."""
    return constant_time_compare(User(password=password).get_session_auth_hash(), login_hash)


def _holds(codename: str) -> str:
    """Whether the user has this permission of the app orders, by a role or alone."""
    permission = (
        "SELECT p.id FROM auth_permission p JOIN django_content_type c ON c.id = p.content_type_id "  # noqa: S608
        f"WHERE c.app_label = 'orders' AND p.codename = '{codename}'"
    )
    return (
        "(EXISTS (SELECT 1 FROM auth_user_groups g JOIN auth_group_permissions gp ON gp.group_id = g.group_id "  # noqa: S608
        f"WHERE g.user_id = u.id AND gp.permission_id IN ({permission})) "
        "OR EXISTS (SELECT 1 FROM auth_user_user_permissions up "
        f"WHERE up.user_id = u.id AND up.permission_id IN ({permission})))"
    )


@lru_cache(maxsize=8)
def _person(vendor: str, device_table: str) -> str:
    """One statement for all that a request asks of a login, and for how far the journal is."""
    device = (
        f"JOIN {device_table} d ON d.user_id = u.id AND d.confirmed AND d.id = %s " if device_table else ""
    )
    everything = "EXISTS (SELECT 1 FROM orders_staffscope s WHERE s.user_id = u.id AND s.everything)"
    return (
        f"SELECT u.password, u.is_superuser, {_holds('view_order')}, {_holds('see_all_orders')} OR {everything}, "  # noqa: S608
        f"({newest_event()}), {_HELD[vendor]} FROM auth_user u {device}WHERE u.id = %s AND u.is_active AND u.is_staff"
    )
