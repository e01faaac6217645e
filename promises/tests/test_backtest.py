from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from datetime import date, timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import translation

from promises.history_file import read_history
from promises.replay import Row, back_test, days_at_rate
from promises.tests.histories import START, make_history, make_past

DAY = timedelta(days=1)
COLUMNS = [
    *("order_id", "status", "purchased_at", "handed_to_carrier_at", "delivered_at", "platform_promise_date"),
    *("customer_state", "customer_zip5", "seller_id", "seller_state", "distance_km"),
]


def cells(past, promised=12):
    order = past.order
    return {
        "order_id": order.key,
        "status": "delivered" if past.delivered_at else "shipped",
        "purchased_at": order.placed_at.isoformat(" ", "seconds"),
        "handed_to_carrier_at": past.handed_at.isoformat(" ", "seconds"),
        "delivered_at": past.delivered_at.isoformat(" ", "seconds") if past.delivered_at else "",
        "platform_promise_date": (order.placed_at.date() + promised * DAY).isoformat(),
        "customer_state": order.province,
        "customer_zip5": "1310",
        "seller_id": order.origin,
        "seller_state": "",
        "distance_km": f"{order.distance_km:.1f}" if order.distance_km else "",
    }


def write(path, rows, columns=COLUMNS):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="x")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(scope="module")
def history():
    return make_history(1200, per_day=30)


@pytest.fixture
def run(capsys):
    """The command: its exit code, and what it wrote to both outputs."""

    def called(*given):
        try:
            with translation.override("en"):
                call_command("backtest_promises", *map(str, given), stdout=sys.stdout, stderr=sys.stderr)
            code = 0
        except SystemExit as left:
            code = left.code
        written = capsys.readouterr()
        return code, written.out, written.err

    return called


def test_the_json_has_a_row_for_each_target_the_platform_and_the_average(tmp_path, history, run):
    file = write(tmp_path / "history.csv.gz", [cells(past) for past in history])

    code, out, err = run(
        file,
        "--from",
        "2026-01-25",
        "--to",
        "2026-01-31",
        "--target",
        "0.9",
        "--target",
        "0.8",
        "--json",
        tmp_path / "o",
    )

    rows = json.loads((tmp_path / "o").read_text())["rows"]
    assert code == 0
    assert [(row["method"], row["target"]) for row in rows[:2]] == [("hub", 0.8), ("hub", 0.9)]
    assert [row["method"] for row in rows[2:]] == ["platform", "average"]
    assert all(
        list(row) == ["method", "target", "n", "on_time", "mean_days", "weekly_deviation_pp", "mae_days"]
        for row in rows
    )
    assert [row["n"] for row in rows] == [7 * 30] * 4
    assert "platform" in out
    assert "\r" not in err
    assert "1200 of 1200 orders" not in err  # nothing after the last scored order is played


def test_the_platform_is_judged_by_date_against_its_own_rate(tmp_path, run):
    start = START.replace(hour=20)
    came_at_the_end_of_the_day = [make_past(4.1, placed_at=start + n * DAY / 4000) for n in range(40)]
    came_a_day_later = [make_past(4.3, placed_at=start + n * DAY / 4000) for n in range(10)]
    file = write(
        tmp_path / "h.csv",
        [cells(past, promised=4) for past in [*came_at_the_end_of_the_day, *came_a_day_later]],
    )

    run(file, "--json", tmp_path / "o")

    (row,) = json.loads((tmp_path / "o").read_text())["rows"]
    assert row == {
        "method": "platform",
        "target": 0.8,
        "n": 50,
        "on_time": 0.8,
        "mean_days": 4.0,
        "weekly_deviation_pp": 0.0,
        "mae_days": pytest.approx(0.2),
    }


def test_the_average_of_the_last_days_is_promised_to_everybody():
    early = [make_past(days, placed_at=START + n * DAY / 24) for n, days in enumerate([2.0, 2.0, 9.0])]
    late = make_past(5.0, placed_at=START + 20 * DAY)
    much_later = make_past(5.0, placed_at=START + 144 * DAY)

    rows = back_test([*early, late, much_later], [0.9], scored_from=(START + DAY).date()).rows

    # 13 / 3 days, so the 5th day; then, of the last 120 days, only the order that took 5.
    assert [(row.method, row.n, row.mean_days, row.on_time) for row in rows] == [("average", 2, 5.0, 1.0)]


def test_only_weeks_with_thirty_orders_count_for_the_deviation():
    full = [make_past(3.0 if n < 15 else 6.0, placed_at=START + n * DAY / 50, province="") for n in range(30)]
    sparse = [make_past(6.0, placed_at=START + 7 * DAY + n * DAY / 50) for n in range(29)]
    history = [
        past.__class__(
            order=past.order,
            delivered_at=past.delivered_at,
            promised_on=(past.order.placed_at + 4 * DAY).date(),
        )
        for past in [*full, *sparse]
    ]

    platform = next(row for row in back_test(history, [0.9]).rows if row.method == "platform")

    assert platform.on_time == pytest.approx(15 / 59)
    assert platform.weekly_deviation_pp == pytest.approx(100 * (0.5 - 15 / 59))


