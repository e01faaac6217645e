from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from orders import append_only
from promises import canonical, merkle, notes
from promises.ledger import keys, monitor, reading, sequencer, writing
from promises.ledger.models import Checkpoint, LogLeaf, LogNode, LogPending
from promises.ledger.replaying import Tree
from promises.statistics import replay
from promises.tests.factories_ledger import (
    issue_body,
    make_entries,
    make_log,
    make_seller,
    queue_issue,
    queue_outcome,
)

pytestmark = pytest.mark.django_db
AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def told(name, *arguments):
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return json.loads(out.getvalue())


def alter(model, changes, **where):
    """What somebody does who has the database in hand."""
    with append_only.lifted():
        assert model.objects.filter(**where).update(**changes) == 1


def flipped(data, bit=0):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture
def log():
    """Fourteen entries in three batches: the beginning, twelve promises, one outcome."""
    log = make_log()
    make_entries(log, 7)
    for number in range(100, 105):
        queue_issue(log, number)
    sequencer.sweep()
    queue_outcome(log, LogPending.objects.get(dedup="issue 3"))
    sequencer.sweep()
    return log


def findings(log):
    return [(one.code, one.place) for one in monitor.watch(log, AT).findings]


# log_stats.


def test_the_statistics_of_the_own_log_and_of_its_lines_in_a_file_are_the_same(log, tmp_path):
    file = tmp_path / "entries.jsonl"
    entries = [bytes(entry) for entry in log.leaves.order_by("index").values_list("entry", flat=True)]
    file.write_bytes(b"".join(entry + b"\n" for entry in entries))

    own, of_file = (told("log_stats", "--as-of", "1790000000", *more) for more in ((), ("--from", str(file))))

    assert own == of_file
    assert set(own) == {"size", "root_hex", "statistics"}
    assert (own["size"], own["root_hex"]) == (14, bytes(reading.newest(log).root).hex())
    assert own["statistics"] == (
        replay(canonical.decode(entry) for entry in entries).statistics(as_of=1_790_000_000).as_dict()
    )
    assert own["statistics"]["silent"] == 11


def test_a_log_without_a_beginning_is_counted_with_the_grace_that_is_asked_for(tmp_path):
    file = tmp_path / "entries.jsonl"
    file.write_text('{"t":"issue","due":1000,"nh":"a"}\n')

    waits, is_over = (
        told("log_stats", "--from", str(file), "--as-of", "2000", "--grace", grace)
        for grace in ("1000", "999")
    )

    assert (waits["statistics"]["open_not_due"], is_over["statistics"]["silent"]) == (1, 1)


@pytest.mark.parametrize(
    "line",
    [b"{", b"[1]", b"\xff\xfe", b'{"t":"issue","due":"soon"}', b'{"t":"outcome","ref":0,"k":"delivered"}'],
)
def test_a_line_that_is_no_entry_is_named(tmp_path, line):
    file = tmp_path / "entries.jsonl"
    file.write_bytes(b'{"t":"issue","due":1000}\n' + line + b"\n")

    with pytest.raises(CommandError, match=r"line 2 of .* is no entry"):
        told("log_stats", "--from", str(file))


