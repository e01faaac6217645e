"""Processes that send real HTTP, on the same cores as everything else."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple

RETRY_AFTER = 0.05
GIVES_UP_AFTER = 90.0


class Request(NamedTuple):
    """One request.

    n_items: what a 2xx acknowledges. not_before: seconds after the start, 0 = at once. secret: each try is signed
    with it as a webhook called message_id; a signature made beforehand would be stale.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    n_items: int
    not_before: float = 0.0
    secret: str = ""
    message_id: str = ""


@dataclass
class Sent:
    """What the senders saw. seconds: of each answered request. acknowledged: (sender, place) of requests answered with 2xx."""

    seconds: list[float] = field(default_factory=list)
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    n_items: int = 0
    n_retries: int = 0
    refused: list[str] = field(default_factory=list)


class Senders:
    """One process for each list of requests; each keeps one connection open and sends its list in order."""

    def __init__(self, port: int, work: Sequence[Sequence[Request]]) -> None:
        # The children must not share a database connection with us.
        from django.db import connections

        connections.close_all()
        fork = multiprocessing.get_context("fork")
        self.began = time.monotonic()
        self.pipes: list[Pipe] = []
        self.processes = []
        for requests in work:
            ours, theirs = fork.Pipe(duplex=False)
            process = fork.Process(target=_send_all, args=(port, requests, self.began, theirs), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def is_sending(self) -> bool:
        return any(
            process.is_alive() and not pipe.poll()
            for process, pipe in zip(self.processes, self.pipes, strict=True)
        )

    def wait(self) -> Sent:
        """What was sent, once all have finished."""
        all_sent = Sent()
        for number, (pipe, process) in enumerate(zip(self.pipes, self.processes, strict=True)):
            seconds, acknowledged, n_items, n_retries, refused = pipe.recv()
            process.join()
            all_sent.seconds += seconds
            all_sent.acknowledged |= {(number, place) for place in acknowledged}
            all_sent.n_items += n_items
            all_sent.n_retries += n_retries
            all_sent.refused += refused
        return all_sent


def dealt(requests: Sequence[Request], n_senders: int) -> list[list[Request]]:
    """The requests in turn to each of the senders."""
    return [list(requests[number::n_senders]) for number in range(n_senders)]


def _send_all(port: int, requests: Sequence[Request], began: float, pipe: Pipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seconds: list[float] = []
    acknowledged: list[int] = []
    refused: list[str] = []
    n_items = n_retries = 0
    for place, request in enumerate(requests):
        wait = began + request.not_before - time.monotonic()
        if request.not_before and wait > 0:
            time.sleep(wait)
        status, answer, took, tries = _send(line, request)
        n_retries += tries - 1
        seconds.append(took)
        if 200 <= status < 300:
            acknowledged.append(place)
            n_items += request.n_items
            if b'"refused"' in answer:
                refused.append(answer[:600].decode(errors="replace"))
        else:
            refused.append(f"{status}: {answer[:300].decode(errors='replace')}")
    pipe.send((seconds, acknowledged, n_items, n_retries, refused[:20]))
    pipe.close()
    # Past the handlers that were forked with us.
    os._exit(0)


def _send(line: http.client.HTTPConnection, request: Request) -> tuple[int, bytes, float, int]:
    """(status, answer, seconds of the last try, tries). As a real sender: what failed on the way is sent again."""
    tries, until = 0, time.monotonic() + GIVES_UP_AFTER
    while True:
        tries += 1
        began = time.monotonic()
        try:
            line.request("POST", request.path, request.body, _headers(request))
            response = line.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            line.close()
        else:
            if response.status not in {429, 500, 502, 503} or time.monotonic() > until:
                return response.status, answer, time.monotonic() - began, tries
        if time.monotonic() > until:
            return 0, b"gave up", time.monotonic() - began, tries
        time.sleep(RETRY_AFTER)


def _headers(request: Request) -> dict[str, str]:
    if not request.secret:
        return request.headers
    from integrations.signatures import sign

    at = int(time.time())
    signature = sign(request.secret, request.message_id, at, request.body)
    return {
        **request.headers,
        "webhook-id": request.message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
    }
