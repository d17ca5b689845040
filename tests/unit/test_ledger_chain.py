"""The ledger's chain: its canonical form, and which record is named when something does not fit."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from builders import DUE_AGE, index
from retention_enforcer.domain.errors import LedgerBroken
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.ledger.checkpoints import Checkpoints, checkpoint_of
from retention_enforcer.domain.ledger.records import (
    GENESIS,
    Entry,
    Head,
    Kind,
    Outcome,
    Record,
    canonical,
    check_chain,
    evidence_of,
    record_hash,
    seal,
    unanswered,
)
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms


def chain(length: int = 5) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for number in range(length):
        target = {"index": f"logs-{number}", "uuid": f"u{number}"}
        fields = {"kind": "intent", "reason": f"due {number}", "target": target, "evidence": {"documents": number}}
        records.append(seal(fields, head_of(records)))
    return records


def head_of(records: list[dict[str, Any]]) -> Head:
    return Head(records[-1]["sequence"], records[-1]["hash"]) if records else Head()


def broken(records: list[dict[str, Any]], *known: Head) -> str:
    with pytest.raises(LedgerBroken) as caught:
        check_chain(records, known_heads=known)
    assert caught.value.remedy
    assert caught.value.exit_code == 1
    return caught.value.message


# --- checkpoints --------------------------------------------------------------------------------------

KEY, OTHER = Pseudonyms(b"k" * 32), Pseudonyms(b"o" * 32)


def anchored(*keys: Pseudonyms, in_words: bool = False) -> list[dict[str, Any]]:
    """A chain of three records, then a checkpoint under each of these keys."""
    records = chain(3)
    for key in keys:
        checkpoint = checkpoint_of(head_of(records), key).fields()
        if in_words:
            del checkpoint["details"]
        records.append(seal(checkpoint, head_of(records)))
    return records


def rewritten(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with another first record, every hash after it recomputed."""
    anew: list[dict[str, Any]] = []
    for record in ({**records[0], "reason": "another"}, *records[1:]):
        anew.append(seal({k: v for k, v in record.items() if k not in ("sequence", "previous", "hash")}, head_of(anew)))
    return anew


@pytest.mark.parametrize("in_words", [False, True], ids=["in fields", "in words alone, as before"])
def test_what_was_written_anew_without_the_key_does_not_have_its_checkpoints(in_words: bool) -> None:
    checkpoints = Checkpoints(KEY)
    check_chain(anchored(KEY, KEY, in_words=in_words), see=checkpoints.see)
    assert (checkpoints.checked, checkpoints.anchored, checkpoints.summary) == (
        2,
        4,
        "checkpoints: 2 checked, the last for record 4",
    )
    forged = rewritten(anchored(KEY, in_words=in_words))
    assert check_chain(forged).sequence == 4, "the chain alone does not show it"
    with pytest.raises(LedgerBroken, match="record 4: this checkpoint does not match record 3"):
        check_chain(forged, see=Checkpoints(KEY).see)


UNCHECKED = "1 not checked because they were made with another key"


@pytest.mark.parametrize(
    ("key", "made", "said", "since"),
    [
        (None, (KEY, KEY), "checkpoints: 2 not checked because ENFORCER_PSEUDONYM_KEY is not set", 2),
        (KEY, (OTHER, KEY), f"checkpoints: 1 checked, the last for record 4; {UNCHECKED}", 0),
        (KEY, (KEY, OTHER), f"checkpoints: 1 checked, the last for record 3; {UNCHECKED}", 1),
        (KEY, (), "checkpoints: none", 0),
    ],
)
def test_what_is_not_checked_is_said(
    key: Pseudonyms | None, made: tuple[Pseudonyms, ...], said: str, since: int
) -> None:
    checkpoints = Checkpoints(key or Pseudonyms(None))
    check_chain(anchored(*made), see=checkpoints.see)
    assert (checkpoints.summary, checkpoints.unchecked_since) == (said, since)


NO_ANCHOR = "hmac-sha256:00000000:" + "0" * 64


@pytest.mark.parametrize(
    "said",
    [
        *({"reason": reason} for reason in ("", "record 3", "record 9: x", "record x: y", f"record 4: {NO_ANCHOR}")),
        {"reason": f"record 1: {NO_ANCHOR}", "details": {"record": 4, "anchor": NO_ANCHOR}},
        {"details": {"record": 1, "anchor": "x"}},
        {"details": {"record": 0, "anchor": NO_ANCHOR}},
        {"details": {"record": "1", "anchor": NO_ANCHOR}},
        {"details": {"documents": 1}},
    ],
)
def test_a_checkpoint_of_nothing_is_named(said: dict[str, Any]) -> None:
    records = chain(3)
    records.append(seal({"kind": "checkpoint", **said}, head_of(records)))
    with pytest.raises(LedgerBroken, match="record 4: this checkpoint does not refer to an earlier record"):
        check_chain(records, see=Checkpoints(Pseudonyms(None)).see)


# --- the canonical form -------------------------------------------------------------------------------

