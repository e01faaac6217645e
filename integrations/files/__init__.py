"""Files of orders on their way in.

An upload is kept under UPLOAD_DIR by its digest, recognised by content and name (opening.py), and unpacked by the
worker into one line per message (rows.py, workbook.py, unpacking.py). Slices of about five seconds (runs.work) put
these lines into the inbox, 500 in one transaction together with the place reached, so that a killed worker loses and
doubles nothing. Messages have form "row"; the body is the row as JSON, or the list of the rows of one order.

Rows are translated once, by the worker (integrations/ingest.py with connectors/rows.py), never while reading in.
What cannot even be read as a row (too many cells, a formula, a damaged number) becomes an ImportRowError at once;
what cannot be translated stays in the inbox as a failed message, to be replayed after the mapping was mended, and is
listed as an ImportRowError too. ingest says what became of messages by

    note_outcomes(done=[(message, number of new facts)], failed=[(message, problems)])

in the transaction that marks them, with message.errors as it was before; messages without a run are passed over.
A replayed message that succeeds takes its row off the list of errors.
"""

from __future__ import annotations

from integrations.files.errors import error_csv
from integrations.files.opening import FileRefused
from integrations.files.runs import (
    cancel,
    finish_if_settled,
    first_records,
    forget_uploads,
    keep,
    note_outcomes,
    records_by,
    safe_name,
    start_import,
    work,
)
from integrations.files.samples import samples_by, samples_from

__all__ = [
    "FileRefused",
    "cancel",
    "error_csv",
    "finish_if_settled",
    "first_records",
    "forget_uploads",
    "keep",
    "note_outcomes",
    "records_by",
    "safe_name",
    "samples_by",
    "samples_from",
    "start_import",
    "work",
]
