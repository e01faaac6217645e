"""Rows of the log for tests."""

from __future__ import annotations

from typing import Any

from promises.ledger import sequencer, writing
from promises.ledger.models import LogPending, SellerProfile, TransparencyLog

TEN = 1_780_000_000


def make_seller(**what_matters: Any) -> SellerProfile:
    """Who promises; there is one."""
    return SellerProfile.objects.create(
        **{
            "legal_name": "示例汽配有限公司",
            "uscc": "91330000MA0000000X",
            "slug": "parts",
            "hotline": "400-000-0000",
            "terms": "按承诺日期送达。",
            "terms_en": "Delivered by the promised date.",
            **what_matters,
        }
    )


def make_log(**what_matters: Any) -> TransparencyLog:
    """The seller's log, with nothing but its beginning in the queue."""
    if SellerProfile.the_one() is None:
        make_seller(**what_matters)
    return writing.log_of(is_demo=False)


def issue_body(number: int = 1, *, due: int = TEN + 86_400, **what_matters: Any) -> dict[str, Any]:
    return {
        "nh": f"{number:064x}",
        "ph": f"{number + 1:064x}",
        "pdf": f"{number + 2:064x}",
        "due": due,
    } | what_matters


def queue_issue(log: TransparencyLog, number: int = 1, **what_matters: Any) -> LogPending:
    return writing.queue(log, "issue", issue_body(number, **what_matters), dedup=f"issue {number}")


def queue_outcome(log: TransparencyLog, about: LogPending, **what_matters: Any) -> LogPending:
    body = {"k": "delivered", "at": TEN, "src": "carrier", "ev": "e" * 64} | what_matters
    return writing.queue(log, "outcome", body, dedup=f"outcome {about.pk}", about=about)


def make_entries(log: TransparencyLog, n: int) -> None:
    """So many issues, written by the sequencer."""
    for number in range(n):
        queue_issue(log, number)
    sequencer.sweep()
