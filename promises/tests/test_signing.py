"""The paper's own signature, as readers of PDFs judge it; what the hub itself believes does not hang on it."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path

import pytest
import time_machine
from cryptography import x509
from django.core.management import CommandError, call_command
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from orderhub import checks
from promises.document import Unprintable, signed, signer, signing
from promises.ledger.models import SellerProfile
from promises.tests.authority import authority
from promises.tests.factories_commitments import issued
from promises.tests.factories_ledger import make_seller
from promises.tests.test_document import attached, paper, picture, read, texts
from promises.verification import verify

SELLER, USCC = "样例汽配有限公司", "91330000MA0000000X"
NOW = datetime.now(UTC)


@pytest.fixture
def file(settings, tmp_path) -> Path:
    settings.PAPER_SIGNER = str(tmp_path / "signer.pem")
    settings.PAPER_TSA_URL = ""
    Path(settings.PAPER_SIGNER).write_bytes(signing.made(SELLER, USCC, NOW))
    os.chmod(settings.PAPER_SIGNER, 0o600)
    return Path(settings.PAPER_SIGNER)


def judged(pdf: bytes, file: Path):
    """What a reader says that trusts this certificate."""
    roots = list(load_certs_from_pemder_data(file.read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2]))
    (signature,) = PdfFileReader(BytesIO(pdf)).embedded_signatures
    return validate_pdf_signature(signature, ValidationContext(trust_roots=roots, allow_fetching=False))


def is_stamped(pdf: bytes) -> bool:
    (signature,) = PdfFileReader(BytesIO(pdf)).embedded_signatures
    beside = signature.signer_info["unsigned_attrs"]
    return any(one["type"].native == "signature_time_stamp_token" for one in beside)


def test_a_reader_finds_the_sellers_signature_over_the_whole_paper(file):
    plain = paper()

    found = signed(plain, signer())

    said = judged(found, file)
    assert (said.intact, said.valid, said.trusted, said.docmdp_ok, said.bottom_line) == (True,) * 5
    assert said.coverage.name == "ENTIRE_FILE"
    assert said.signing_cert.subject.native["organization_name"] == SELLER
    assert said.signing_cert.subject.native["organization_identifier"] == USCC
    # No byte of the paper was touched: the signature stands behind it.
    assert found.startswith(plain)
    assert len(found) - len(plain) < 20_000


def test_a_signed_paper_is_read_as_any_other(file):
    found = signed(paper(), signer())

    assert attached(found).keys() == {"commitment.json"}
    assert read(picture(found)) == read(picture(paper()))
    assert texts(found) == texts(paper())
    assert verify.Pdf(found).attachments() == verify.Pdf(paper()).attachments()


def test_what_is_added_to_a_signed_paper_is_not_certified(file):
    found = signed(paper(), signer())
    writer = IncrementalPdfFileWriter(BytesIO(found))
    writer.root["/OpenAction"] = writer.root["/Pages"]
    writer.update_root()
    changed = BytesIO()
    writer.write(changed)

    said = judged(changed.getvalue(), file)

    assert (said.docmdp_ok, said.bottom_line) == (False, False)
    assert hashlib.sha256(changed.getvalue()).digest() != hashlib.sha256(found).digest()


def test_one_changed_byte_breaks_the_signature(file):
    found = bytearray(signed(paper(), signer()))
    place = found.index(b"/Title")
    found[place + 1] ^= 1

    said = judged(bytes(found), file)

    assert (said.intact, said.bottom_line) == (False, False)


def test_an_authority_stamps_the_signature_where_one_is_named(file, settings, tmp_path):
    (tmp_path / "tsa").mkdir()
    with authority(tmp_path / "tsa") as it:
        settings.PAPER_TSA_URL = it.url

        found = signed(paper(), signer())

    assert it.asked
    assert is_stamped(found)
    assert judged(found, file).intact


@pytest.mark.parametrize("manner", ["busy", "garbage"])
def test_a_paper_does_not_wait_for_an_authority_that_fails(file, settings, tmp_path, caplog, manner):
    (tmp_path / "tsa").mkdir()
    with authority(tmp_path / "tsa") as it:
        settings.PAPER_TSA_URL, it.manner = it.url, manner

        found = signed(paper(), signer())

    assert not is_stamped(found)
    assert judged(found, file).bottom_line
    assert "no time stamp" in caplog.text


def test_without_a_file_nothing_is_signed(settings):
    settings.PAPER_SIGNER = ""

    assert signer() is None


@pytest.mark.parametrize("content", [None, b"", b"no key", "two houses"])
def test_a_file_that_cannot_sign_is_refused_and_told_at_the_start(file, content):
    if content is None:
        file.unlink()
    elif content == "two houses":
        mine, other = (signing.made(SELLER, USCC, NOW) for _time in range(2))
        cut = b"-----BEGIN CERTIFICATE-----"
        file.write_bytes(mine.partition(cut)[0] + cut + other.partition(cut)[2])
    else:
        file.write_bytes(content)

    with pytest.raises(Unprintable, match="ORDERHUB_PAPER_SIGNER"):
        signer()
    assert [one.id for one in checks.run_rules() if "PAPER_SIGNER" in one.msg] == ["orderhub.E025"]


def test_a_certificate_that_ends_is_told_in_time_and_signs_no_more_after(file):
    day = timedelta(days=1)
    end = NOW + 365 * signing.YEARS * day
    with time_machine.travel(end - 40 * day, tick=False):
        assert not [one for one in checks.run_rules() if one.id == "orderhub.W003"]
    with time_machine.travel(end - 20 * day, tick=False):
        assert [one for one in checks.run_rules() if one.id == "orderhub.W003"]
        assert signer()
    with time_machine.travel(end + day, tick=False), pytest.raises(Unprintable, match="ended on"):
        signer()


def test_another_file_in_its_place_is_used_at_once(file):
    before = signer().serial
    file.write_bytes(signing.made(SELLER, USCC, NOW))

    assert signer().serial != before


@pytest.mark.django_db
def test_the_command_makes_a_key_for_the_seller_that_nobody_else_can_read(settings, tmp_path):
    seller = make_seller()
    target = tmp_path / "signer.pem"
    said = StringIO()

    call_command("paper_key", str(target), stdout=said)

    assert target.stat().st_mode & 0o777 == 0o600
    (certificate,) = x509.load_pem_x509_certificates(target.read_bytes())
    names = {one.rfc4514_attribute_name: one.value for one in certificate.subject}
    assert names["O"] == seller.legal_name
    assert f"ORDERHUB_PAPER_SIGNER={target}" in said.getvalue()
    settings.PAPER_SIGNER = str(target)
    assert signer().serial == f"{certificate.serial_number:x}"
    with pytest.raises(CommandError, match="Nothing was written"):
        call_command("paper_key", str(target))


@pytest.mark.django_db
def test_without_a_seller_the_command_says_what_is_missing(tmp_path):
    SellerProfile.objects.all().delete()

    with pytest.raises(CommandError, match="Promises > Seller"):
        call_command("paper_key", str(tmp_path / "signer.pem"))
    assert not (tmp_path / "signer.pem").exists()


@pytest.mark.django_db
def test_an_issued_paper_carries_the_signature_and_its_serial_number(file):
    promise = issued()

    content = promise.file.full_path.read_bytes()
    assert judged(content, file).bottom_line
    assert signer().serial in "".join(texts(content)).replace(" ", "")
    assert hashlib.sha256(content).hexdigest() == promise.file.sha256
