from __future__ import annotations

import io
from collections import deque
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils.timezone import now

from orders.tests.staff import make_staff, staff_client
from promises import backtest_runs
from promises.backtest_runs import BacktestRun, begin_next, replay
from promises.calibration_rows import Row, read, write
from promises.tests.histories import make_history
from promises.tests.test_backtest import cells
from promises.tests.test_backtest_page import MAY, as_csv

pytestmark = pytest.mark.django_db
PAGE = "/admin/promises/calibration/"
ROWS = f"{PAGE}rows/"
MONDAY = date(2026, 6, 1)


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    (tmp_path / "backtests").mkdir()


@pytest.fixture
def browser():
    client = staff_client(may=MAY[:1])
    client.cookies["django_language"] = "en"
    return client


def make_row(number=1, **given):
    values = {
        "order": f"A-{number}",
        "placed_on": MONDAY,
        "delivered_on": MONDAY + timedelta(days=4),
        "lane": "SP → RJ",
        "warehouse": "w1",
        "carrier": "sf",
        "due_on": MONDAY + timedelta(days=5),
        "odds": 0.9,
        "probe_due_on": MONDAY + timedelta(days=3),
        "probe_odds": 0.45,
    }
    return Row(**{**values, **given})


def make_run(rows, **given):
    values = {"file_name": "a.csv", "stored": "a.csv.gz", "n_orders": len(rows), "started_at": now()}
    run = BacktestRun.objects.create(**{**values, "state": BacktestRun.State.DONE, **given})
    write(run.judged_path, deque(rows))
    return run


def late(number, **given):
    return make_row(number, delivered_on=MONDAY + timedelta(days=9), **given)


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = [make_row(1, lane="SP, north → RJ"), late(2, carrier="")]

    write(tmp_path / "rows.gz", deque(rows))

    assert read(tmp_path / "rows.gz") == rows
    assert read(tmp_path / "none.gz") == []


def test_a_promise_is_kept_to_the_end_of_its_day():
    on_the_day = make_row(delivered_on=MONDAY + timedelta(days=5))
    day_after = make_row(delivered_on=MONDAY + timedelta(days=6))

    assert (on_the_day.promise.is_kept, day_after.promise.is_kept) == (True, False)


def test_a_replay_leaves_a_row_for_each_order_that_got_a_date():
    content = io.BytesIO(as_csv([cells(past) for past in make_history(900, per_day=30)]))
    backtest_runs.start(content, "a.csv", by=make_staff(), at=now(), scored_from=None, scored_to=None)
    begin_next(datetime.now(UTC), lambda pk, attempt: replay(pk, attempt))

    run = BacktestRun.objects.get()
    rows = read(run.judged_path)

    hub = next(
        row for row in run.result["rows"] if row["method"] == "hub" and row["target"] == run.result["aim"]
    )
    assert (len(rows), sum(row.promise.is_kept for row in rows)) == (
        hub["n"],
        round(hub["on_time"] * hub["n"]),
    )
    assert [row.placed_on for row in rows] == sorted(row.placed_on for row in rows)
    assert min(row.probe_odds for row in rows) < 0.2
    assert max(row.probe_odds for row in rows) > 0.9


def test_every_number_of_the_page_counts_the_rows_it_opens(browser):
    make_run(
        [*(make_row(number) for number in range(40)), *(late(number, lane="SP → BA") for number in range(3))]
    )

    page = browser.get(PAGE)

    assert (page.context["all"]["raw_of"], page.context["all"]["stated"]) == ("40/43", "90.0 %")
    shown = [*page.context["bins"], *(row for group in page.context["groups"] for row in group["rows"])]
    for one in (one for one in shown if one["n"]):
        behind = browser.get(f"{ROWS}?{one['query']}")
        kept = browser.get(f"{ROWS}?{one['query']}&came=kept")
        assert behind.context["page"].paginator.count == one["n"]
        assert f"{kept.context['page'].paginator.count}/{one['n']}" == one["raw_of"]


def test_lanes_are_told_apart_and_small_ones_are_greyed(browser):
    make_run(
        [*(make_row(number) for number in range(30)), *(late(number, lane="SP → BA") for number in range(29))]
    )

    page = browser.get(PAGE)

    lanes = page.context["groups"][0]["rows"]
    assert [(row["name"], row["raw_of"], row["is_small"]) for row in lanes] == [
        ("SP → RJ", "30/30", False),
        ("SP → BA", "0/29", True),
    ]
    assert lanes[0]["interval"] == "88.6 – 100.0 %"
    assert '<tr class="promise-small"><th scope="row"><span translate="no">SP → BA' in page.content.decode()


def test_the_diagram_shows_the_probes_and_its_table_the_same(browser):
    kept = [make_row(number, probe_due_on=MONDAY + timedelta(days=4)) for number in range(20)]
    make_run([*kept, *(make_row(number) for number in range(20, 40)), make_row(probe_odds=0.93)])

    page = browser.get(PAGE)

    bins = {row["name"]: row["raw_of"] for row in page.context["bins"] if row["n"]}
    assert bins == {"40 – 50 %": "20/40", "90 – 100 %": "0/1"}
    points = page.context["plot"]["points"]
    assert [one["at"].is_small for one in points] == [False, True]
    assert points[0]["at"].words == "Stated 45.0 %, came 50.0 % of 40, interval 35.2 – 64.8 %"


def test_weeks_and_days_stand_in_their_order(browser):
    def placed(week, days):
        day = MONDAY + timedelta(weeks=week)
        return make_row(placed_on=day, due_on=day + timedelta(days=days))

    make_run([placed(2, 30), placed(0, 2), placed(1, 10), placed(1, 5)])

    groups = {group["name"]: group["rows"] for group in browser.get(PAGE).context["groups"]}

    assert [row["n"] for row in groups["week"]] == [1, 2, 1]
    assert [row["name"] for row in groups["age"]] == [
        "0 to 3 days",
        "4 to 7 days",
        "8 to 14 days",
        "more than 21 days",
    ]


def test_the_newest_run_is_shown_and_another_one_on_request(browser):
    first = make_run([make_row(1)], file_name="first.csv", stored="1.csv.gz")
    make_run([make_row(2), make_row(3)], file_name="second.csv", stored="2.csv.gz")
    make_run([], file_name="open.csv", stored="3.csv.gz", state=BacktestRun.State.RUNNING)

    assert browser.get(PAGE).context["n_rows"] == 2
    assert browser.get(f"{PAGE}?run={first.pk}").context["n_rows"] == 1


def test_before_anything_is_judged_the_page_says_how_to_begin(browser):
    page = browser.get(PAGE).content.decode()

    assert 'data-state="empty_first"' in page
    assert "/admin/promises/backtest/" in page


@pytest.mark.parametrize(
    "query", ["run=999", "run=x", "run=9" + 30 * "9", "run={pk}&by=shoe", "run={pk}&by=lane&is=nowhere", ""]
)
def test_what_there_is_not_is_answered_with_404(browser, query):
    run = make_run([make_row()])

    assert browser.get(f"{ROWS}?{query.format(pk=run.pk)}").status_code == 404


def test_nobody_without_the_permission_sees_any_of_it():
    run = make_run([make_row()])
    stranger = staff_client(everything=True)

    assert [stranger.get(PAGE).status_code, stranger.get(f"{ROWS}?run={run.pk}").status_code] == [403, 403]


def test_a_run_that_is_removed_takes_its_rows_along(django_capture_on_commit_callbacks):
    run = make_run([make_row()])

    with django_capture_on_commit_callbacks(execute=True):
        backtest_runs.remove(run)

    assert not run.judged_path.exists()
