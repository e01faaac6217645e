from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import zipfile
from datetime import datetime
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from integrations.files.opening import FileRefused, recognised
from integrations.files.rows import Row, rows_of
from integrations.files.unpacking import groups_of, packed, unpack
from integrations.mapping import translate

MAPPING = {
    "version": 1,
    "group_rows": True,
    "fields": {
        "external_id": {"path": "订单号"},
        "placed_at": {"constant": "2026-11-22 10:00:00"},
        "lines[].sku": {"path": "货号"},
        "lines[].qty": {"path": "数量"},
    },
}
HEADER = "订单号,货号,数量"


def read(path: Path) -> list[Row]:
    return list(rows_of(recognised(path, path.name)))


def stored(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def workbook(path: Path, rows, prepare=None) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    if prepare:
        prepare(book.active)
    book.save(path)
    return path


def packed_as(path: Path, parts: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def changed_workbook(path: Path, source: Path, changes: dict[str, bytes]) -> Path:
    """The workbook with these parts replaced or added."""
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return packed_as(path, {**parts, **changes})


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_are_read_in_every_usual_encoding_and_separator(tmp_path, encoding, separator):
    text = f"{HEADER}\r\n00123,刹车片,2\r\n\r\n240012345678901234,滤芯,1\r\n".replace(",", separator)

    rows = read(stored(tmp_path, "t.csv", text, encoding))

    assert [(row.number, row.record) for row in rows] == [
        (2, {"订单号": "00123", "货号": "刹车片", "数量": "2"}),
        (4, {"订单号": "240012345678901234", "货号": "滤芯", "数量": "1"}),
    ]


def test_quotes_and_guarded_text_are_read_as_meant(tmp_path):
    text = f'sep=;\n{HEADER}\n="00123";"a;b ""c""";2\n"=""0042""";"two\nlines";1\n\'00077;x;1\n'.replace(
        HEADER, HEADER.replace(",", ";")
    )

    rows = read(stored(tmp_path, "t.csv", text))

    assert [row.record["订单号"] for row in rows] == ["00123", "0042", "00077"]
    assert [row.record["货号"] for row in rows] == ['a;b "c"', "two\nlines", "x"]
    assert [row.number for row in rows] == [3, 4, 5]


def test_columns_of_one_name_are_kept_apart(tmp_path):
    assert read(stored(tmp_path, "t.csv", "a,a,,b\n1,2,3,4\n"))[0].record == {
        "a": "1",
        "a (2)": "2",
        "b": "4",
    }


def test_a_row_with_too_many_cells_is_told_with_its_number(tmp_path):
    rows = read(stored(tmp_path, "t.csv", "a,b\n1,2\n3,4,5\n"))

    assert [bool(row.problems) for row in rows] == [False, True]
    assert rows[1].number == 3
    assert "3 cells, the header 2" in rows[1].problems[0].error


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", b"", "empty"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b",,\n1,2,3\n", "no column names"),
        ("t.csv", b'a,b\n"1,2\n', "quotation mark"),
        ("t.csv", b"a,b\n\x00\x01\x02", "not a text file"),
        ("t.csv", b"a,b\n1,\xff\xff\xff\n", "neither UTF-8 nor GB18030"),
        ("t.csv", b"a\n" + b"x" * 1_200_000, "quotation mark"),
        ("t.xlsx", b"a,b\n1,2\n", "no workbook inside"),
        ("t.csv", b"PK\x03\x04rest", "under another name"),
        ("t.xlsx", b"PK\x03\x04rest", "damaged"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel file"),
        ("t.xls", b"<html><table>", "web page"),
        ("t.exe", b"MZ hello", "Only .csv"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "damaged or cut off"),
        ("t.jsonl", b'[{"a": 1}, {"a": ', "not JSON"),
        ("t.jsonl", b'[{"a": 1}', "closing bracket"),
        ("t.json", b"[" * 100_000, "nested too deeply"),
    ],
)
def test_files_that_are_none_are_refused_with_what_to_do(tmp_path, name, content, told):
    with pytest.raises(FileRefused, match=told):
        unpack(recognised(stored(tmp_path, name, content), name), MAPPING, tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_json_lines_and_lists_give_the_same_rows(tmp_path):
    records = [{"订单号": "00123", "数量": 240012345678901234}, {"订单号": "B", "x": [{"y": "ß" * 70_000}]}]
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)

    one = read(stored(tmp_path, "a.jsonl", lines + "\n\nnot json\n[1]\n"))
    two = read(stored(tmp_path, "b.json", json.dumps(records, indent=1)))
    three = read(stored(tmp_path, "c.json.gz", gzip.compress(json.dumps(records).encode())))

    assert (
        [row.record for row in one[:2]]
        == [row.record for row in two]
        == [row.record for row in three]
        == records
    )
    assert [(row.number, bool(row.problems)) for row in one] == [(1, False), (2, False), (4, True), (5, True)]


def test_workbook_cells_keep_what_people_see(tmp_path):
    def prepare(sheet):
        sheet["A2"].number_format = "00000"
        sheet["D2"].number_format = "yyyy-mm-dd"

    path = workbook(
        tmp_path / "t.xlsx",
        [
            ["订单号", "货号", "数量", "日期", "加急"],
            [123, "00042", 0.1 + 0.2, datetime(2026, 11, 22, 18, 4), True],  # noqa: DTZ001
            [],
            ["x"],
        ],
        prepare,
    )

    rows = read(path)

    assert rows[0].record == {
        "订单号": "00123", "货号": "00042", "数量": "0.3", "日期": "2026-11-22T18:04:00", "加急": "true",
    }  # fmt: skip
    assert [row.number for row in rows] == [2, 4]


def test_damaged_numbers_formulas_and_errors_in_cells_are_told_by_column(tmp_path):
    path = workbook(
        tmp_path / "t.xlsx",
        [
            ["订单号", "货号", "数量"],
            [240012345678901234, "=HYPERLINK(1)", "#N/A"],
            [123456789012345, "a", 1],
        ],
    )

    rows = read(path)

    assert [problem.field for problem in rows[0].problems] == ["订单号", "货号", "数量"]
    assert "rounded" in rows[0].problems[0].error
    assert "paste it as values" in rows[0].problems[1].error
    assert rows[1].problems == []
    assert rows[1].record["订单号"] == "123456789012345"


@pytest.fixture
def small_workbook(tmp_path) -> Path:
    return workbook(tmp_path / "small.xlsx", [["订单号", "货号", "数量"], ["A", "B", 1]])


ENTITY = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
BILLION = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
SHEET = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row></sheetData></worksheet>'
)


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"])
@pytest.mark.parametrize("bomb", [ENTITY + SHEET % b"&x;", BILLION + SHEET % b"&b;"])
def test_xml_entities_are_refused_in_every_part(tmp_path, small_workbook, part, bomb):
    path = changed_workbook(tmp_path / "t.xlsx", small_workbook, {part: bomb})

    with pytest.raises(FileRefused, match="XML entities"):
        read(path)