GOLDEN = (
    b'{"evidence":{"documents":3},"kind":"intent",'
    b'"previous":"0000000000000000000000000000000000000000000000000000000000000000",'
    b'"reason":"L\xc3\xb6schfrist 14 d: \xe2\x82\xac \xf0\x9f\x97\x91","sequence":1,'
    b'"target":{"index":"logs-\xc3\xa4","uuid":"Zq1"}}'
)
"""Written by hand: whoever checks a ledger without this program has to come to the same bytes."""

FIELDS = {
    "target": {"uuid": "Zq1", "index": "logs-ä"},
    "reason": "Löschfrist 14 d: € 🗑",
    "kind": "intent",
    "evidence": {"documents": 3},
}


def test_the_canonical_form_is_exactly_these_bytes() -> None:
    record = seal(FIELDS, Head())
    assert canonical({name: value for name, value in record.items() if name != "hash"}) == GOLDEN


def test_the_hash_is_that_of_the_previous_hash_and_the_canonical_bytes() -> None:
    assert hashlib.sha256(b"0" * 64 + GOLDEN).hexdigest() == seal(FIELDS, Head())["hash"]
    assert seal(FIELDS, Head())["hash"] == "10eb8f2598d0ebc8ec1bf67657f105251eabf16f99808b540f5751787d46e023"


def test_a_record_goes_on_from_the_head() -> None:
    record = seal({"kind": "proof"}, Head(41, "ab" * 32))
    assert (record["sequence"], record["previous"]) == (42, "ab" * 32)
    assert record["hash"] == record_hash(record)


def test_the_order_of_the_fields_does_not_matter() -> None:
    assert canonical({"a": 1, "b": {"c": 2, "d": 3}}) == canonical({"b": {"d": 3, "c": 2}, "a": 1})


@pytest.mark.parametrize("value", [1.0, True, None, [], ["a"], (), b"a"], ids=repr)
@pytest.mark.parametrize("place", ["top", "nested"])
def test_only_integers_strings_and_objects_have_a_canonical_form(value: object, place: str) -> None:
    record = {"epoch": value} if place == "top" else {"evidence": {"epoch": value}}
    with pytest.raises(ValueError, match=r"^epoch is neither an integer nor a string$"):
        canonical(record)


def test_kinds_and_outcomes_are_written_as_their_words() -> None:
    assert canonical({"kind": Kind.OUTCOME, "outcome": Outcome.DONE}) == b'{"kind":"outcome","outcome":"done"}'


# --- entries ------------------------------------------------------------------------------------------


def test_an_entry_leaves_out_what_it_does_not_say() -> None:
    assert Entry(kind=Kind.LEADER).fields() == {"kind": "leader"}


def test_an_entry_holds_all_it_says() -> None:
    entry = Entry(
        kind=Kind.OUTCOME,
        category="logs",
        clause="section 6",
        action="delete_index",
        target=("logs-a", "u1"),
        evidence={"documents": 0},
        reason="gone",
        outcome=Outcome.DONE,
        intent=7,
        cycle="c1",
        actor="anna",
    )
    assert entry.fields() == {
        "kind": "outcome",
        "category": "logs",
        "clause": "section 6",
        "action": "delete_index",
        "target": {"index": "logs-a", "uuid": "u1"},
        "evidence": {"documents": 0},
        "reason": "gone",
        "outcome": "done",
        "intent": 7,
        "cycle": "c1",
        "actor": "anna",
    }


def test_evidence_says_how_much_goes_and_how_old_it_is() -> None:
    assert evidence_of(index(ages=[DUE_AGE, DAY]), 1) == {
        "documents": 1,
        "bytes": 2_000,
        "oldest": "2026-01-17T09:00:00.000Z",
        "newest": "2026-01-30T08:00:00.000Z",
    }


def test_evidence_without_dates_names_none() -> None:
    assert evidence_of(index(undated=2), 2) == {"documents": 2, "bytes": 2_000}


# --- the chain ----------------------------------------------------------------------------------------


def test_an_empty_ledger_has_the_first_head() -> None:
    assert check_chain([]) == Head(0, GENESIS)
    assert check_chain([], known_heads=[Head()]) == Head()


def test_an_honest_chain_ends_in_its_last_record() -> None:
    records = chain()
    known = [Head(r["sequence"], r["hash"]) for r in records]
    assert check_chain(iter(records), known_heads=known) == head_of(records)


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("a value", {"reason": "nothing was due"}),
    ("a nested value", {"evidence": {"documents": 99}}),
    ("a nested key", {"target": {"index": "logs-2", "uid": "u2"}}),
    ("an added field", {"actor": "mallory"}),
    ("a number as text", {"sequence": "3"}),
    ("a number as a float", {"sequence": 3.0}),
    ("a list in place of a text", {"reason": ["due 2"]}),
    ("a lone surrogate", {"reason": "\ud800"}),
    ("another sequence", {"sequence": 7}),
    ("another previous", {"previous": GENESIS}),
    ("another hash", {"hash": "ab" * 32}),
    ("an upper case hash", {"hash": chain()[2]["hash"].upper()}),
]


