from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from orders.models import AuditEntry
from promises import canonical, notes, token
from promises.ledger import keys, monitor, reading, rotation, sequencer
from promises.ledger.models import LogKey, LogLeaf, LogPending
from promises.tests.factories_ledger import make_entries, make_log, queue_issue

pytestmark = pytest.mark.django_db
AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
Use = LogKey.Purpose


@pytest.fixture
def log():
    log = make_log()
    sequencer.sweep(AT)
    return log


def signers_of(log):
    note = notes.parse(reading.newest(log).note)
    return set(notes.signed_by(note, keys.log_verifiers(log)))


def sign_token(log, number="ZRFJQ39TBHZ90492"):
    return token.sign(log.origin, keys.token_key(log), number=number, issued_at=1, due=2, ph=bytes(32))


def codes(log, at=AT):
    report = monitor.watch(log, at)
    return [one.code for one in report.findings], [one.code for one in report.notices]


@pytest.mark.parametrize(("days", "n_signatures"), [(0, 2), (30, 2), (31, 1)])
def test_for_thirty_days_the_old_and_the_new_key_sign(log, days, n_signatures):
    old = keys.log_verifier(log)
    rotation.rotate(log, Use.LOG, AT)
    queue_issue(log, 1)

    sequencer.sweep(AT + timedelta(days=days))

    new = keys.log_verifier(log)
    assert old != new
    assert signers_of(log) == {old, new} if n_signatures == 2 else {new}
    assert keys.log_verifiers(log) == [new, old]


def test_the_old_key_vouches_for_the_new_one_in_the_log(log):
    old = log.keys.get(purpose="log")
    new = rotation.rotate(log, Use.LOG, AT)
    sequencer.sweep(AT)

    said = canonical.decode(reading.entry(log, 1))

    assert {name: said[name] for name in ("t", "use", "vkey")} == {"t": "key", "use": "log", "vkey": new.vkey}
    keys.secret_of(old).public_key().verify(
        bytes.fromhex(said["sig"]), f"orderhub/log-key/v1\n{log.origin}\nlog\n{new.vkey}\n".encode()
    )
    assert codes(log) == ([], ["key"])
    assert AuditEntry.objects.get(action="ledger.rotate").after == {"key": new.key_id}


def test_codes_on_old_documents_stay_good_under_a_new_token_key(log):
    before = sign_token(log)
    rotation.rotate(log, Use.TOKEN, AT)
    after = sign_token(log)

    known = keys.token_keys(log)

    assert token.parse(before).key_id != token.parse(after).key_id
    assert token.verify(before, known).number == token.verify(after, known).number


def test_a_revoked_key_is_replaced_and_its_last_good_place_is_in_the_log(log, client):
    make_entries(log, 4)
    stolen = log.keys.get(purpose="token")

    assert rotation.revoke(stolen, AT) == 5
    sequencer.sweep()

    stolen.refresh_from_db()
    assert (stolen.revoked_at_size, keys.newest(log, Use.TOKEN) == stolen) == (5, False)
    last = canonical.decode(reading.entry(log, 6))
    assert {name: last[name] for name in ("t", "key", "size")} == {
        "t": "revoke",
        "key": stolen.key_id,
        "size": 5,
    }
    assert f"{stolen.vkey} from=" in client.get("/log/keys").content.decode()
    assert "revoked_at_size=5\n" in client.get("/log/keys").content.decode()
    assert codes(log) == ([], ["key", "revoked"])
    with pytest.raises(rotation.RevokedBefore):
        rotation.revoke(stolen, AT)


def test_a_revoked_log_key_signs_no_head_any_more(log):
    stolen = log.keys.get(purpose="log")

    rotation.revoke(stolen, AT)
    sequencer.sweep(AT)

    assert signers_of(log) == {keys.log_verifier(log)}
    assert keys.log_verifier(log).vkey != stolen.vkey


def test_without_the_old_key_there_is_no_new_one(log, settings):
    (settings.LEDGER_KEY_DIR / log.keys.get(purpose="log").secret_file).unlink()

    for use in (Use.LOG, Use.TOKEN):
        with pytest.raises(keys.KeyMissing, match="Put it back"):
            rotation.rotate(log, use, AT)

    assert log.keys.count() == 2
    assert not LogPending.objects.filter(kind="key").exists()


def test_a_key_that_nobody_vouched_for_is_found(log):
    keys.make(log, Use.TOKEN, AT)
    assert codes(log) == (["key"], [])


def test_a_key_vouched_for_by_a_stranger_is_found(log):
    new = rotation.rotate(log, Use.LOG, AT)
    pending = LogPending.objects.get(kind="key")
    forged = keys.secret_of(new).sign(rotation.message(log.origin, "log", new.vkey)).hex()
    LogPending.objects.filter(pk=pending.pk).update(body=pending.body | {"sig": forged})
    sequencer.sweep(AT)

    assert codes(log)[0] == ["key", "key"]
    assert LogLeaf.objects.count() == 2


def test_the_command_shows_rotates_and_revokes_and_never_tells_a_secret(log, settings):
    def told(*arguments):
        out = StringIO()
        call_command("log_keys", *arguments, stdout=out)
        return out.getvalue()

    first = log.keys.get(purpose="token")
    outputs = [
        told("rotate", "token"),
        told("revoke", first.key_id),
        told("status"),
        told("status", "--json"),
    ]

    rows = json.loads(outputs[-1])["keys"]
    assert [row["use"] for row in rows] == ["log", "token", "token"]
    assert [row["revoked_at_size"] for row in rows] == [None, 2, None]
    secrets = [file.read_text().strip() for file in settings.LEDGER_KEY_DIR.iterdir()]
    assert len(secrets) == 3
    assert not [secret for secret in secrets if any(secret in output for output in outputs)]
    with pytest.raises(CommandError, match="has no key 00000000"):
        told("revoke", "00000000")
