"""The live feed: what it tells, to whom, in which order, and when it stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django_otp.plugins.otp_totp.models import TOTPDevice

from orderhub import live
from orders.models import Order, OrderEvent, StaffScope
from orders.tests.factories import make_order, make_shop, told
from orders.tests.staff import log_in, make_staff, staff_client

FEED = "/admin/live/"
JSON = {"Accept": "application/json"}
# The whole way: the same house without the middleware that shortens it.
WITHOUT_SHORT_WAY = [name for name in settings.MIDDLEWARE if name != "orderhub.live.short_way"]

# The feed tells what is older than every transaction that still writes, in all databases of a server: beside other
# tests on the same one it would wait for theirs.
ALONE = [pytest.mark.processes] if connection.vendor == "postgresql" else []
pytestmark = [pytest.mark.django_db, *ALONE]
# Only what is committed is told: on PostgreSQL that shows when a test commits, as the house does.
committing = pytest.mark.django_db(transaction=connection.vendor == "postgresql")


def placed(**given: Any) -> Order:
    """A new order, committed."""
    with transaction.atomic():
        return make_order(**given)


def date_confirmed(order: Order) -> None:
    with transaction.atomic():
        told(order, "date.confirmed", 1, role="person", data={"date": "2026-06-05"})


def ask(client: Client, since: str = "", tag: str = "") -> Any:
    headers = {**JSON, **({"If-None-Match": tag} if tag else {})}
    return client.get(FEED, {"since": since} if since else {}, headers=headers)


def read(client: Client, since: str = "") -> dict[str, Any]:
    answer = ask(client, since)
    assert answer.status_code == 200
    return json.loads(answer.content)


def on_both_ways(look: Callable[[], Any]) -> list[Any]:
    """What the short and the whole way say."""
    short = look()
    with override_settings(MIDDLEWARE=WITHOUT_SHORT_WAY):
        return [short, look()]


@committing
def test_a_change_is_told_once_with_its_kinds():
    client = staff_client("ops_manager")
    order = placed()
    begin = read(client)["cursor"]

    date_confirmed(order)

    first = read(client, begin)
    assert first["orders"] == [order.pk]
    assert {"moved", "step"} <= set(first["kinds"])
    assert first["kinds"]["moved"] == [order.pk]
    assert first["more"] is False
    again = read(client, first["cursor"])
    assert (again["orders"], again["kinds"], again["cursor"]) == ([], {}, first["cursor"])


def test_without_a_cursor_nothing_old_is_told():
    placed()

    answer = read(staff_client("ops_manager"))

    assert answer["orders"] == []
    assert answer["cursor"] == str(live.head())


@time_machine.travel(datetime(2026, 6, 1, 2, 0, tzinfo=UTC), tick=False)
def test_the_answer_names_the_time_of_the_server():
    assert read(staff_client("ops_manager"))["now"] == "2026-06-01T02:00:00+00:00"


def test_nothing_new_is_a_304_without_a_body_on_both_ways():
    placed()
    client = staff_client("ops_manager")
    first = ask(client)
    cursor = json.loads(first.content)["cursor"]

    for answer in on_both_ways(lambda: ask(client, cursor, first["ETag"])):
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer["ETag"] == first["ETag"]
        assert answer["Cache-Control"] == "private, no-store"


def test_an_answer_says_how_long_it_is_on_both_ways():
    client = staff_client("ops_manager")

    for answer in on_both_ways(lambda: ask(client)):
        assert answer["Content-Length"] == str(len(answer.content))


def test_an_idle_question_costs_two_statements(django_assert_num_queries):
    placed()
    client = staff_client("warehouse", shops=(make_shop(),))
    first = ask(client)
    cursor = json.loads(first.content)["cursor"]

    with django_assert_num_queries(2):
        assert ask(client, cursor, first["ETag"]).status_code == 304


@committing
def test_news_for_one_who_sees_a_part_cost_five_statements(django_assert_num_queries):
    shop = make_shop()
    client = staff_client("warehouse", shops=(shop,))
    begin = str(live.head())
    order = placed(shop=shop)

    # The session, the person, the news, the scope, and which of the orders it covers.
    with django_assert_num_queries(5):
        assert read(client, begin)["orders"] == [order.pk]


@committing
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connections that could be cut.")
def test_a_question_over_a_connection_that_was_cut_is_answered():
    client = staff_client("ops_manager")
    first = ask(client)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    finally:
        other.close()

    assert ask(client, first.json()["cursor"], first["ETag"]).status_code == 304


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite plans too fast to be worth remembering."
)
def test_postgresql_plans_an_idle_question_once():
    client = staff_client("ops_manager")

    for _time in range(3):
        ask(client)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE %s",
            ["%auth_user%"],
        )
        assert cursor.fetchall() == [(3,)]


@committing
def test_only_orders_in_scope_are_told_on_both_ways():
    mine, other = make_shop("mine"), make_shop("other")
    client = staff_client("warehouse", shops=(mine,))
    begin = str(live.head())
    seen, _hidden = placed(shop=mine), placed(shop=other)

    for answer in on_both_ways(lambda: read(client, begin)):
        assert answer["orders"] == [seen.pk]
        assert {pk for ids in answer["kinds"].values() for pk in ids} == {seen.pk}
        assert answer["cursor"] == str(live.head())


@committing
@pytest.mark.parametrize(
    "give",
    [
        lambda: make_staff("ops_manager"),
        lambda: make_staff("warehouse", everything=True),
        lambda: make_staff(may=("orders.view_order", "orders.see_all_orders")),
        lambda: User.objects.create_superuser("root"),
    ],
    ids=["role", "scope", "permissions", "superuser"],
)
def test_whoever_sees_every_order_is_told_of_every_order_on_both_ways(give):
    client = log_in(Client(), give())
    begin = str(live.head())
    order = placed()

    assert [answer["orders"] for answer in on_both_ways(lambda: read(client, begin))] == [[order.pk]] * 2


def test_a_user_without_a_scope_is_told_nothing():
    client = staff_client("warehouse")
    begin = str(live.head())
    placed()

    assert read(client, begin)["orders"] == []


@committing
def test_a_long_absence_is_told_in_batches():
    client = staff_client("ops_manager")
    first_order, last_order = placed(), placed()
    begin = str(live.head())
    event = OrderEvent.objects.filter(order=first_order, kind="moved")[0]
    for order, n_events in ((first_order, live.BATCH), (last_order, 1)):
        event.order = order
        OrderEvent.objects.bulk_create([_copied(event) for _ in range(n_events)])

    first = read(client, begin)
    second = read(client, first["cursor"])

    assert (first["orders"], first["more"]) == ([first_order.pk], True)
    assert (second["orders"], second["more"]) == ([last_order.pk], False)
    assert second["cursor"] == str(live.head())


def _copied(event: OrderEvent) -> OrderEvent:
    names = [field.attname for field in OrderEvent._meta.concrete_fields if field.name not in {"id", "xid"}]
    return OrderEvent(**{name: getattr(event, name) for name in names})


def test_a_cursor_ahead_of_everything_goes_on_from_here():
    client = staff_client("ops_manager")
    placed()

    answer = read(client, "999999999999.999999999999")

    assert (answer["orders"], answer["cursor"]) == ([], str(live.head()))


@pytest.mark.parametrize(
    "since", ["x", "1", "1.x", "-1.2", "1.2.3", "١.٢", "0.9999999999999999999999"], ids=ascii
)
def test_a_cursor_that_is_none_is_refused(since):
    for answer in on_both_ways(lambda: ask(staff_client("ops_manager"), since)):
        assert answer.status_code == 400
        assert answer.json()["error"] == "bad_cursor"


def _ended_session(user: User, client: Client) -> None:
    client.session.flush()


def _expired_session(user: User, client: Client) -> None:
    session = client.session
    session.set_expiry(-timedelta(seconds=1))
    session.save()


def _new_password(user: User, client: Client) -> None:
    user.set_password("another one entirely")
    user.save()


def _deactivated(user: User, client: Client) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _no_longer_staff(user: User, client: Client) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=False)


def _lost_device(user: User, client: Client) -> None:
    TOTPDevice.objects.filter(user=user).delete()


def _unconfirmed_device(user: User, client: Client) -> None:
    TOTPDevice.objects.filter(user=user).update(confirmed=False)


@pytest.mark.parametrize(
    "end",
    [
        _ended_session,
        _expired_session,
        _new_password,
        _deactivated,
        _no_longer_staff,
        _lost_device,
        _unconfirmed_device,
    ],
)
def test_a_login_that_ended_stops_the_feed_at_once(end):
    user = make_staff("ops_manager")
    client = log_in(Client(), user)
    first = ask(client)
    assert ask(client, first.json()["cursor"], first["ETag"]).status_code == 304

    end(user, client)

    answer = ask(client, first.json()["cursor"], first["ETag"])
    assert answer.status_code == 401
    assert answer.json()["error"] == "logged_out"
    assert "orders" not in answer.json()


def _role_taken(user: User) -> None:
    user.groups.clear()


def _permission_of_role_taken(user: User) -> None:
    Group.objects.get(name="ops_manager").permissions.clear()


@committing
@pytest.mark.parametrize("take", [_role_taken, _permission_of_role_taken])
def test_a_permission_taken_away_stops_the_feed_at_once(take):
    user = make_staff("ops_manager")
    client = log_in(Client(), user)
    first = ask(client)
    begin, order = first.json()["cursor"], placed()
    assert read(client, begin)["orders"] == [order.pk]

    take(user)

    answer = ask(client, begin)
    assert answer.status_code == 403
    assert answer.json()["error"] == "no_permission"
    assert "orders" not in answer.json()


@committing
def test_a_scope_that_changed_counts_at_once():
    shop = make_shop()
    user = make_staff("warehouse", shops=(shop,))
    client = log_in(Client(), user)
    begin = str(live.head())
    order = placed(shop=shop)
    assert read(client, begin)["orders"] == [order.pk]

    StaffScope.objects.get(user=user).shops.clear()

    assert read(client, begin)["orders"] == []


def test_half_a_login_is_told_nothing():
    client = Client()
    client.force_login(make_staff("ops_manager"))

    assert ask(client).status_code == 401


@override_settings(DEMO=True)
def test_a_demo_asks_for_no_second_factor():
    client = Client()
    client.force_login(make_staff("ops_manager"))

    assert ask(client).status_code == 200


def test_a_browser_without_a_login_goes_to_the_login_page():
    answer = Client().get(FEED, headers={"Accept": "text/html"})

    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={FEED}")


def test_the_feed_is_read_only():
    assert staff_client("ops_manager").post(FEED).status_code in {403, 405}


def _copy_event(event: OrderEvent, order: Order, database: Any) -> None:
    """Insert one more event on this connection, as another process would."""
    columns = ", ".join(
        f'"{field.column}"'
        for field in OrderEvent._meta.concrete_fields
        if field.column not in {"id", "xid", "order_id"}
    )
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO orders_orderevent ({columns}, order_id) "  # noqa: S608 - names of our own
            f"SELECT {columns}, %s FROM orders_orderevent WHERE id = %s",
            [order.pk, event.pk],
        )


@committing
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_two_events_committed_in_the_other_order_are_both_told():
    first, second = placed(), placed()
    event = OrderEvent.objects.order_by("pk")[0]
    client = staff_client("ops_manager")
    begin = read(client)["cursor"]
    slow, quick = connection.copy(), connection.copy()
    try:
        slow.set_autocommit(False)
        _copy_event(event, first, slow)
        _copy_event(event, second, quick)
        between = read(client, begin)
        still = on_both_ways(lambda: ask(client, between["cursor"], f'"{between["cursor"]}"'))
        slow.commit()
    finally:
        slow.close()
        quick.close()

    later = ask(client, between["cursor"])

    assert between["orders"] == []
    assert [(answer.status_code, answer.get(live.HELD)) for answer in still] == [(304, "1")] * 2
    assert later.json()["orders"] == [first.pk, second.pk]
    assert live.HELD not in later


@pytest.mark.parametrize("page", ["board", "order"])
def test_a_page_notes_how_far_the_journal_is_before_it_reads_its_orders(page):
    order = placed()
    client = staff_client("ops_manager", everything=True)
    address = "/admin/board/" if page == "board" else f"/admin/orders/order/{order.pk}/change/"

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)

    statements = [query["sql"] for query in queries]
    noted = statements.index(live.newest_event())
    first_read = next(place for place, sql in enumerate(statements) if 'FROM "orders_order"' in sql)
    assert noted < first_read
    assert statements.count(live.newest_event()) == 1
    assert f'"cursor": "{live.head()}"' in answer.content.decode()