@pytest.mark.parametrize("name", ["../../evil.xml", "/etc/passwd", "xl\\..\\x.xml", "C:/x.xml"])
def test_unsafe_paths_in_an_archive_are_refused(tmp_path, small_workbook, name):
    with pytest.raises(FileRefused, match="unsafe path"):
        read(changed_workbook(tmp_path / "t.xlsx", small_workbook, {name: b"x"}))


def test_an_archive_that_is_no_workbook_is_refused(tmp_path):
    with pytest.raises(FileRefused, match="not a workbook"):
        read(packed_as(tmp_path / "t.xlsx", {"orders.csv": "a,b\n1,2\n"}))


def test_links_to_other_workbooks_are_not_followed(tmp_path, small_workbook):
    link = b'<externalLink xmlns="x"><externalBook r:id="rId1" xmlns:r="y"/></externalLink>'
    path = changed_workbook(tmp_path / "t.xlsx", small_workbook, {"xl/externalLinks/externalLink1.xml": link})

    assert read(path)[0].record == {"订单号": "A", "货号": "B", "数量": "1"}


def test_bombs_are_refused_quickly_and_in_little_memory(tmp_path, small_workbook):
    zeros = tmp_path / "zeros.csv.gz"
    with gzip.open(zeros, "wb", compresslevel=9) as file:
        for _ in range(300):
            file.write(b"a,b\n" * 262_144)
    rows = b"".join(b'<row r="%d"><c><v>1</v></c></row>' % number for number in range(1, 1_000_001))
    sheet = SHEET.replace(b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>', b"%s") % rows
    long_sheet = changed_workbook(tmp_path / "long.xlsx", small_workbook, {"xl/worksheets/sheet1.xml": sheet})
    strings = changed_workbook(
        tmp_path / "strings.xlsx", small_workbook, {"xl/sharedStrings.xml": b" " * (60 * 1024 * 1024)}
    )
    del rows, sheet
    before, started = peak_mib(), perf_counter()

    for path, told in (
        (zeros, "times its size"),
        (long_sheet, "more than 50000 rows"),
        (strings, "too large"),
    ):
        with pytest.raises(FileRefused, match=told):
            read(path)

    assert perf_counter() - started < 10
    assert peak_mib() - before < 200


ids = st.text(alphabet="0123456789", min_size=18, max_size=19) | st.from_regex(r"\A0{1,4}[1-9]{1,6}\Z")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(number=ids, left=st.sampled_from(["", " ", "\t", "　"]), wide=st.booleans())
def test_ids_survive_a_round_trip_through_csv_and_xlsx(tmp_path, number, left, wide):
    written = left + (
        number.translate({ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789"}) if wide else number
    )
    buffer = io.StringIO()
    csv.writer(buffer).writerows([HEADER.split(","), [written, number, "1"]])
    files = [
        stored(tmp_path, "t.csv", buffer.getvalue()),
        workbook(tmp_path / "t.xlsx", [HEADER.split(","), [written, number, 1]]),
    ]

    for path in files:
        record = json.loads(json.dumps(read(path)[0].record))
        order = translate(MAPPING, record, shop="s1")[0]
        assert (order.external_id, order.lines[0].sku) == (number, number)


def test_rows_of_one_order_make_one_message_and_stray_ones_are_told(tmp_path):
    text = f"{HEADER}\nA,x,1\nA,y,1\n,z,1\nB,x,1\nA,w,1\n"

    groups = list(groups_of(iter(read(stored(tmp_path, "t.csv", text))), MAPPING))

    assert [(group.row, group.n_rows, bool(group.problems)) for group in groups] == [
        (2, 3, False), (5, 1, False), (6, 1, True),
    ]  # fmt: skip
    assert "stand apart" in groups[2].problems[0].error


def test_an_unpacked_file_is_one_message_a_line(tmp_path):
    path = stored(tmp_path, "t.csv", f"{HEADER}\nA,x\ty,1\nA,z,2\nB,x,1,9\n")

    total = unpack(recognised(path, "t.csv"), MAPPING, tmp_path / "out")

    found = [packed(line) for line in (tmp_path / "out").read_bytes().splitlines(keepends=True)]
    assert total == 3
    assert [(line.row, line.n_rows, len(line.problems)) for line in found] == [(2, 2, 0), (4, 1, 1)]
    assert [row["货号"] for row in json.loads(found[0].body)] == ["x\ty", "z"]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


TITLED = (
    "2026年11月订单导出,,,\n\n订单号,下单时间,商品编码,数量\n240012345678901234,2026-11-22 09:00,BRK-001,2\n"
)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_title_above_the_column_names_is_passed_over(tmp_path, encoding):
    rows = read(stored(tmp_path, "t.csv", TITLED, encoding))

    assert [(row.number, row.record["订单号"], row.record["数量"]) for row in rows] == [
        (4, "240012345678901234", "2")
    ]


def test_a_title_without_separators_does_not_hide_them(tmp_path):
    text = "九月订单\n导出时间：2026-11-22\n订单号;数量;备注\n1;2;a,b,c,d\n"

    rows = read(stored(tmp_path, "t.csv", text))

    assert [(row.number, row.record) for row in rows] == [
        (4, {"订单号": "1", "数量": "2", "备注": "a,b,c,d"})
    ]


def test_a_merged_title_in_a_workbook_is_passed_over(tmp_path):
    book = Workbook()
    sheet = book.active
    sheet.append(["九月订单"])
    sheet.merge_cells("A1:D1")
    sheet.append([])
    sheet.append(["订单号", "下单时间", "商品编码", "数量"])
    sheet.append(["240012345678901234", "2026-11-22 09:00", "BRK-001", 2])
    book.save(tmp_path / "t.xlsx")

    rows = read(tmp_path / "t.xlsx")

    assert [(row.number, row.record["订单号"], row.record["数量"]) for row in rows] == [
        (4, "240012345678901234", "2")
    ]


def test_a_narrow_table_has_no_title(tmp_path):
    rows = read(stored(tmp_path, "t.csv", "订单号\n1\n2\n"))

    assert [row.record for row in rows] == [{"订单号": "1"}, {"订单号": "2"}]
