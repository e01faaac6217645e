from __future__ import annotations

import csv
import gzip
import io
import stat
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.models import AuditEntry
from orders.tests.staff import make_staff, staff_client
from promises import backtest_runs
from promises.backtest_runs import LEASE, BacktestRun, Failure, begin_next, forget_strays, replay, sweep
from promises.tests.histories import make_history
from promises.tests.test_backtest import COLUMNS, cells

pytestmark = pytest.mark.django_db
AT = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
PAGE = "/admin/promises/backtest/"
MAY = tuple(f"promises.{verb}_backtestrun" for verb in ("view", "add", "delete"))
State = BacktestRun.State


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backtests"


@pytest.fixture
def browser():
    client = staff_client(may=MAY)
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture(scope="module")
def content():
    return as_csv([cells(past) for past in make_history(900, per_day=30)])


def as_csv(rows, columns=COLUMNS):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="x")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def upload(browser, content, name="history.csv", **more):
    return browser.post(PAGE, {"file": SimpleUploadedFile(name, content), **more})


def claim(run):
    begun = []
    assert begin_next(datetime.now(UTC), lambda *given: begun.append(given))
    assert begun[0][0] == run.pk
    return begun[0]


def played(browser, content, **more):
    upload(browser, content, **more)
    run = BacktestRun.objects.get()
    replay(*claim(run))
    run.refresh_from_db()
    return run


def test_a_history_is_replayed_and_shown_by_all_three_methods(browser, content):
    answer = upload(browser, content)
    run = BacktestRun.objects.get()
    assert (answer.status_code, answer["Location"]) == (
        303,
        reverse("admin:promise_backtest_run", args=[run.pk]),
    )
    assert (run.state, run.n_orders) == (State.WAITING, 900)

    replay(*claim(run))
    page = browser.get(answer["Location"])

    methods = page.context["methods"]
    assert [row["method"] for row in methods] == ["hub", "platform", "average"]
    platform = methods[1]
    assert (platform["n"], page.context["n_scored"]) == (900, 900)
    weeks = BacktestRun.objects.get().result["weeks"]["platform"]
    assert sum(n for _monday, n, _kept in weeks) == 900
    assert sum(kept for _monday, _n, kept in weeks) == round(platform["on_time"] * 900)
    assert (
        [len(line["points"]) for line in page.context["lines"]][1] == len(weeks) == len(page.context["weeks"])
    )


def test_the_hub_aims_at_the_rate_of_the_files_own_promises(browser, content):
    run = played(browser, content)

    platform = next(row for row in run.result["rows"] if row["method"] == "platform")
    assert run.result["aim"] == round(platform["on_time"], 3)
    assert run.result["aim"] in [row["target"] for row in run.result["rows"] if row["method"] == "hub"]


def test_a_history_without_promises_is_replayed_without_them(browser):
    history = [cells(past) for past in make_history(600, per_day=30)]
    without = [name for name in COLUMNS if name != "platform_promise_date"]

    run = played(browser, as_csv(history, without))

    page = browser.get(reverse("admin:promise_backtest_run", args=[run.pk]))
    assert [row["method"] for row in page.context["methods"]] == ["hub", "average"]
    assert page.context["fewer"] is None
    assert run.result["aim"] == 0.9


