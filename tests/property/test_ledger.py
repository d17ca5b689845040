"""The chain: whatever is changed in a ledger, somebody who checks it finds out, and where."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retention_enforcer.domain.errors import LedgerBroken
from retention_enforcer.domain.ledger.records import GENESIS, Head, canonical, check_chain, seal, unanswered

TEXTS = st.text(max_size=8)
FIELDS = st.dictionaries(
    st.sampled_from(["kind", "reason", "actor", "epoch", "target"]),
    TEXTS | st.integers(-(2**53), 2**53) | st.dictionaries(st.sampled_from(["index", "uuid"]), TEXTS),
    min_size=1,
)


def chain(fields: list[dict]) -> list[dict]:
    records, head = [], Head()
    for each in fields:
        records.append(seal(each, head))
        head = Head(records[-1]["sequence"], records[-1]["hash"])
    return records


CHAINS = st.lists(FIELDS, min_size=3, max_size=8).map(chain)


def head_of(records: list[dict]) -> Head:
    return Head(records[-1]["sequence"], records[-1]["hash"])


@given(CHAINS)
def test_an_honest_chain_passes(records: list[dict]) -> None:
    assert check_chain(records, known_heads=[head_of(records)]) == head_of(records)


CHANGED_VALUES = TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False) | st.none() | st.lists(TEXTS)


@st.composite
def changes(draw: st.DrawFn, record: dict) -> dict:
    """The record with one value changed, one key renamed, one field added or one removed; also inside `target`."""
    inner = [name for name, value in record.items() if isinstance(value, dict)]
    where = draw(st.sampled_from([None, *inner]))
    part = dict(record if where is None else record[where])
    free = st.text(min_size=1, max_size=4).filter(lambda name: name not in record and name not in part)
    how = draw(st.sampled_from(["change", "rename", "add", "remove"] if part else ["add"]))
    if how == "add":
        part[draw(free)] = draw(CHANGED_VALUES)
    else:
        name = draw(st.sampled_from(sorted(part)))
        value = part.pop(name)
        if how == "rename":
            part[draw(free)] = value
        if how == "change":
            part[name] = draw(CHANGED_VALUES.filter(lambda other: json.dumps(other) != json.dumps(value)))
    return part if where is None else {**record, where: part}


def rehashed(record: dict) -> dict:
    """With the hash that somebody who knows the format would give it, whatever it holds."""
    bare = {name: value for name, value in record.items() if name != "hash"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**bare, "hash": hashlib.sha256(f"{record.get('previous')}{text}".encode()).hexdigest()}


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    return isinstance(value, int | str) and not isinstance(value, bool)


@given(CHAINS, st.data())
def test_one_change_of_a_record_is_found_and_that_record_named(records: list[dict], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(records) - 1))
    changed = data.draw(changes(records[at]))
    with pytest.raises(LedgerBroken, match=rf"^record {at + 1}: "):
        check_chain([*records[:at], changed, *records[at + 1 :]])


@given(CHAINS, st.data())
def test_one_change_with_its_hash_recomputed_is_found_at_once_or_by_the_next_record(
    records: list[dict], data: st.DataObject
) -> None:
    """A record that is sound in itself is given away by the one after it, the last one by a known head."""
    at = data.draw(st.integers(0, len(records) - 1))
    forged = rehashed(data.draw(changes(records[at])))
    assume(forged != records[at])
    sound = plain(forged) and all(forged.get(name) == records[at][name] for name in ("sequence", "previous"))
    named = at + 2 if sound and at + 1 < len(records) else at + 1
    with pytest.raises(LedgerBroken, match=rf"^record {named}: "):
        check_chain([*records[:at], forged, *records[at + 1 :]], known_heads=[head_of(records)])


@given(CHAINS, st.data())
def test_a_missing_record_is_named(records: list[dict], data: st.DataObject) -> None:
    known = head_of(records)
    at = data.draw(st.integers(0, len(records) - 1))
    with pytest.raises(LedgerBroken, match=rf"^record {at + 1}: missing"):
        check_chain([*records[:at], *records[at + 1 :]], known_heads=[known])


@given(CHAINS, st.data())
def test_of_two_swapped_records_the_first_is_named(records: list[dict], data: st.DataObject) -> None:
    both = st.lists(st.integers(0, len(records) - 1), min_size=2, max_size=2, unique=True)
    one, other = sorted(data.draw(both))
    records[one], records[other] = records[other], records[one]
    with pytest.raises(LedgerBroken, match=rf"^record {one + 1}: missing; record {other + 1} "):
        check_chain(records)


@given(CHAINS, st.data())
def test_a_chain_rewritten_from_some_record_on_is_found_against_a_known_head(
    records: list[dict], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(records) - 1))
    bare = [{k: v for k, v in r.items() if k not in {"sequence", "previous", "hash"}} for r in records]
    bare[at] = {**bare[at], "reason": "rewritten!"}
    with pytest.raises(LedgerBroken, match=rf"^record {len(records)}:"):
        check_chain(chain(bare), known_heads=[head_of(records)])


def test_the_canonical_form_is_what_others_compute() -> None:
    record = seal(
        {"kind": "intent", "reason": "größer als 14 d", "epoch": 3, "target": {"uuid": "u", "index": "i"}}, Head()
    )
    bare = {name: value for name, value in record.items() if name != "hash"}
    assert canonical(bare).decode() == (
        '{"epoch":3,"kind":"intent","previous":"' + GENESIS + '","reason":"größer als 14 d","sequence":1,'
        '"target":{"index":"i","uuid":"u"}}'
    )
    assert record["hash"] == "233dd8afa5ebc91a9e6dc0f82880e585934494b6a4cc4de76f743f41f31eb74f"


@pytest.mark.parametrize("value", [1.5, True, None, ["a"], {"a": 1.0}])
def test_only_integers_and_strings_are_canonical(value: object) -> None:
    with pytest.raises(ValueError, match="neither an integer nor a string"):
        canonical({"field": value})


def test_an_intent_is_unanswered_until_an_outcome_that_knows() -> None:
    records = [
        {"sequence": 1, "kind": "intent"},
        {"sequence": 2, "kind": "intent"},
        {"sequence": 3, "kind": "outcome", "intent": 1, "outcome": "done"},
        {"sequence": 4, "kind": "outcome", "intent": 2, "outcome": "unknown"},
        {"sequence": 5, "kind": "intent"},
    ]
    assert [r["sequence"] for r in unanswered(records)] == [2, 5]