def test_days_at_a_rate_lie_between_the_rows_around_it():
    rows = [Row("hub", 0.8, 9, 0.82, 10.0, 0, 0), Row("hub", 0.9, 9, 0.92, 14.0, 0, 0)]

    assert days_at_rate(rows, 0.87) == pytest.approx(12.0)
    assert days_at_rate(rows, 0.95) is None


def test_from_and_to_include_their_days(tmp_path, history):
    rows = back_test(history, [0.9], scored_from=date(2026, 1, 20), scored_to=date(2026, 1, 20))

    assert rows.n_scored == 30


def test_undelivered_and_cancelled_orders_are_not_scored(tmp_path):
    came_back = {**cells(make_past(4.0, placed_at=START)), "status": "canceled"}
    on_its_way = cells(make_past(None, placed_at=START))
    file = write(tmp_path / "h.csv", [came_back, on_its_way])

    assert [past.days for past in read_history(file)] == [None, None]


def test_unknown_columns_are_left_alone_and_optional_ones_may_be_missing(tmp_path, history, run):
    few = ["delivered_at", "purchased_at", "mood"]
    file = write(tmp_path / "h.csv", [cells(past) for past in history[:700]], few)

    code, _out, _err = run(file, "--from", "2026-01-20", "--json", tmp_path / "o")

    assert code == 0
    assert {row["method"] for row in json.loads((tmp_path / "o").read_text())["rows"]} == {"hub", "average"}


def test_a_spreadsheet_that_ate_the_first_zero_still_names_the_same_place(tmp_path):
    file = write(tmp_path / "h.csv", [cells(make_past(4.0, placed_at=START))])

    (past,) = read_history(file)

    assert (past.order.county, past.order.city) == ("01310", "013")


def test_a_distance_is_worked_out_where_only_the_ends_are_given(tmp_path):
    ends = {"seller_lat": "0", "seller_lng": "0", "customer_lat": "0", "customer_lng": "90"}
    row = {**cells(make_past(4.0, placed_at=START)), "distance_km": "", **ends}
    file = write(tmp_path / "h.csv", [row], [*COLUMNS, *ends])

    (past,) = read_history(file)

    assert past.order.distance_km == pytest.approx(10_007.5, abs=1)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("purchased_at", "yesterday", "Line 2, column “purchased_at”: “yesterday” is not a time"),
        ("purchased_at", "", "Line 2, column “purchased_at”: it is empty"),
        ("distance_km", "far", "Line 2, column “distance_km”: “far” is not a number"),
        ("distance_km", "nan", "Line 2, column “distance_km”: “nan” is not a number"),
        ("platform_promise_date", "soon", "Line 2, column “platform_promise_date”: “soon” is not a date"),
        ("delivered_at", "2026-01-09T10:00:00Z", "Line 2, column “delivered_at”: it has a time zone"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_by_line_and_column(tmp_path, run, column, value, told):
    file = write(tmp_path / "h.csv", [{**cells(make_past(4.0, placed_at=START)), column: value}])

    code, out, err = run(file, "--json", tmp_path / "o")

    assert (code, out) == (2, "")
    assert told in err
    assert not (tmp_path / "o").exists()


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path, run):
    file = write(tmp_path / "h.csv", [{}], ["purchased_at", "arrived"])

    code, _out, err = run(file)

    assert code == 2
    assert "no column “delivered_at”. Its columns: purchased_at, arrived" in err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file or directory"),
        (b"", "no column"),
        (b"purchased_at,delivered_at\n", "no orders"),
        (b"\x1f\x8b\x08\x00broken", "cannot be opened"),
        ("purchased_at,delivered_at\n2026年".encode("gb18030"), "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_what_to_do(tmp_path, run, content, told):
    file = tmp_path / "h.csv.gz"
    if content is not None:
        file.write_bytes(content)

    code, _out, err = run(file)

    assert code == 2
    assert told in err


def test_a_time_in_which_nothing_was_delivered_ends_with_one(tmp_path, run):
    file = write(tmp_path / "h.csv", [cells(make_past(4.0, placed_at=START))])

    code, _out, err = run(file, "--from", "2030-01-01")

    assert code == 1
    assert "No delivered order" in err


def test_dates_the_wrong_way_round_are_refused(tmp_path, run):
    code, _out, err = run(tmp_path / "h.csv", "--from", "2026-02-01", "--to", "2026-01-01")

    assert code == 2
    assert "--to lies before --from" in err


def test_no_process_holds_numpy_before_it_estimates():
    asked = (
        "import django, sys; django.setup(); import orderhub.urls, promises.history_file; "
        "import promises.management.commands.backtest_promises; sys.exit('numpy' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "orderhub.settings"},
        check=False,
    )

    assert done.returncode == 0