def test_only_documented_columns_are_kept_and_only_for_this_account(browser, content, folder):
    rows = [cells(past) | {"customer_name": "Wang Fang", "phone": "13800001234"} for past in make_history(50)]

    upload(browser, gzip.compress(as_csv(rows, [*COLUMNS, "customer_name", "phone"])), "history.csv.gz")

    kept = list(folder.iterdir())
    assert [path.name for path in kept] == [BacktestRun.objects.get().stored]
    text = gzip.decompress(kept[0].read_bytes()).decode()
    assert "Wang Fang" not in text
    assert "13800001234" not in text
    assert tuple(text.splitlines()[0].split(",")) == backtest_runs.COLUMNS
    assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600
    assert len(text.splitlines()) == 51


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"order_id,delivered_at\n1,2026-01-01\n", "has no column “purchased_at”"),
        (
            b"purchased_at,delivered_at\n2026-01-01,soon\n",
            "Line 2, column “delivered_at”: “soon” is not a time",
        ),
        (b"purchased_at,delivered_at\n", "has no orders, only a head line"),
        (b"\x1f\x8b\x08\x00broken", "cannot be opened"),
        (b"\xff\xfe\x00", "is not UTF-8 text. Save it as CSV in UTF-8."),
        (b"purchased_at,delivered_at\n" + b"x" * 200_000, "a line of more than 100000 characters"),
        (b"", "The file is empty."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_kept(browser, folder, content, told):
    answer = upload(browser, content)

    assert answer.status_code == 200
    assert told in answer.context["form"].errors["file"][0]
    assert BacktestRun.objects.count() == 0
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_refusal_does_not_repeat_a_whole_file(browser):
    answer = upload(browser, b"x" * 90_000)

    assert "has no column “purchased_at" in answer.context["form"].errors["file"][0]
    assert len(answer.context["form"].errors["file"][0]) == 600


def test_a_file_that_is_too_large_is_refused_unread(browser, folder):
    answer = upload(browser, b"x" * (backtest_runs.MAX_BYTES + 1))

    assert answer.context["form"].errors["file"] == [
        "The file has 21 MB; at most 20 MB are taken. Pack it with gzip, or leave out columns that are not listed here."
    ]
    assert not folder.exists()


def test_a_last_day_before_the_first_is_refused(browser, content):
    answer = upload(browser, content, scored_from="2026-02-01", scored_to="2026-01-01")

    assert list(answer.context["form"].errors) == ["scored_to"]
    assert BacktestRun.objects.count() == 0


def test_only_orders_of_the_chosen_days_are_judged(browser, content):
    run = played(browser, content, scored_from="2026-01-20", scored_to="2026-01-22")

    assert run.result["n_scored"] == 90


def test_days_without_orders_end_with_words_that_say_so(browser, content):
    run = played(browser, content, scored_from="2030-01-01")

    page = browser.get(reverse("admin:promise_backtest_run", args=[run.pk]))
    assert run.state == State.FAILED
    assert "No delivered order of the file was placed in that time." in page.content.decode()


def test_a_killed_replay_is_begun_again_and_the_old_process_writes_no_more(browser, content):
    with time_machine.travel(AT, tick=False) as clock:
        upload(browser, content)
        run = BacktestRun.objects.get()
        first = claim(run)
        clock.shift(LEASE)
        assert not begin_next(datetime.now(UTC), lambda *given: None)
        clock.shift(timedelta(seconds=1))

        second = claim(run)
        replay(*first)

        run.refresh_from_db()
        assert (first, second) == ((run.pk, 1), (run.pk, 2))
        assert (run.state, run.attempt, run.result) == (State.RUNNING, 2, {})
        replay(*second)
        run.refresh_from_db()
        assert run.state == State.DONE


def test_a_run_that_broke_off_three_times_is_given_up(browser, content):
    with time_machine.travel(AT, tick=False) as clock:
        upload(browser, content)
        run = BacktestRun.objects.get()
        for _attempt in range(3):
            claim(run)
            clock.shift(LEASE + timedelta(seconds=1))

        assert not begin_next(datetime.now(UTC), lambda *given: None)

    run.refresh_from_db()
    assert (run.state, run.failure) == (State.FAILED, Failure.BROKE_OFF)


def test_one_replay_runs_at_a_time(browser, content):
    upload(browser, content)
    upload(browser, content)
    newest, oldest = BacktestRun.objects.all()
    claim(oldest)

    assert not begin_next(datetime.now(UTC), lambda *given: None)

    BacktestRun.objects.filter(pk=oldest.pk).update(state=State.DONE)
    claim(newest)


@pytest.mark.django_db(transaction=True)
def test_the_worker_is_told_of_an_upload_and_told_again_by_the_steward(browser, content):
    from django_q.models import OrmQ

    upload(browser, content)
    assert OrmQ.objects.count() == 1
    OrmQ.objects.all().delete()

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=1)):
        sweep()

    assert OrmQ.objects.count() == 1


