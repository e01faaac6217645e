"""Genuine and mutated commitments put to the script of the verify page, in a real browser. Needs the packages for tests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orderhub import env

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from promises.tests.cases import Case, World

# Nobody listens there: every answer is given by hand. Browsers have cryptography on this address.
ADDRESS = "http://127.0.0.1:9/"
SCRIPT = env.ROOT / "orderhub" / "static" / "orderhub" / "verify.js"
WORDS = ("same", "bytes", "other", "broken", "unable", "working")
PAGE = """<!doctype html><title>verify</title>
<section id="file" data-sha256="{sha256}" data-token="{token}" data-proof="/proof" data-keys="/keys" {words}>
<p hidden><input id="pdf" type="file"></p><p id="file-verdict" hidden></p></section><script src="/verify.js"></script>"""
ENDED = "#file-verdict.verdict-ok, #file-verdict.verdict-danger, #file-verdict.verdict-stale"


@dataclass(frozen=True, slots=True)
class Put:
    """One case as the page meets it: the file in somebody's hands, and what the server gives beside it."""

    case: Case
    paper: bytes
    proof: str
    sha256: str
    token: str


def puts(world: World, n: int) -> list[Put]:
    """n genuine and n mutated ones of those cases in which there is a paper, a proof and a code."""
    from promises.tests.cases import cases

    found: dict[bool, list[Put]] = {True: [], False: []}
    # Between a half and two thirds of all have the three.
    for case in cases(3 * n, world):
        if len(found[case.exit == 0]) < n and (put := _put(case)) is not None:
            found[case.exit == 0].append(put)
    return [*found[True], *found[False]]


def _put(case: Case) -> Put | None:
    given = dict(case.files)
    if {"paper.pdf", "paper.tlog-proof"} - given.keys():
        return None
    proof = given["paper.tlog-proof"].decode("utf-8", "surrogateescape")
    said = _extra(proof)
    token = re.sub(r"^.*/V/|/$", "", case.texts[0]) if case.texts else said.get("token", "")
    if not token:
        return None
    return Put(case, given["paper.pdf"], proof, _logged(said, given["paper.pdf"]), token)


def _extra(proof: str) -> dict[str, Any]:
    line = proof.split("\n")[1].removeprefix("extra ")
    found: dict[str, Any] = json.loads(base64.b64decode(line))
    return found


def _logged(said: dict[str, Any], paper: bytes) -> str:
    """What the server's page names: the fingerprint that the entry holds."""
    return str(json.loads(said["entry"]).get("pdf") or hashlib.sha256(paper).hexdigest())


def verdicts(page: Page, world: World, n: int) -> Iterator[tuple[Put, bool]]:
    """Each case, and whether the browser turned green."""
    served: dict[str, tuple[str, str]] = {
        "keys": ("text/plain", world.log.keys()),
        "verify.js": ("text/javascript", SCRIPT.read_text(encoding="utf-8")),
    }

    def answer(route: Route) -> None:
        kind, body = served[route.request.url.removeprefix(ADDRESS)]
        route.fulfill(content_type=f"{kind}; charset=utf-8", body=body)

    page.route(f"{ADDRESS}**", answer)
    words = " ".join(f'data-{word}="{word}"' for word in WORDS)
    for put in puts(world, n):
        served["proof"] = ("text/plain", put.proof)
        served["page"] = ("text/html", PAGE.format(sha256=put.sha256, token=put.token, words=words))
        page.goto(f"{ADDRESS}page")
        paper: Any = {"name": "paper.pdf", "mimeType": "application/pdf", "buffer": put.paper}
        page.locator("#pdf").set_input_files(paper)
        page.locator(ENDED).wait_for()
        yield put, page.locator("#file-verdict.verdict-ok").count() == 1
