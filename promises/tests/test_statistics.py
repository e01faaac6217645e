from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from promises.statistics import GRACE, Replay, replay

DAY = 86_400
AS_OF = 100 * DAY


def issue(due):
    return {"v": 1, "t": "issue", "ts": 0, "due": due}


def revise(ref, due, ts=0):
    return {"v": 1, "t": "revise", "ts": ts, "ref": ref, "due": due, "by": "seller", "rc": "STOCK"}


def outcome(ref, k, at, src="carrier"):
    return {"v": 1, "t": "outcome", "ts": at, "ref": ref, "k": k, "at": at, "src": src}


def found(*entries, **options):
    return replay(entries).statistics(as_of=AS_OF, **options).as_dict()


def test_each_fate_of_a_promise_is_counted_once():
    entries = [issue(10 * DAY) for _number in range(8)]
    entries += [
        outcome(0, "delivered", 10 * DAY),
        outcome(1, "delivered", 10 * DAY, src="seller"),
        outcome(2, "delivered", 10 * DAY + 1),
        outcome(3, "failed", 9 * DAY),
        outcome(4, "cancel_customer", 5 * DAY),
        outcome(5, "cancel_seller", 5 * DAY),
        issue(AS_OF),
    ]

    assert found(*entries) == {
        "issued": 9,
        "due": 7,
        "open_not_due": 1,
        "cancelled_by_customer": 1,
        "kept_first": 2,
        "kept_latest": 2,
        "kept_first_evidence_carrier": 1,
        "late": 1,
        "failed": 1,
        "cancelled_by_seller": 1,
        "silent": 2,
        "revised": 0,
        "rate_first_floor_ppm": 285_714,
        "rate_first_carrier_ppm": 142_857,
    }


def test_moving_a_date_does_not_make_a_promise_kept():
    entries = [issue(10 * DAY), revise(0, 20 * DAY, ts=9 * DAY), outcome(0, "delivered", 15 * DAY)]

    figures = found(*entries)

    assert (figures["kept_first"], figures["kept_latest"], figures["late"], figures["revised"]) == (
        0,
        1,
        1,
        1,
    )
    assert figures["rate_first_floor_ppm"] == 0


def test_a_date_moved_after_it_had_passed_was_not_moved():
    entries = [issue(10 * DAY), revise(0, 20 * DAY, ts=10 * DAY + 1), outcome(0, "delivered", 15 * DAY)]

    assert (found(*entries)["kept_latest"], found(*entries)["revised"]) == (0, 0)


def test_the_first_outcome_wins():
    figures = found(issue(10 * DAY), outcome(0, "failed", 9 * DAY), outcome(0, "delivered", 9 * DAY))

    assert (figures["failed"], figures["kept_first"]) == (1, 0)


def test_silence_counts_as_broken_only_when_the_grace_is_over():
    edge = issue(AS_OF - GRACE)

    assert found(edge)["open_not_due"] == 1
    assert found(issue(AS_OF - GRACE - 1))["silent"] == 1
    assert found(edge, grace=GRACE - 1)["silent"] == 1


def test_the_grace_of_the_genesis_entry_cannot_be_overruled():
    genesis = {"v": 1, "t": "genesis", "ts": 0, "policy": {"grace": 0}}

    assert found(genesis, issue(AS_OF - 1), grace=GRACE)["silent"] == 1


def test_outcomes_of_promises_nobody_made_count_for_nothing():
    assert found(outcome(5, "delivered", DAY), {"v": 1, "t": "dispute", "ref": 0})["issued"] == 0


def test_no_promise_has_no_rate():
    assert found()["rate_first_floor_ppm"] == 0
    assert Replay().statistics(as_of=AS_OF).issued == 0


@dataclass
class Fate:
    """What was written about one promise, in order."""

    due: int
    said: list


KINDS = ["delivered", "failed", "cancel_customer", "cancel_seller"]
SAID = st.lists(
    st.one_of(
        st.tuples(st.just("revise"), st.integers(1, 99), st.integers(1, 99)),
        st.tuples(st.sampled_from(KINDS), st.integers(1, 99), st.sampled_from(["carrier", "seller"])),
    ),
    max_size=4,
)


def judged(fate):
    """One promise by the words of the definition: (counted as, kept by the first date, by the latest, by a carrier)."""
    latest = fate.due
    for kind, when, more in fate.said:
        if kind == "revise":
            latest = when if more <= latest else latest
        elif kind == "delivered":
            return ("due", when <= fate.due, when <= latest, when <= fate.due and more == "carrier")
        else:
            return ("waived" if kind == "cancel_customer" else "due", False, False, False)
    return ("due" if fate.due + 3 < 100 else "open", False, False, False)


@given(st.lists(st.builds(Fate, st.integers(1, 99), SAID), max_size=12))
def test_the_replay_agrees_with_the_definition(fates):
    entries = [issue(fate.due * DAY) for fate in fates]
    for ref, fate in enumerate(fates):
        for kind, when, more in fate.said:
            entries.append(
                revise(ref, when * DAY, ts=more * DAY)
                if kind == "revise"
                else outcome(ref, kind, when * DAY, src=more)
            )
    expected = [judged(fate) for fate in fates]

    figures = found(*entries)

    due = sum(one[0] == "due" for one in expected)
    kept, carrier = sum(one[1] for one in expected), sum(one[3] for one in expected)
    assert figures["due"] == due
    assert figures["cancelled_by_customer"] == sum(one[0] == "waived" for one in expected)
    assert figures["kept_first"] == kept
    assert figures["kept_latest"] == sum(one[2] for one in expected)
    assert figures["kept_first_evidence_carrier"] == carrier
    assert figures["rate_first_floor_ppm"] == (kept * 1_000_000 // due if due else 0)
    broken = figures["late"] + figures["failed"] + figures["cancelled_by_seller"] + figures["silent"]
    assert kept + broken == due
