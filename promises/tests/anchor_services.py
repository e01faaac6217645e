"""A calendar and a notarisation chain for tests: real HTTP on loopback, strict about what they are asked, rude on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpPrepend, OpSHA256
from opentimestamps.core.serialize import BytesSerializationContext
from opentimestamps.core.timestamp import Timestamp

BLOCK = 900_001
SECRET, ACCESS_KEY = "accesskeysecret01", "AKexample"


class Place(ThreadingHTTPServer):
    """manner: "" answers rightly; "busy", "cut", "garbage" and "other" as their names say. is_done: the block is there."""

    manner, is_done = "", False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.stored: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def place() -> Iterator[Place]:
    server = Place()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Place

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_said: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        if self.server.manner == "busy":
            self.send_error(503)
            return
        if self.server.manner == "garbage":
            status, data = 200, b"\xf1\xff\xff no such thing"
        elif path == "/gateway.do":
            status, data = 200, self._chain(body)
        else:
            status, data = self._calendar(path, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) + (9 if self.server.manner == "cut" else 0)))
        self.end_headers()
        self.wfile.write(data)

    def _calendar(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self.headers["Accept"] != "application/vnd.opentimestamps.v1":
            return 406, b""
        if path == "/digest":
            if len(body) != 32:
                return 400, b""
            stamp = Timestamp(body)
            stamp.ops.add(OpPrepend(b"calendar")).ops.add(OpSHA256()).attestations.add(
                PendingAttestation(self.server.url)
            )
            return 200, _written(stamp)
        asked = bytes.fromhex(path.removeprefix("/timestamp/"))
        if not self.server.is_done:
            return 404, b""
        stamp = Timestamp(asked)
        stamp.ops.add(OpSHA256()).attestations.add(BitcoinBlockHeaderAttestation(BLOCK))
        return 200, _written(stamp)

    def _chain(self, body: bytes) -> bytes:
        query = dict(parse_qsl(urlsplit(self.path).query))
        form = dict(parse_qsl(body.decode()))
        given = query.pop("sign")
        text = "&".join(
            f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted({**query, **form}.items())
        )
        said = {"req_msg_id": query["req_msg_id"], "result_code": "OK", "result_msg": "好的"}
        if given != _mac(text) or query["access_key"] != ACCESS_KEY:
            said["result_code"] = "SIGN_ERROR"
        elif query["method"] == "twc.notary.text.create":
            transaction = hashlib.sha256(form["notary_content"].encode()).hexdigest()
            self.server.stored[transaction] = form["notary_content"]
            said["tx_hash"] = transaction
        else:
            said |= {"tx_hash": form["tx_hash"], "notary_content": self.server.stored[form["tx_hash"]]}
            if self.server.manner == "other":
                said["notary_content"] = '{"sha256":"ff"}'
            if self.server.is_done:
                said |= {"block_height": "77", "block_hash": "ab" * 32, "block_time": "1780279200000"}
        answer = json.dumps(said, ensure_ascii=False)
        return f'{{"response":{answer},"sign":"{_mac(answer)}"}}'.encode()


def _mac(text: str) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _written(stamp: Timestamp) -> bytes:
    data = BytesSerializationContext()
    stamp.serialize(data)
    return data.getbytes()
