"""/v/file/: a PDF sent by browsers that cannot hash it themselves. It is judged, and nothing of it stays."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from orders import append_only
from orders.tests.factories import after
from promises.commitments.models import PromiseFile
from promises.tests.factories_verification import make_filed, paper_of
from promises.verification import files

pytestmark = pytest.mark.django_db

MONDAY_11 = after(2)


@pytest.fixture(autouse=True)
def _house(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    settings.KEY_DIR = tmp_path
    settings.LEDGER_DIR = tmp_path / "ledger"
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)


def send(content: bytes, *, field: str = "pdf") -> HttpResponse:
    sent = {field: SimpleUploadedFile("paper.pdf", content, "application/pdf")}
    with time_machine.travel(MONDAY_11, tick=False):
        return Client(enforce_csrf_checks=True).post("/v/file/", sent, query_params={"lang": "en"})


def shown(response: HttpResponse) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_the_form_offers_to_send_a_file_and_says_where_it_goes():
    page = Client().get("/v/", {"lang": "en"})

    form = re.search(r'<form method="post".*?</form>', page.content.decode(), re.DOTALL)[0]
    assert 'action="/v/file/" enctype="multipart/form-data"' in form
    assert 'name="pdf" type="file"' in form
    assert "sends it to this server, which hashes it and keeps nothing" in form
    assert "csrftoken" not in page.cookies
    assert Client().get("/v/file/").headers["Location"] == "/v/"


def test_the_paper_that_was_issued_is_judged_as_its_code_and_one_byte_more_is_not_ours():
    promise = make_filed()
    genuine, changed = paper_of(promise), paper_of(promise) + b" "

    found, other = send(genuine), send(changed)

    assert found.status_code == 200
    assert "Genuine, in force" in shown(found)
    assert "byte for byte, the one that was issued" in shown(found)
    assert promise.shown_number in shown(found)
    assert shown(found).index("byte for byte") < shown(found).index("Compare with your paper")
    assert (other.status_code, "Not a file of ours" in shown(other)) == (404, True)
    assert hashlib.sha256(changed).hexdigest() in shown(other)
    assert promise.shown_number not in shown(other)
    assert "no-store" in found["Cache-Control"]
    assert len(found.content) <= 15_000


def test_a_record_that_the_log_contradicts_makes_no_file_genuine():
    promise = make_filed()
    forged = hashlib.sha256(b"%PDF-other").hexdigest()
    with append_only.lifted():
        PromiseFile.objects.filter(promise=promise).update(sha256=forged)

    response = send(b"%PDF-other")

    assert response.status_code == 503
    assert "Cannot be checked now" in shown(response)
    assert promise.shown_number not in shown(response)


def test_nothing_of_a_sent_file_is_kept_and_a_large_one_is_not_read(tmp_path):
    before = kept(tmp_path)

    three = send(bytes(3 * 1024 * 1024))
    large = send(bytes(files.MOST + 1))

    assert (three.status_code, large.status_code) == (404, 413)
    assert "smaller than 4 MB; this one was not read" in shown(large)
    assert kept(tmp_path) == before


def kept(folder: Path) -> set[str]:
    """All files but the counts of tries."""
    return {str(file) for file in folder.rglob("*") if file.is_file() and file.name != "verify-counts"}


def test_a_form_without_a_file_says_what_is_missing():
    assert Client().generic("POST", "/v/file/").status_code == 400
    assert send(b"").status_code == 400
    assert "Choose the PDF of the commitment first." in shown(send(b"%PDF-1.7", field="other"))


def test_sending_files_is_counted_with_trying_numbers(settings):
    settings.VERIFY_PER_MINUTE = 3
    with time_machine.travel(MONDAY_11, tick=False):
        Client().get("/v/0000")

    answers = [send(b"%PDF-1.7") for _time in range(3)]

    assert [one.status_code for one in answers] == [404, 404, 429]
    assert answers[2]["Retry-After"] == "60"
