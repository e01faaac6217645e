from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from promises import canonical, merkle, notes
from promises.ledger import replaying, sequencer, tiles
from promises.tests.factories_ledger import TEN, issue_body, make_entries, make_log, queue_issue
from promises.verification import rate

ORIGIN = "partner.example.com/t/parts"
NOON = TEN + 12 * 3600


class Elsewhere:
    """Somebody else's log as plain files, served over HTTP. It signs whatever it is told to."""

    def __init__(self, folder):
        self.folder, self.key, self.asked = folder, Ed25519PrivateKey.generate(), []
        self.keys = folder.parent / "keys.txt"
        self.keys.write_text(f"log {notes.verifier_of(ORIGIN, self.key).vkey}\n")

    def write(self, entries, key=None):
        tree = replaying.Tree()
        for entry in entries:
            tree.add(merkle.leaf_hash(entry))
        head = notes.Checkpoint(ORIGIN, tree.size, tree.root())
        self.put("checkpoint", notes.write_checkpoint(head, [key or self.key]).encode())
        for number in range(-(-len(entries) // tiles.WIDTH)):
            some = entries[number * tiles.WIDTH : (number + 1) * tiles.WIDTH]
            part = f".p/{len(some)}" if len(some) < tiles.WIDTH else ""
            bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in some)
            self.put(f"tile/entries/{tiles.path_of(number)}{part}", bundle)

    def put(self, path, data):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def watch(self, *more, url="", as_of=NOON):
        """Exit and report of one night."""
        self.asked.clear()
        out = StringIO()
        options = ["--state", str(self.folder.parent / "seen"), "--as-of", str(as_of), "--json", *more]
        code = 0
        try:
            call_command(
                "log_monitor", "--url", url or self.url, "--keys", str(self.keys), *options, stdout=out
            )
        except SystemExit as end:
            code = end.code
        return code, json.loads(out.getvalue())


@pytest.fixture
def log(tmp_path):
    log = Elsewhere(tmp_path / "log")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, _format, *_arguments):
            log.asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(log.folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    log.url = f"http://127.0.0.1:{server.server_port}"
    yield log
    server.shutdown()
    server.server_close()
    thread.join()


def make_said(n, first=0, **changed):
    """The genesis and issues after it, as canonical entries; changed: place -> what it says instead."""
    found = []
    for place in range(first, n):
        said = {"i": place, "ts": TEN + place, "t": "issue", **issue_body(place)}
        if place == 0:
            said = {"i": 0, "ts": TEN, "t": "genesis", "policy": {"grace": 259_200, "mmd": 600}}
        found.append(canonical.encode(said | changed.get(f"e{place}", {})))
    return found


def answers(report):
    return {one["name"]: one["ok"] for one in report["checks"]}


def test_a_log_elsewhere_is_counted_from_its_entries_and_remembered(log):
    log.write(make_said(300))

    code, report = log.watch()

    assert (code, answers(report)) == (0, {"checkpoint": True, "replay": True, "consistency": True})
    assert (report["log"]["size"], report["statistics"]["issued"]) == (300, 299)


def test_the_next_night_fetches_only_what_is_new(log):
    log.write(make_said(600))
    log.watch()
    log.write(make_said(800))

    code, report = log.watch()

    assert (code, report["log"]["n_entries"]) == (0, 800)
    assert [path for path in log.asked if "tile" in path] == [
        "/tile/entries/002",
        "/tile/entries/003.p/32",
    ]


@pytest.mark.parametrize("n_later", [600, 700])
def test_an_entry_that_was_rewritten_is_named_with_both_signed_heads(log, n_later):
    log.write(make_said(600))
    log.watch()
    log.write(make_said(n_later, e7={"due": TEN + 999}))

    code, report = log.watch()

    assert code == 3
    assert "Entry 7 is not what it was" in "\n".join(report["misbehaviour"])
    assert "\n".join(report["misbehaviour"]).count(f"{ORIGIN}\n600\n") == (2 if n_later == 600 else 1)
    assert len(list((log.folder.parent / "seen").glob("misbehaviour-*.txt"))) == len(report["misbehaviour"])
    assert log.watch()[0] == 3, "and it stays so the next night"


def test_entries_that_do_not_give_the_signed_head_are_refused(log):
    log.write(make_said(300))
    log.put(
        "tile/entries/001.p/44",
        (log.folder / "tile/entries/001.p/44").read_bytes().replace(b'"due":', b'"duE":', 1),
    )

    code, report = log.watch()

    assert (code, answers(report)["replay"]) == (1, False)


def test_a_log_that_was_cut_short_is_noticed(log):
    log.write(make_said(300))
    log.watch()
    log.write(make_said(200))

    code, report = log.watch()

    assert (code, answers(report)["replay"], answers(report)["growth"]) == (1, True, False)
    log.write(make_said(310))
    assert log.watch()[0] == 0


def test_a_head_of_another_key_is_refused_before_anything_is_fetched(log):
    log.write(make_said(300), key=Ed25519PrivateKey.generate())

    code, report = log.watch()

    assert (code, answers(report)) == (1, {"checkpoint": False})
    assert not [path for path in log.asked if "tile" in path]


@pytest.mark.parametrize("rest", [b'{"i":300,"t":"iss', b'{"half a line"', b"\n\n"])
def test_a_run_that_was_killed_in_the_middle_of_a_line_is_gone_on_from(log, rest):
    log.write(make_said(300))
    log.watch()
    kept = next((log.folder.parent / "seen").glob("*.entries"))
    kept.write_bytes(kept.read_bytes() + rest)

    assert log.watch()[0] == 0
    assert kept.read_bytes() == b"".join(entry + b"\n" for entry in make_said(300))


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("tile/entries/000.p/9", b"\x00\x05abc"),
        ("tile/entries/000.p/9", b"\x00\x01a"),
        ("tile/entries/000.p/9", b"\x00\x01\n" * 9),
        ("checkpoint", b"\xff\xfe"),
        ("checkpoint", b"hello"),
    ],
)
def test_what_is_no_log_is_said_and_compared_with_nothing(log, path, data):
    log.write(make_said(9))
    log.put(path, data)

    with pytest.raises(CommandError, match="Nothing was compared") as refused:
        log.watch()

    assert refused.value.returncode == 2


