"""The paper's own signature, for readers of PDFs: PAdES by a certificate of the seller, which lets nothing be changed after.

Optional: what a commitment is believed by is its code and the log. Off until ORDERHUB_PAPER_SIGNER names a file.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext

from promises.document.faces import Unprintable

logger = logging.getLogger(__name__)

FIELD = "Signature"
# As long as a certificate made here is good. Papers signed before its end stay good by the log's time.
YEARS = 5
_TSA_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Signer:
    """Key and certificates as PEM, its own first. serial: in hexadecimal, as readers of PDFs show it."""

    key: bytes
    chain: tuple[bytes, ...]
    serial: str
    until: datetime


def current() -> Signer | None:
    """Who signs papers now; None where nobody is to. Raises Unprintable where the file cannot be used."""
    name = settings.PAPER_SIGNER
    if not name:
        return None
    file = Path(name)
    try:
        found = _read(str(file), file.stat().st_mtime_ns)
    except (OSError, ValueError, TypeError) as broken:
        raise Unprintable(
            gettext(
                "ORDERHUB_PAPER_SIGNER names %(file)s, which holds no key with its certificate (PEM). "
                "Put the file back, or take the setting out to issue without a signature."
            )
            % {"file": file.name}
        ) from broken
    if found.until < now():
        raise Unprintable(
            gettext(
                "The certificate that signs papers ended on %(day)s. "
                "Put a new one into %(file)s, or take ORDERHUB_PAPER_SIGNER out."
            )
            % {"day": found.until.date().isoformat(), "file": file.name}
        )
    return found


@lru_cache(maxsize=1)
def _read(name: str, _mtime: int) -> Signer:
    """Once a process and version of the file. Raises ValueError for what is no key with its certificate."""
    data = Path(name).read_bytes()
    key = load_pem_private_key(data, password=None)
    chain = x509.load_pem_x509_certificates(data)
    if key.public_key() != chain[0].public_key():
        raise ValueError("the first certificate is of another key")
    return Signer(
        key=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        chain=tuple(one.public_bytes(Encoding.DER) for one in chain),
        serial=f"{chain[0].serial_number:x}",
        until=chain[0].not_valid_after_utc,
    )


def signed(pdf: bytes, signer: Signer) -> bytes:
    """The paper with its signature behind it: no byte before it changes, and none may be added after.

    The bytes hold the time and a signature that is drawn: unlike an unsigned paper they are never the same twice.
    """
    # Here: it takes a quarter of a second to load, and most houses sign no papers.
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers

    certified = signers.PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=fields.SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
    )

    def written(stamper: Any) -> bytes:
        writer = IncrementalPdfFileWriter(BytesIO(pdf))
        work = signers.PdfSigner(certified, _with(signer), timestamper=stamper)
        return bytes(work.sign_pdf(writer).getvalue())

    if not settings.PAPER_TSA_URL:
        return written(None)
    from pyhanko.sign.timestamps import TimestampRequestError
    from pyhanko.sign.timestamps.requests_client import HTTPTimeStamper

    try:
        stamper: Any = HTTPTimeStamper(settings.PAPER_TSA_URL, timeout=_TSA_SECONDS)  # type: ignore[no-untyped-call]
        return written(stamper)
    except (TimestampRequestError, OSError, ValueError) as silent:
        # The paper does not wait for strangers: the log's own time stamps bound when it was made.
        logger.warning("no time stamp for a paper's signature", extra={"why": str(silent)[:200]})
        return written(None)


def _with(signer: Signer) -> Any:
    from asn1crypto import keys
    from asn1crypto import x509 as asn1
    from pyhanko.sign.signers import SimpleSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    own, *others = (asn1.Certificate.load(one) for one in signer.chain)
    store: Any = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(others)
    return SimpleSigner(
        signing_cert=own, signing_key=keys.PrivateKeyInfo.load(signer.key), cert_registry=store
    )


def made(seller: str, uscc: str, at: datetime) -> bytes:
    """A new P-256 key with a certificate that it signs itself, as PEM. Readers will say that they do not know who vouches."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, seller[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, uscc),
            x509.NameAttribute(NameOID.COMMON_NAME, seller[:64]),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(at + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + certificate.public_bytes(Encoding.PEM)