@pytest.mark.parametrize("change", [pytest.param(c, id=id_) for id_, c in CHANGES])
def test_a_changed_record_is_named(change: dict[str, Any]) -> None:
    records = chain()
    records[2] = {**records[2], **change}
    assert broken(records).startswith("record 3: ")


@pytest.mark.parametrize("field", ["kind", "reason", "target", "sequence", "previous", "hash"])
def test_a_record_without_one_of_its_fields_is_named(field: str) -> None:
    records = chain()
    del records[2][field]
    assert broken(records).startswith("record 3: ")


def test_a_changed_record_with_a_hash_of_its_own_shows_at_the_next() -> None:
    records = chain()
    records[2] |= {"reason": "nothing was due"}
    records[2]["hash"] = record_hash(records[2])
    assert broken(records) == "record 4: it does not follow record 3, so one of the two was changed"


def test_the_last_record_changed_with_its_hash_shows_against_a_known_head() -> None:
    records = chain()
    known = head_of(records)
    records[4] |= {"reason": "nothing was due"}
    records[4]["hash"] = record_hash(records[4])
    assert check_chain(records).sequence == 5, "without a known head nobody can tell"
    assert broken(records, known).startswith("record 5: it fits its neighbours, but not a head")


@pytest.mark.parametrize("at", [0, 2, 3])
def test_a_record_missing_in_the_middle_is_named(at: int) -> None:
    records = chain()
    del records[at]
    assert broken(records) == f"record {at + 1}: missing; record {at + 2} is in its place"


@pytest.mark.parametrize("left", [0, 3, 4])
def test_the_first_record_missing_at_the_end_is_named(left: int) -> None:
    records = chain()
    known = head_of(records)
    assert broken(records[:left], known) == f"record {left + 1}: missing, although a head is known at record 5"


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 4), (1, 3), (3, 4)])
def test_the_first_of_two_swapped_records_is_named(one: int, other: int) -> None:
    records = chain()
    records[one], records[other] = records[other], records[one]
    assert broken(records) == f"record {one + 1}: missing; record {other + 1} is in its place"


def test_a_record_that_stands_there_twice_is_named() -> None:
    records = chain()
    assert broken([*records[:3], records[2], *records[3:]]).startswith("record 4: missing")


def test_a_chain_rewritten_as_a_whole_shows_at_the_first_known_head() -> None:
    records, forged = chain(), []
    for record in records:
        fields = {k: v for k, v in record.items() if k not in {"sequence", "previous", "hash"}}
        forged.append(seal({**fields, "actor": "mallory"}, head_of(forged)))
    known = [Head(r["sequence"], r["hash"]) for r in (records[4], records[1])]
    assert broken(forged, *known).startswith("record 2: it fits its neighbours")


@pytest.mark.parametrize("order", [1, -1], ids=["right one first", "wrong one first"])
def test_two_heads_of_the_same_record_cannot_both_be_right(order: int) -> None:
    records = chain()
    known = [head_of(records), Head(5, "ab" * 32)][::order]
    assert broken(records, *known).startswith("record 5: ")


# --- intents without outcome --------------------------------------------------------------------------


def intent(sequence: int) -> Record:
    return {"kind": "intent", "sequence": sequence}


def outcome(sequence: int, of: int, how: Outcome) -> Record:
    return {"kind": "outcome", "sequence": sequence, "intent": of, "outcome": how.value}


UNANSWERED = [
    ("nothing", [], []),
    ("no intents", [{"kind": "proof", "sequence": 1}], []),
    ("an intent alone", [intent(1)], [1]),
    ("done", [intent(1), outcome(2, 1, Outcome.DONE)], []),
    ("failed", [intent(1), outcome(2, 1, Outcome.FAILED)], []),
    ("refused", [intent(1), outcome(2, 1, Outcome.REFUSED)], []),
    ("unknown", [intent(1), outcome(2, 1, Outcome.UNKNOWN)], [1]),
    ("unknown, then done", [intent(1), outcome(2, 1, Outcome.UNKNOWN), outcome(3, 1, Outcome.DONE)], []),
    ("done, then unknown", [intent(1), outcome(2, 1, Outcome.DONE), outcome(3, 1, Outcome.UNKNOWN)], []),
    ("the outcome of another", [intent(1), intent(2), outcome(3, 2, Outcome.DONE)], [1]),
    ("of several, in their order", [intent(1), intent(2), intent(3), outcome(4, 2, Outcome.DONE)], [1, 3]),
    ("an outcome whose intent was read before", [outcome(7, 3, Outcome.DONE), intent(8)], [8]),
]


@pytest.mark.parametrize(("records", "expected"), [pytest.param(r, e, id=id_) for id_, r, e in UNANSWERED])
def test_an_intent_waits_until_an_outcome_says_how_it_ended(records: list[Record], expected: list[int]) -> None:
    assert [record["sequence"] for record in unanswered(records)] == expected
