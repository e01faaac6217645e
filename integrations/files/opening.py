"""Opens an uploaded file safely: what it really is, how it is encoded, and how much of it is read at most."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.conf import settings

from integrations.told import told as _

MIB = 1024 * 1024
MAX_UNPACKED = 1024 * MIB
# Tables of text pack 5 to 40 times; beyond this ratio somebody wants to fill the memory.
MAX_RATIO = 200
RATIO_COUNTS_FROM = 10 * MIB
MAX_LINE = 1_000_000

TABLE, WORKBOOK, RECORDS = "table", "workbook", "records"
BY_ENDING = {
    ".csv": TABLE, ".txt": TABLE, ".tsv": TABLE, ".xlsx": WORKBOOK,
    ".json": RECORDS, ".jsonl": RECORDS, ".ndjson": RECORDS,
}  # fmt: skip


class FileRefused(Exception):
    """The file cannot be read. The message says what it is, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stored upload: where it lies, what its sender called it, what it is."""

    path: Path
    name: str
    kind: str
    packed: bool


def recognised(path: Path, name: str) -> Source:
    """What the file is, by its first bytes and its name, which must agree.

    Raises FileRefused for every kind that is not read here.
    """
    with path.open("rb") as file:
        head = file.read(8192)
    packed = head[:2] == b"\x1f\x8b"
    shown_name = name.lower().removesuffix(".gz") if packed else name.lower()
    if packed:
        with _limited(path, packed=True) as inner:
            head = inner.read(8192)
    return Source(path, name, _kind(head, shown_name, packed=packed), packed)


def _kind(head: bytes, name: str, *, packed: bool) -> str:
    if not head.strip():
        raise FileRefused(_("The file is empty. Export it again and look inside before uploading."))
    ending = "." + name.rpartition(".")[2] if "." in name else ""
    expected = BY_ENDING.get(ending)
    if head[:4] == b"PK\x03\x04":
        return _workbook(expected, packed=packed)
    _refuse_others(head)
    if expected == WORKBOOK:
        raise FileRefused(
            _(
                "The file is called .xlsx but is no workbook inside. Save it again as .xlsx, or as CSV named .csv."
            )
        )
    if expected is None:
        raise FileRefused(
            _("Only .csv, .tsv, .txt, .xlsx, .json and .jsonl are read, the text ones also as .gz.")
        )
    return expected


def _workbook(expected: str | None, *, packed: bool) -> str:
    if packed:
        raise FileRefused(_("A workbook is packed already. Upload the .xlsx itself, not a .gz of it."))
    if expected != WORKBOOK:
        raise FileRefused(
            _("The file is a workbook or a ZIP archive under another name. Upload a .xlsx, or a CSV.")
        )
    return WORKBOOK


def _refuse_others(head: bytes) -> None:
    if head[:4] == b"\xd0\xcf\x11\xe0":
        raise FileRefused(
            _("This is an old Excel file (.xls) or one with a password. Save it as .xlsx without a password.")
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        raise FileRefused(
            _("This is a web page or XML file. Open it in a spreadsheet program and save it as .xlsx.")
        )
    if head[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and b"\x00" in head:
        raise FileRefused(_("This is not a text file. Expected CSV, XLSX or JSON lines."))


class _Limited(io.RawIOBase):
    """Counts what comes out of a file and stops at the limits."""

    def __init__(self, inner: BinaryIO, packed_size: int, *, packed: bool) -> None:
        super().__init__()
        self.inner = inner
        self.packed_size = max(packed_size, 1)
        self.packed = packed
        self.seen = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self.inner.read(len(view))
        except (EOFError, OSError, zlib.error) as error:
            raise FileRefused(_("The packed file is damaged or cut off. Pack it again.")) from error
        view[: len(data)] = data
        self.seen += len(data)
        self._check()
        return len(data)

    def _check(self) -> None:
        if self.seen > MAX_UNPACKED:
            raise FileRefused(
                _("The file is larger than %(size)d MB unpacked. Split it.") % {"size": MAX_UNPACKED // MIB}
            )
        if self.packed and self.seen > RATIO_COUNTS_FROM and self.seen / self.packed_size > MAX_RATIO:
            raise FileRefused(
                _("The file unpacks to more than %(ratio)d times its size. It is not read.")
                % {"ratio": MAX_RATIO}
            )


@contextmanager
def _limited(path: Path, *, packed: bool) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        inner: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
        yield io.BufferedReader(_Limited(inner, path.stat().st_size, packed=packed), 256 * 1024)


@contextmanager
def opened_bytes(source: Source) -> Iterator[IO[bytes]]:
    """The content, unpacked, within the limits; FileRefused while reading once it goes beyond them."""
    with _limited(source.path, packed=source.packed) as file:
        yield file


def encoding_of(source: Source) -> str:
    """utf-8-sig, utf-16 or gb18030: the first that fits the whole file.

    Raises FileRefused if none does.
    """
    with opened_bytes(source) as file:
        if file.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # type: ignore[attr-defined]
            return "utf-16"
    for name in ("utf-8-sig", "gb18030"):
        if _fits(source, name):
            return name
    raise FileRefused(_("The text is neither UTF-8 nor GB18030 (GBK). Save the file as “CSV UTF-8”."))


def _fits(source: Source, name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    with opened_bytes(source) as file:
        try:
            while chunk := file.read(MIB):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


@contextmanager
def opened_text(source: Source, *, in_lines: bool = True) -> Iterator[Iterator[str]]:
    """The text of the file line by line (with line ends) or in chunks; FileRefused for a line that no table has."""
    encoding = encoding_of(source)
    with opened_bytes(source) as file:
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        yield _lines(text) if in_lines else iter(lambda: text.read(64 * 1024), "")


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    try:
        while line := text.readline(MAX_LINE):
            if len(line) >= MAX_LINE:
                raise FileRefused(
                    _("A line has more than %(limit)d characters. A quotation mark may be missing.")
                    % {"limit": MAX_LINE}
                )
            yield line
    except UnicodeDecodeError as error:
        raise FileRefused(
            _("The text is cut off in the middle of a character. Export the file again.")
        ) from error


def max_upload() -> int:
    limit: int = settings.IMPORT_MAX_BYTES
    return limit
