"""A log, its keys and its papers made by hand, for tests of those who check them."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from promises import canonical, merkle, notes, numbers, proofs, token
from promises.ledger import entries
from promises.tests.promise import payload

ORIGIN = "promises.example.com/t/demo"
BEGIN = 1_763_775_000
DAY = 86_400


def secret(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


class SmallLog:
    """Entries in memory. Seeds make the keys, so that two logs can be told apart or pass for one."""

    def __init__(self, origin: str = ORIGIN, *, log_seed: int = 1, token_seed: int = 2) -> None:
        self.origin, self.log_key, self.token_key = origin, secret(log_seed), secret(token_seed)
        self.witness = secret(9)
        self.entries: list[bytes] = []
        self.add(
            "genesis",
            entity={"name": "示例汽配有限公司", "uscc": "91330000MA0000000X"},
            origin=origin,
            log=self.verifier.vkey,
            token=self.token_vkey,
            policy={"mmd": 600, "grace": 259_200, "visibility": "public"},
            previous=None,
        )

    # Keys.

    @property
    def verifier(self) -> notes.Verifier:
        return notes.verifier_of(self.origin, self.log_key)

    @property
    def token_vkey(self) -> str:
        public = self.token_key.public_key().public_bytes_raw()
        key_id = token.key_id(self.origin, public).hex()
        kind = base64.b64encode(bytes([0xFF]) + token.KEY_KIND + public).decode()
        return f"{self.origin}+{key_id}+{kind}"

    @property
    def witness_verifier(self) -> notes.Verifier:
        return notes.verifier_of("witness.example.org", self.witness, notes.COSIGNATURE)

    def keys(self) -> str:
        return f"{self.verifier.vkey}\n{self.token_vkey}\n"

    def policy(self, quorum: str = "none") -> str:
        lines = [
            f"log {self.verifier.vkey}",
            f"# token {self.token_vkey}",
            f"witness w1 {self.witness_verifier.vkey}",
            f"quorum {quorum}",
        ]
        return "\n".join(lines) + "\n"

    # Entries.

    def add(self, kind: str, *, ts: int = BEGIN, ref: int | None = None, **body: Any) -> int:
        entries.check(kind, body)
        self.entries.append(entries.encode(kind, body, index=len(self.entries), ts=ts, ref=ref))
        return len(self.entries) - 1

    def issue(self, promise: Promised, **changed: Any) -> int:
        nh = hashlib.sha256(b"no\n" + promise.said["no"].encode()).hexdigest()
        body = {"nh": nh, "ph": promise.ph, "pdf": promise.pdf_hash, "due": promise.said["due"], **changed}
        return self.add("issue", ts=promise.said["issued_at"] + 2, **body)

    def _read(self, level: int, index: int) -> bytes:
        size = 1 << level
        leaves = [merkle.leaf_hash(one) for one in self.entries[index * size : (index + 1) * size]]
        while len(leaves) > 1:
            leaves = [merkle.node_hash(*leaves[at : at + 2]) for at in range(0, len(leaves), 2)]
        return leaves[0]

    def root(self, size: int | None = None) -> bytes:
        return merkle.root(len(self.entries) if size is None else size, self._read)

    def head(self, size: int | None = None, *, is_witnessed: bool = False) -> str:
        size = len(self.entries) if size is None else size
        found = notes.Checkpoint(self.origin, size, self.root(size))
        signed = (
            notes.cosign(str(found), "witness.example.org", self.witness, BEGIN + DAY)
            if is_witnessed
            else None
        )
        return notes.write_checkpoint(found, [self.log_key], [signed] if signed else [])

    def proof(self, index: int, *, since: int | None = None, is_witnessed: bool = False, **extra: str) -> str:
        size = len(self.entries)
        said: dict[str, Any] = {"entry": self.entries[index].decode(), **extra}
        if since is not None:
            steps = merkle.consistency(since, size, self._read)
            said["continued"] = [{"old": since, "path": [base64.b64encode(one).decode() for one in steps]}]
        path = tuple(merkle.inclusion(index, size, self._read))
        written = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
        return str(proofs.ProofFile(index, path, self.head(is_witnessed=is_witnessed), written))

    def jsonl(self) -> bytes:
        return b"\n".join(self.entries) + b"\n"


class Promised:
    """One promise in all its forms: payload, token, PDF."""

    def __init__(self, log: SmallLog, *, has_link: bool = False, **changed: Any) -> None:
        self.said = payload(log=log.origin, **changed)
        self.data = canonical.encode(self.said)
        self.ph = canonical.digest(self.data)
        self.token = token.sign(
            log.origin,
            log.token_key,
            number=self.said["no"],
            issued_at=self.said["issued_at"],
            due=self.said["due"],
            ph=bytes.fromhex(self.ph),
        )
        self.text = token.to_text(self.token)
        self.pdf = pdf(self.data, link=f"HTTPS://P.EXAMPLE.COM/V/{self.text}" if has_link else "")
        self.pdf_hash = hashlib.sha256(self.pdf).hexdigest()


def number(n: int) -> str:
    """A number of its own for each n."""
    return numbers.encode(hashlib.sha256(str(n).encode()).digest()[:10])


# Papers.


def _stream(about: str, content: bytes) -> bytes:
    packed = zlib.compress(content)
    return b"<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream" % (
        about.encode(),
        len(packed),
        packed,
    )


def pdf(attached: bytes, *, name: str = "commitment.json", link: str = "", is_packed: bool = True) -> bytes:
    """A whole little PDF with an attachment; packed: objects in a stream and the table as one, as newer writers do."""
    loose = {
        1: b"<</Type/Catalog/Pages 2 0 R/Names<</EmbeddedFiles<</Names[(a) 4 0 R]>>>>/AF[4 0 R]>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[<</A<</S/URI/URI(%s)>>>>]>>"
        % link.encode(),
        4: b"<</Type/Filespec/F(%s)/UF(%s)/EF<</F 5 0 R>>/AFRelationship/Source>>"
        % (name.encode(), name.encode()),
    }
    streams = {5: _stream("/Type/EmbeddedFile", attached)}
    return _packed(loose, streams) if is_packed else _plain({**loose, **streams})


def _body(objects: dict[int, bytes]) -> tuple[bytes, dict[int, int]]:
    data, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", {}
    for key, content in objects.items():
        places[key] = len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (key, content)
    return data, places


def _plain(objects: dict[int, bytes]) -> bytes:
    data, places = _body(objects)
    rows = b"".join(b"%010d 00000 n \n" % places[key] for key in sorted(places))
    table = b"xref\n0 1\n0000000000 65535 f \n1 %d\n%s" % (len(places), rows)
    end = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, len(data))
    return data + table + end


def _packed(loose: dict[int, bytes], streams: dict[int, bytes]) -> bytes:
    top, content = b"", b""
    for key, value in loose.items():
        top += b"%d %d " % (key, len(content))
        content += value + b" "
    data, places = _body(
        {**streams, 6: _stream(f"/Type/ObjStm/N {len(loose)}/First {len(top)}", top + content)}
    )
    places[7] = len(data)
    rows = [bytes(6)]
    for key in range(1, 8):
        packed = list(loose).index(key) if key in loose else -1
        kind, first, second = (2, 6, packed) if packed >= 0 else (1, places[key], 0)
        rows.append(bytes([kind]) + first.to_bytes(4, "big") + bytes([second]))
    table = _stream("/Type/XRef/Size 8/W[1 4 1]/Root 1 0 R", b"".join(rows))
    return data + b"7 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, places[7])