def test_a_file_that_is_not_there_and_a_log_that_is_not_there_are_said(tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        told("log_stats", "--from", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="no seller log yet"):
        told("log_stats")


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_a_tree_that_forgets_all_but_its_edge_has_the_same_roots_and_nodes(entries):
    tree, hashes = Tree(), [merkle.leaf_hash(entry) for entry in entries]
    wanted = list(merkle.append(0, hashes, lambda *_place: b""))
    nodes = {(level, index): node for level, index, node in wanted}

    grown = [tree.add(one) for one in hashes]

    assert [node for nodes in grown for node in nodes] == wanted
    assert tree.root() == merkle.root(len(hashes), lambda level, index: nodes[level, index])


# log_monitor.


def test_a_log_as_it_was_signed_has_no_findings(log):
    report = monitor.watch(log, AT)

    assert report.findings == []
    assert [(one.code, one.place) for one in report.notices] == []
    assert (report.size, report.root) == (14, bytes(reading.newest(log).root))


@pytest.mark.parametrize("place", range(14))
def test_a_bit_flipped_in_an_entry_names_the_entry(log, place):
    entry = reading.entry(log, place)
    for bit in range(place, len(entry) * 8, 397):
        alter(LogLeaf, {"entry": flipped(entry, bit)}, log=log, index=place)
        assert ("altered", place) in findings(log)


def test_an_entry_altered_together_with_its_hash_is_found(log):
    entry = reading.entry(log, 9).replace(b'"due":', b'"due":1')

    alter(LogLeaf, {"entry": entry, "leaf_hash": merkle.leaf_hash(entry)}, log=log, index=9)

    assert findings(log) == [("node", 8)]


def test_an_entry_altered_with_every_hash_over_it_is_found_by_the_signed_heads(log):
    entries = [bytes(entry) for entry in log.leaves.order_by("index").values_list("entry", flat=True)]
    entries[9] = entries[9].replace(b'"due":', b'"due":1')
    alter(LogLeaf, {"entry": entries[9], "leaf_hash": merkle.leaf_hash(entries[9])}, log=log, index=9)
    tree = Tree()
    for entry in entries:
        for level, index, node in tree.add(merkle.leaf_hash(entry)):
            if level and index == 9 >> level:
                alter(LogNode, {"hash": node}, log=log, level=level, index=index)

    # Between the head that still fits and the next one.
    assert findings(log) == [("head", 8)]


def test_a_bit_flipped_in_a_node_names_the_entries_under_it(log):
    for level, index, node in LogNode.objects.values_list("level", "index", "hash"):
        alter(LogNode, {"hash": flipped(node, level)}, level=level, index=index)
        assert findings(log) == [("node", index << level)]
        alter(LogNode, {"hash": bytes(node)}, level=level, index=index)


def test_a_head_that_was_altered_is_found(log):
    for size, root, note in Checkpoint.objects.values_list("size", "root", "note"):
        for changes in ({"root": flipped(root)}, {"note": note.replace(f"\n{size}\n", f"\n{size + 1}\n")}):
            alter(Checkpoint, changes, size=size)
            assert [code for code, _place in findings(log)][:1] == ["head"]
            alter(Checkpoint, {"root": bytes(root), "note": note}, size=size)
    assert findings(log) == []


def test_entries_that_were_taken_out_are_named(log):
    with append_only.lifted():
        LogLeaf.objects.filter(index=5).delete()

    assert ("missing", 5) in findings(log)


def test_a_log_cut_at_its_end_is_shorter_than_what_was_signed(log):
    with append_only.lifted():
        LogLeaf.objects.filter(index__gte=8).delete()
        Checkpoint.objects.filter(size__gt=8).delete()
        LogNode.objects.exclude(level__lte=3, index__lt=1).delete()

    assert ("rolled_back", 8) in findings(log)


def test_entries_that_were_put_in_behind_are_covered_by_no_head(log):
    LogLeaf.objects.create(log=log, index=14, entry=b"{}", leaf_hash=merkle.leaf_hash(b"{}"))

    assert findings(log) == [("unsigned", 14)]


def test_a_queue_that_does_not_tell_what_was_written_is_noticed(log):
    LogPending.objects.filter(dedup="issue 4").update(kind="answer")

    assert [code for code, _place in findings(log)] == ["count", "count"]


def written(log, kind, body, index, at=AT, ref=None):
    """What a sequencer would write that does not know the rules."""
    pending = LogPending(
        log=log, kind=kind, body=body, dedup=f"{kind} {index}", queued_at=at, is_demo=log.is_demo
    )
    pending.about = ref
    pending.save()
    return pending


def test_the_same_number_twice_is_named(log):
    written(log, "issue", issue_body(3, due=1_790_000_000), 14)
    sequencer.sweep()

    assert findings(log) == [("duplicate", 14)]


def test_what_speaks_of_no_promise_is_named(log):
    first = LogPending.objects.get(kind="genesis")
    written(log, "outcome", {"k": "delivered", "at": 1, "src": "seller", "ev": "e" * 64}, 14, ref=first)
    sequencer.sweep()

    assert findings(log) == [("reference", 14)]


def test_an_entry_that_goes_back_in_time_is_named():
    make_seller(is_demo=True)
    log = writing.log_of(is_demo=True, at=AT)
    sequencer.sweep(AT)
    written(log, "issue", issue_body(1), 1, at=AT)
    sequencer.sweep(AT)
    entry = reading.entry(log, 1).replace(
        str(int(AT.timestamp())).encode(), str(int(AT.timestamp()) - 6).encode()
    )
    alter(LogLeaf, {"entry": entry}, log=log, index=1)

    assert ("time", 1) in findings(log)


def test_overdue_promises_and_keys_are_notices_not_findings(log):
    report = monitor.watch(log, AT + timedelta(days=365))

    assert report.findings == []
    assert [(one.code, one.place) for one in report.notices] == [("overdue", 1)]
    assert "11 promises" in report.notices[0].what


def test_figures_that_were_published_are_found_again_or_not(log, tmp_path):
    file = tmp_path / "stats.json"
    said = told("log_stats", "--as-of", "1790000000")
    queue_issue(log, 999)
    sequencer.sweep()

    file.write_text(json.dumps(said))
    assert told("log_monitor", "--json", "--published", str(file), "--as-of", "1790000000")["clean"]
    said["statistics"]["kept_first"] += 1
    file.write_text(json.dumps(said))
    with pytest.raises(SystemExit) as ended:
        told("log_monitor", "--json", "--published", str(file), "--as-of", "1790000000")

    assert ended.value.code == 3


def test_the_monitor_signs_what_it_says_under_its_own_name(log, tmp_path):
    file = tmp_path / "report"
    alter(LogLeaf, {"entry": flipped(reading.entry(log, 9))}, log=log, index=9)
    out = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("log_monitor", "--report", str(file), stdout=out)

    assert ended.value.code == 3
    assert "entry 9: the entry was altered" in out.getvalue()
    verifier = keys.verifier(log.keys.get(purpose="monitor"))
    note = notes.parse(file.read_text())
    assert list(notes.signed_by(note, [verifier])) == [verifier]
    name, said = note.text.splitlines()
    assert name == verifier.name == f"{log.origin}/monitor"
    assert json.loads(said)["findings"][0]["entry"] == 9


# What the sequencer refuses.


@pytest.mark.parametrize(
    ("model", "where", "column"),
    [(LogLeaf, {"index": 12}, "entry"), (LogLeaf, {"index": 2}, "leaf_hash"), (LogNode, {"level": 2, "index": 1}, "hash"),
     (Checkpoint, {"size": 14}, "root")],
)  # fmt: skip
def test_nothing_is_signed_over_what_was_altered_and_old_proofs_are_still_served(log, model, where, column):
    proof = reading.proof_file(log, 4)
    value = bytes(model.objects.values_list(column, flat=True).get(**where))
    alter(model, {column: flipped(value, 7)}, **where)
    queue_issue(log, 999)

    assert sequencer.sweep() == 0

    log.refresh_from_db()
    assert log.alarm in {"damaged", "rolled_back"}
    assert Checkpoint.objects.count() == 3
    assert LogPending.objects.get(dedup="issue 999").index is None
    if model is not LogNode:
        assert reading.proof_file(log, 4) == proof
    assert connection.in_atomic_block
