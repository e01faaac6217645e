"""The screens that are looked at, each with the person it is for."""

from __future__ import annotations

from dataclasses import dataclass

API_FIELDS = frozenset(["application", "detail", "field", "items", "test", "timestamp"])


@dataclass(frozen=True)
class Screen:
    """One page as one person sees it. first: what the eye looks for first, to be reached in three Tabs."""

    name: str
    path: str
    user: str = "ops_manager"
    first: str = ""
    is_public: bool = False
    is_ours: bool = True
    # Latin words of its own, like an interface's names of fields.
    words: frozenset[str] = frozenset()


def screens() -> list[Screen]:
    """Every page there is something to look at, with the person it is for."""
    late, done = _two_orders()
    board = _page("board")
    rows = "[data-row], tbody tr"
    return [
        Screen("login", _page("login"), user=""),
        Screen("today", _page("index"), first="main"),
        Screen("board", board, first=rows),
        Screen("board-kanban", f"{board}?layout=kanban"),
        Screen("board-empty", f"{board}?q=000000000000"),
        Screen("board-keeper", board, "warehouse", rows),
        Screen("order-late", _page("orders_order_change", late), first="main"),
        Screen("order-delivered", _page("orders_order_change", done), "service", "main"),
        Screen("connections", _page("connections"), "integrator"),
        Screen(
            "mapping",
            _page("integrations_fieldmapping_editor", _first("integrations", "fieldmapping")),
            "integrator",
        ),
        Screen("import", _page("integrations_importrun_add")),
        Screen("import-run", _first_change("integrations", "importrun"), "integrator"),
        Screen("template", _page("template")),
        Screen("wizard", _page("wizard")),
        Screen("api", _page("api"), "integrator", words=API_FIELDS),
        Screen("style", _page("style")),
        Screen("me", _page("me")),
        Screen("help", _page("help")),
        Screen("refused", _page("auth_user_changelist"), "warehouse"),
        Screen("shops", _page("orders_shop_changelist"), is_ours=False),
        Screen("messages", _page("integrations_inboundmessage_changelist"), "integrator", is_ours=False),
        Screen("shop", _first_change("orders", "shop"), is_ours=False),
        Screen("backtest", _page("promise_backtest")),
        Screen("calibration", _page("promise_calibration")),
        Screen("commitments", _page("promises_promise_changelist"), is_ours=False),
        Screen("customer", _customers_page(late), user="", is_public=True),
        Screen("verify", "/v/", user="", is_public=True),
        Screen("verified", f"/v/{_token()}", user="", is_public=True),
    ]


def _customers_page(order_id: int) -> str:
    from orders.models import Order
    from promises.tracking import links

    return links.address_of(Order.objects.get(pk=order_id))


def _token() -> str:
    """Of a commitment in force, as its code carries it."""
    from promises import token
    from promises.models import Promise

    promise = Promise.objects.filter(state=Promise.State.ACTIVE).order_by("pk").first()
    assert promise is not None
    return token.to_text(bytes(promise.token))


def _page(name: str, *numbers: int) -> str:
    from django.urls import reverse

    return reverse(f"admin:{name}", args=numbers)


def _two_orders() -> tuple[int, int]:
    from orders.models import Order

    on_the_way = Order.objects.filter(is_open=True).exclude(stage="delivered")
    late = on_the_way.filter(stalled_at__isnull=False).order_by("pk").first()
    late = late or on_the_way.order_by("promised_at", "step_due_at").first()
    done = Order.objects.filter(stage="delivered").order_by("-pk").first()
    assert late is not None
    assert done is not None
    return late.pk, done.pk


def _first_change(app: str, model: str) -> str:
    return _page(f"{app}_{model}_change", _first(app, model))


def _first(app: str, model: str) -> int:
    from django.apps import apps

    first = apps.get_model(app, model).objects.order_by("pk").first()
    assert first is not None, f"There is no {model} to look at."
    return int(first.pk)
