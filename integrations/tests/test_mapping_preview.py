from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.canonical import Untranslatable
from integrations.mapping import compiled, read_fields, translate
from integrations.mapping.preview import look

DEFINITION = {
    "version": 1,
    "fields": {
        "external_id": {"path": "tid"},
        "placed_at": {"path": "created"},
        "total": {"path": "total", "transform": "money"},
        "rush": {"path": "flag", "values": {"1": True, "0": False}},
        "contact.phone": {"path": "phone", "transform": "digits"},
        "lines[].sku": {"path": "items[].sku"},
        "lines[].qty": {"path": "items[].n"},
    },
}
TEXT = st.one_of(
    st.none(), st.text(max_size=6), st.sampled_from(["1", "0", "00123", "¥12.50", "2026-11-22 09:00"])
)
RECORD = st.fixed_dictionaries(
    {
        "tid": st.one_of(st.sampled_from(["A-1", "00123"]), TEXT),
        "created": st.one_of(st.just("2026-11-22 09:00"), TEXT),
        "total": TEXT,
        "flag": TEXT,
        "phone": TEXT,
        "items": st.lists(
            st.fixed_dictionaries({"sku": st.sampled_from(["A", "B", "C"]), "n": st.one_of(st.just(2), TEXT)}),
            min_size=1, max_size=3, unique_by=lambda item: item["sku"],
        ),
    }
)  # fmt: skip


def outcome(record: dict) -> tuple[list, list]:
    """What arriving records become: the reports, or the problems."""
    try:
        return translate(DEFINITION, record, shop=""), []
    except Untranslatable as error:
        return [], error.problems


@settings(max_examples=150, deadline=None)
@given(record=RECORD)
def test_the_preview_of_each_field_is_what_arriving_records_become(record):
    read = read_fields(compiled(DEFINITION), record)
    shown = look(DEFINITION, [record]).samples[0]

    said, problems = outcome(record)
    assert shown.problems == problems
    if problems:
        # A record that tells no time for an unknown value is a problem of the whole, not of one field.
        told = {one.error for one in problems if "tells no time" not in one.error}
        assert {text for one in read.values() for text in one.problems} >= told
        return
    assert shown.found == said
    order = said[0]
    assert not any(one.problems for one in read.values())
    assert read["external_id"].values == (order.external_id,)
    assert read["placed_at"].values == (order.placed_at,)
    assert [str(value) for value in read["total"].values] == [
        str(order.fields[name]) for name in ("total",) if name in order.fields
    ]
    assert list(read["rush"].values) == [order.fields[name] for name in ("rush",) if name in order.fields]
    assert list(read["contact.phone"].values) == list((order.person or {}).values())
    assert list(read["lines[].sku"].values) == [line.sku for line in order.lines]
    assert list(read["lines[].qty"].values) == [line.qty for line in order.lines]
