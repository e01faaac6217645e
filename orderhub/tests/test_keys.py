from __future__ import annotations

import io
import json
import os
import tarfile

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.core.management import CommandError, call_command

from integrations.models import Connection
from orderhub import keyring, preparation
from orders.contacts import Contact
from orders.tests.factories import MONDAY, make_order
from promises.tracking import wishes
from promises.tracking.models import CustomerRequest, MessageConsent

OLD = Fernet.generate_key().decode()


@pytest.fixture
def key_dir(tmp_path, settings):
    """A key directory of the test's own, with one secret."""
    preparation.make_keys(tmp_path / "keys")
    keyring.write_privately(tmp_path / "keys/secrets.key", f"{OLD}\n".encode())
    settings.KEY_DIR = tmp_path / "keys"
    settings.ORDERHUB_SECRETS = [OLD]
    return tmp_path / "keys"


def keys(*arguments):
    out = io.StringIO()
    call_command("keys", *arguments, stdout=out)
    return out.getvalue()


def sealed_rows():
    person = Contact.objects.keep({"name": "王先生", "phone": "13800001234"})
    connection = Connection(slug="wms-1", label="WMS", connector="generic", role="wms")
    connection.seal({"webhook": ["whsec_abc"]})
    connection.save()
    return person, connection


def test_missing_key_files_are_made_once_and_only_for_their_owner(tmp_path):
    assert preparation.make_keys(tmp_path / "keys") == [
        "django.key",
        "secrets.key",
        "fingerprint.key",
        "links.key",
    ]
    before = {file.name: file.read_text() for file in (tmp_path / "keys").iterdir()}

    assert preparation.make_keys(tmp_path / "keys") == []

    assert {file.name: file.read_text() for file in (tmp_path / "keys").iterdir()} == before
    assert {oct(file.stat().st_mode & 0o777) for file in (tmp_path / "keys").iterdir()} == {"0o600"}
    assert oct((tmp_path / "keys").stat().st_mode & 0o777) == "0o700"
    assert Fernet(before["secrets.key"].strip())
    assert len(set(before.values())) == 4


def test_status_tells_everything_but_the_keys(key_dir):
    (key_dir / "django.key").chmod(0o644)

    text, machine = keys("status"), json.loads(keys("status", "--json"))

    assert "others can read it" in text
    assert [(row["file"], row["mode"], row["private"], row["keys"]) for row in machine["files"]] == [
        ("django.key", "0644", False, 1),
        ("fingerprint.key", "0600", True, 1),
        ("links.key", "0600", True, 1),
        ("secrets.key", "0600", True, 1),
    ]
    for file in key_dir.glob("*.key"):
        assert file.read_text().strip() not in text + json.dumps(machine)


@pytest.mark.django_db
def test_rotation_seals_everything_with_a_new_secret_and_keeps_the_old_one(key_dir, settings):
    person, connection = sealed_rows()

    said = keys("rotate")

    newest, older = keyring.lines_of(key_dir / "secrets.key")
    assert older == OLD
    assert oct((key_dir / "secrets.key").stat().st_mode & 0o777) == "0o600"
    assert "Sealed 2 rows anew" in said
    assert newest not in said
    assert OLD not in said
    settings.ORDERHUB_SECRETS = [newest]
    person.refresh_from_db()
    connection.refresh_from_db()
    assert person.opened()["phone"] == "13800001234"
    assert connection.secrets() == {"webhook": ["whsec_abc"]}


@pytest.mark.django_db
def test_old_secrets_are_dropped_only_when_nothing_needs_them(key_dir, settings):
    sealed_rows()
    keys("rotate")
    newest, _older = keyring.lines_of(key_dir / "secrets.key")
    # A process that was not restarted yet seals with the old secret.
    late = Contact.objects.keep({"name": "李女士", "phone": "13900005678"})

    with pytest.raises(keyring.KeysRefused, match="1 rows are still sealed with an older secret"):
        keyring.drop_old_secrets(key_dir)
    assert len(keyring.lines_of(key_dir / "secrets.key")) == 2

    assert "Sealed 1 rows anew, dropped 1 older secrets" in keys("rotate", "--drop-old")
    assert keyring.lines_of(key_dir / "secrets.key") == [newest]
    settings.ORDERHUB_SECRETS = [newest]
    late.refresh_from_db()
    assert late.opened()["name"] == "李女士"


@pytest.mark.django_db
def test_a_known_person_stays_known_after_the_oldest_secret_is_dropped(key_dir, settings):
    person, _connection = sealed_rows()

    keys("rotate")
    keys("rotate", "--drop-old")
    settings.ORDERHUB_SECRETS = keyring.lines_of(key_dir / "secrets.key")

    assert Contact.objects.keep({"name": "王先生", "phone": "13800001234"}) == person


@pytest.mark.django_db
def test_resealing_refuses_a_row_that_no_secret_opens_and_keeps_it(key_dir, settings):
    person, _connection = sealed_rows()
    stranger = Fernet.generate_key().decode()

    with pytest.raises(keyring.KeysRefused, match=f"orders.Contact {person.pk} cannot be opened"):
        keyring.reseal([stranger])

    sealed = Contact.objects.get().sealed
    assert sealed == person.sealed
    with pytest.raises(InvalidToken):
        Fernet(stranger).decrypt(sealed)


def test_rotation_refuses_when_the_secrets_come_from_the_environment(key_dir, monkeypatch):
    monkeypatch.setitem(os.environ, "ORDERHUB_SECRETS", OLD)

    with pytest.raises(CommandError, match="The secrets come from ORDERHUB_SECRETS"):
        keys("rotate")

    assert keyring.lines_of(key_dir / "secrets.key") == [OLD]


def test_a_backup_holds_every_key_file_and_is_private(key_dir, tmp_path):
    keys("backup", str(tmp_path / "copy.tar"))

    assert oct((tmp_path / "copy.tar").stat().st_mode & 0o777) == "0o600"
    with tarfile.open(tmp_path / "copy.tar") as tar:
        found = {name: tar.extractfile(name).read() for name in tar.getnames()}
    assert found == {file.name: file.read_bytes() for file in key_dir.glob("*.key")}


def test_a_backup_never_overwrites_an_older_one(key_dir, tmp_path):
    (tmp_path / "copy.tar").write_text("the only copy")

    with pytest.raises(CommandError, match="exists already"):
        keys("backup", str(tmp_path / "copy.tar"))

    assert (tmp_path / "copy.tar").read_text() == "the only copy"


@pytest.mark.django_db
def test_what_customers_wrote_stays_readable_after_a_rotation(key_dir, settings):
    order = make_order()
    wishes.ask_message(order, "Where is it?", MONDAY)
    wishes.consent(order, "email", "a@example.org", MONDAY)

    keys("rotate")

    settings.ORDERHUB_SECRETS = keyring.lines_of(key_dir / "secrets.key")[:1]
    assert CustomerRequest.objects.get().opened() == "Where is it?"
    assert MessageConsent.objects.get().opened() == "a@example.org"
