"""The chain: whatever is changed in a ledger, somebody who checks it finds out, and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.domain.errors import LedgerBroken
from retention_enforcer.domain.ledger import GENESIS, Head, canonical, check_chain, record_hash, seal, unanswered

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


@given(CHAINS, st.data())
def test_any_change_of_a_record_is_found_there_or_at_the_next(records: list[dict], data: st.DataObject) -> None:
    known = head_of(records)
    at = data.draw(st.integers(0, len(records) - 1))
    changed = dict(records[at])
    name = data.draw(st.sampled_from([*sorted(set(changed) - {"hash"}), "added"]))
    changed[name] = f"{changed.get(name)}!"
    rehashed = data.draw(st.booleans())
    if rehashed:
        changed["hash"] = record_hash(changed)
    broken = [*records[:at], changed, *records[at + 1 :]]
    with pytest.raises(LedgerBroken, match=rf"^record ({at + 1}|{at + 2}):"):
        check_chain(broken, known_heads=[known])


@given(CHAINS, st.data())
def test_a_missing_record_is_named(records: list[dict], data: st.DataObject) -> None:
    known = head_of(records)
    at = data.draw(st.integers(0, len(records) - 1))
    with pytest.raises(LedgerBroken, match=rf"^record {at + 1}: missing"):
        check_chain([*records[:at], *records[at + 1 :]], known_heads=[known])


@given(CHAINS, st.data())
def test_two_swapped_records_are_named(records: list[dict], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(records) - 2))
    swapped = [*records[:at], records[at + 1], records[at], *records[at + 2 :]]
    with pytest.raises(LedgerBroken, match=rf"^record {at + 1}:"):
        check_chain(swapped)


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