def test_a_log_that_does_not_answer_is_no_verdict(log):
    with pytest.raises(CommandError, match="checkpoint answered 404") as refused:
        log.watch()
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="Nothing was compared"):
        log.watch(url="http://127.0.0.1:9/")


def test_without_a_key_that_is_trusted_nothing_is_asked(log):
    with pytest.raises(CommandError, match="whose signature should count"):
        call_command("log_monitor", "--url", log.url)
    assert not log.asked


@pytest.mark.django_db(transaction=True)
def test_a_house_is_watched_over_its_own_pages(live_server, log, client):
    own = make_log()
    make_entries(own, 260)
    rate.count(own, now())
    queue_issue(own, 999)
    sequencer.sweep()
    log.keys.write_bytes(client.get("/log/keys").content)

    code, report = log.watch(url=f"{live_server.url}/log/")

    assert (code, answers(report)["figures"], report["statistics"]["issued"]) == (0, True, 261)


@pytest.mark.django_db(transaction=True)
def test_figures_that_the_entries_do_not_give_are_named(live_server, log, client):
    own = make_log()
    make_entries(own, 9)
    rate.count(own, now())
    told = rate._file(own)
    told.write_text(told.read_text().replace('"issued": 9', '"issued": 8'))
    log.keys.write_bytes(client.get("/log/keys").content)

    code, report = log.watch(url=f"{live_server.url}/log/")

    assert code == 1
    assert [one["what"] for one in report["checks"] if one["name"] == "figures"] == [
        "of 10 entries: issued is 9, 8 was published"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_log_for_its_holders_says_why_it_cannot_be_watched(live_server, log, client):
    own = make_log()
    own.visibility = "holders"
    own.save()
    make_entries(own, 9)
    rate.count(own, now())
    log.keys.write_bytes(client.get("/log/keys").content)

    assert client.get("/log/figures").status_code == 404
    with pytest.raises(CommandError, match="holders and auditors only"):
        log.watch(url=f"{live_server.url}/log/")
