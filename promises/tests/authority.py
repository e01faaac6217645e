"""A time-stamp authority for tests: real HTTP on loopback, real stamps made by OpenSSL, and bad manners on demand."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONFIG = """
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@dataclass
class Authority:
    """manner: "" answers rightly; "other" gives the stamp of its first question; "garbage" and "busy" say themselves."""

    folder: Path
    manner: str = ""
    asked: list[bytes] = field(default_factory=list)
    url: str = ""

    @property
    def roots(self) -> Path:
        return self.folder / "root.pem"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _make_key(*, is_curve: bool) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if is_curve:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_certificates(folder: Path, *, has_middle: bool = False, is_curve: bool = False) -> None:
    """A root, and under it a certificate that may do nothing but stamp; between them one more, if there is a middle."""
    keys = {name: _make_key(is_curve=is_curve) for name in ("root", "middle", "signer")}
    begun = datetime.now(UTC) - timedelta(days=1)

    def certificate(
        subject: str, issuer: str, *extensions: tuple[x509.ExtensionType, bool]
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            _name(f"test {issuer}"),
            _name(f"test {subject}" + " of an authority with a long name" * (subject == "signer")),
            keys[subject].public_key(),
            x509.random_serial_number(),
            begun,
            begun + timedelta(days=3650),
        )
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(keys[issuer], hashes.SHA256())

    is_above = (x509.BasicConstraints(ca=True, path_length=None), True)
    stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    made = {
        "root": certificate("root", "root", is_above),
        "middle": certificate("middle", "root", is_above),
        "signer": certificate(
            "signer",
            "middle" if has_middle else "root",
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (stamping, True),
        ),
    }
    pem = serialization.Encoding.PEM
    for name in ("root", "signer", *(["middle"] if has_middle else [])):
        (folder / f"{name}.pem").write_bytes(made[name].public_bytes(pem))
    (folder / "key.pem").write_bytes(
        keys["signer"].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))


def stamp(folder: Path, question: bytes) -> bytes:
    (folder / "question").write_bytes(question)
    command = [
        "openssl",
        "ts",
        "-reply",
        "-queryfile",
        "question",
        "-signer",
        "signer.pem",
        "-inkey",
        "key.pem",
    ]
    command += ["-config", "tsa.cnf", "-section", "it", "-out", "reply"]
    if (folder / "middle.pem").exists():
        # Those above the signer are sent along in the order of the chain, as authorities do.
        command += ["-chain", "middle.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "reply").read_bytes()


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    make_certificates(folder)
    it = Authority(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            it.asked.append(question)
            is_right = self.headers["Content-Type"] == "application/timestamp-query"
            if it.manner == "busy" or not is_right:
                self.send_error(503 if is_right else 415)
                return
            body = b"<html>no</html>" if it.manner == "garbage" else stamp(folder, question)
            if it.manner == "other":
                body = stamp(folder, it.asked[0])
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