def test_the_command_of_the_worker_plays_the_run(browser, content):
    upload(browser, content, scored_from="2026-02-01", scored_to="2026-02-01")
    pk, attempt = claim(BacktestRun.objects.get())

    call_command("run_backtest", pk, attempt)

    assert BacktestRun.objects.get().state == State.DONE


def test_a_file_that_is_gone_is_told(browser, content, folder):
    upload(browser, content)
    run = BacktestRun.objects.get()
    run.path.unlink()

    replay(*claim(run))

    run.refresh_from_db()
    assert (run.state, run.failure) == (State.FAILED, Failure.FILE_GONE)


@pytest.mark.django_db(transaction=True)
def test_removing_takes_the_row_the_figures_and_the_file(browser, content, folder):
    run = played(browser, content)
    assert run.path.exists()

    answer = browser.post(reverse("admin:promise_backtest_remove", args=[run.pk]))

    assert (answer.status_code, answer["Location"]) == (303, PAGE)
    assert BacktestRun.objects.count() == 0
    assert list(folder.iterdir()) == []
    assert AuditEntry.objects.filter(action="backtest.remove").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_replay_whose_run_is_removed_stops_without_a_trace(browser, content):
    upload(browser, content)
    run = BacktestRun.objects.get()
    given = claim(run)
    beat = backtest_runs._Beat(BacktestRun.objects.get())
    browser.post(reverse("admin:promise_backtest_remove", args=[run.pk]))

    with pytest.raises(backtest_runs._Lost):
        beat(1, 900)
    replay(*given)

    assert BacktestRun.objects.count() == 0


def test_files_that_no_run_knows_are_swept_away_after_a_day(browser, content, folder):
    upload(browser, content)
    stray = folder / "stray.csv.gz"
    stray.write_bytes(b"")

    kept = forget_strays(datetime.now(UTC) - timedelta(days=1))
    gone = forget_strays(datetime.now(UTC) + timedelta(minutes=1))

    assert (kept, gone) == (0, 1)
    assert [path.name for path in folder.iterdir()] == [BacktestRun.objects.get().stored]


def test_progress_is_told_as_it_goes(browser, content):
    upload(browser, content)
    run = BacktestRun.objects.get()
    claim(run)
    BacktestRun.objects.update(n_done=300, n_total=900)

    answer = browser.get(reverse("admin:promise_backtest_progress", args=[run.pk])).json()

    assert answer["is_open"] is True
    assert "300 of 900 orders replayed" in answer["html"]


def test_who_may_only_look_can_neither_upload_nor_remove(content, folder):
    run = played(staff_client(may=MAY), content)
    reader = staff_client(may=MAY[:1])

    answers = [
        upload(reader, content).status_code,
        reader.post(reverse("admin:promise_backtest_remove", args=[run.pk])).status_code,
        reader.get(PAGE).status_code,
    ]

    assert answers == [403, 403, 200]
    assert BacktestRun.objects.count() == 1
    assert sorted(folder.iterdir()) == sorted([run.path, run.judged_path])


@pytest.mark.parametrize("tail", ["", "{pk}/", "{pk}/progress/"])
def test_nobody_without_the_permission_sees_any_of_it(content, tail):
    run = played(staff_client(may=MAY), content)

    answer = staff_client(everything=True).get(PAGE + tail.format(pk=run.pk))

    assert answer.status_code == 403


def test_reading_never_acts(browser, content):
    run = played(browser, content)

    answer = browser.get(reverse("admin:promise_backtest_remove", args=[run.pk]))

    assert answer.status_code == 405
    assert BacktestRun.objects.count() == 1


def test_without_a_run_the_page_says_what_will_be_here(browser):
    page = browser.get(PAGE).content.decode()

    assert 'data-state="empty_first"' in page
    assert "No back-test yet" in page


def test_the_list_costs_the_same_however_many_runs_there_are(browser):
    def cost(n):
        BacktestRun.objects.bulk_create(
            BacktestRun(
                file_name="a.csv", stored=f"{n}-{number}", n_orders=1, started_by=make_staff(), started_at=AT
            )
            for number in range(n)
        )
        with CaptureQueriesContext(connection) as counted:
            assert browser.get(PAGE).status_code == 200
        return len(counted)

    browser.get(PAGE)

    assert cost(1) == cost(15)
