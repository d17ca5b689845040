"""The ledger's records, their canonical form and the chain that makes a change of any of them visible.

The hash of a record is the SHA-256 of the previous record's hash (ASCII) followed by the record's canonical bytes
without `hash`; the first record's `previous` is 64 zeros. Canonical is JSON with sorted keys, no blanks, UTF-8
unescaped, absent fields left out, integers and strings only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retention_enforcer.domain.errors import LedgerBroken
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.instants import format_instant

GENESIS = "0" * 64

Record = Mapping[str, Any]
"""A complete ledger record, as stored: `sequence`, `previous` and `hash` included."""


class Kind(StrEnum):
    """What a record is about."""

    INTENT = "intent"
    OUTCOME = "outcome"
    FINDING = "finding"
    PROOF = "proof"
    POLICY = "policy"
    TERMINATION = "termination"
    HOLD = "hold"
    LEADER = "leader"
    CHECKPOINT = "checkpoint"


class Outcome(StrEnum):
    """How an intent ended, as a later look showed; never as the answer to the request said."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REFUSED = "refused"


ROLLOVER = "rollover"
"""The action of rolling a write index over, beside those of `plan.Action`."""

APPLY_LIFECYCLE, DETACH_LIFECYCLE = "apply_lifecycle", "detach_lifecycle"
"""The actions of giving an index a lifecycle, and of taking it away. The reason of the first begins with its name."""

SET_RETENTION = "set_retention"
"""The action of replacing the lifecycle of a stream, which is its target; a stream has no uuid. Its `details` have the
stream, `enabled` as 1 or 0, and `retention`, `data_retention` as it was put, or nothing where none was."""

COMPARE = "compare it with an export or with the same record in the log"
"""What to do about a record that is not what it was."""

MOST_TOGETHER = 200
"""Records that one document of the ledger holds at most."""

OBSERVED_DELETION = "observed_deletion"
"""The action of an index that went without the enforcer: an outcome that answers no intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What somebody wants to record; the appender adds who, when and the place in the chain."""

    kind: Kind
    category: str | None = None
    clause: str | None = None
    action: str | None = None
    target: tuple[str, str] | None = None
    """Index and uuid."""
    about: str | None = None
    """What the index is really called: an application's id in that name is replaced in all that is recorded."""
    evidence: Mapping[str, int | str] | None = None
    details: Mapping[str, int | str] | None = None
    """What whoever reads the record again needs: nothing is ever read out of the words of its reason."""
    reason: str | None = None
    outcome: Outcome | None = None
    intent: int | None = None
    """The sequence of the intent that an outcome answers."""
    cycle: str | None = None
    actor: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields that are present, as the record holds them."""
        target = {"index": self.target[0], "uuid": self.target[1]} if self.target else None
        every = {
            "kind": self.kind.value,
            "category": self.category,
            "clause": self.clause,
            "action": self.action,
            "target": target,
            "evidence": dict(self.evidence) if self.evidence else None,
            "details": dict(self.details) if self.details else None,
            "reason": self.reason,
            "outcome": self.outcome.value if self.outcome else None,
            "intent": self.intent,
            "cycle": self.cycle,
            "actor": self.actor,
        }
        return {name: value for name, value in every.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: how far the ledger goes, and the hash that stands for all of it."""

    sequence: int = 0
    hash: str = GENESIS


def evidence_of(index: IndexFacts, documents: int) -> dict[str, int | str]:
    """Return the evidence of a record: how many documents go, and what the index held."""
    evidence: dict[str, int | str] = {"documents": documents, "bytes": index.bytes}
    if index.oldest is not None:
        evidence["oldest"] = format_instant(index.oldest)
    if index.newest is not None:
        evidence["newest"] = format_instant(index.newest)
    return evidence


def answer(
    intent: Record, outcome: Outcome, reason: str, documents: int | None = None, about: str | None = None
) -> Entry:
    """Return the outcome of an intent, to be recorded."""
    target = intent.get("target")
    return Entry(
        kind=Kind.OUTCOME,
        category=intent.get("category"),
        clause=intent.get("clause"),
        action=intent.get("action"),
        target=(target["index"], target["uuid"]) if target else None,
        about=about,
        evidence={"documents": documents} if documents is not None else None,
        reason=reason,
        outcome=outcome,
        intent=int(intent["sequence"]),
        cycle=intent.get("cycle"),
    )


def seal(fields: Mapping[str, Any], head: Head) -> dict[str, Any]:
    """Return the fields as the record that follows `head`."""
    record = {**fields, "sequence": head.sequence + 1, "previous": head.hash}
    return {**record, "hash": record_hash(record)}


def canonical(record: Record) -> bytes:
    """Return the canonical bytes of a record, its hash included if it has one.

    Raises ValueError for a value that is neither an integer, a string nor an object of such.
    """
    _only_plain_values(record)
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def record_hash(record: Record) -> str:
    """Return the hash that a record must carry, whatever it carries."""
    bare = {name: value for name, value in record.items() if name != "hash"}
    return hashlib.sha256(str(record["previous"]).encode() + canonical(bare)).hexdigest()


def is_last(records: Sequence[Record], head: Head) -> bool:
    """Whether the last of these records, which were stored together, is the head; of none it is not."""
    return bool(records) and records[-1].get("hash") == head.hash


def is_intact(record: Record) -> bool:
    """Whether a record carries the hash of what it says; its place in the chain is not looked at."""
    try:
        return record.get("hash") == record_hash(record)
    except (KeyError, ValueError):
        return False


def check_chain(
    records: Iterable[Record], *, known_heads: Iterable[Head] = (), see: Callable[[Record], None] = lambda _: None
) -> Head:
    """Return the head of a chain, from its first record on; `see` is given each record that fits.

    Raises LedgerBroken naming the first record that does not fit: changed, missing, swapped, or, where a head is known
    from elsewhere, missing at the end or rewritten together with all that follows.
    """
    heads: dict[int, set[str]] = {}
    for known in known_heads:
        if known.sequence > 0:
            heads.setdefault(known.sequence, set()).add(known.hash)
    head = Head()
    for record in records:
        head = _check_record(record, head)
        see(record)
        if heads.pop(head.sequence, {head.hash}) != {head.hash}:
            raise LedgerBroken(
                f"record {head.sequence}: it fits its neighbours, but not a head that is known from elsewhere",
                "compare the ledger with an export or with the checkpoints in the log; the records up to this "
                "one were rewritten",
            )
    if heads:
        raise LedgerBroken(
            f"record {head.sequence + 1}: missing, although a head is known at record {max(heads)}",
            "compare the ledger with an export or with the records in the log; its end is missing",
        )
    return head


def _check_record(record: Record, head: Head) -> Head:
    place = f"record {head.sequence + 1}"
    if record.get("sequence") != head.sequence + 1:
        raise LedgerBroken(f"{place}: missing; record {record.get('sequence')!r} is in its place", COMPARE)
    if record.get("previous") != head.hash:
        raise LedgerBroken(
            f"{place}: it does not follow record {head.sequence}, so one of the two was changed", COMPARE
        )
    try:
        expected = record_hash(record)
    except ValueError as error:
        raise LedgerBroken(f"{place}: {error}", COMPARE) from None
    if record.get("hash") != expected:
        raise LedgerBroken(f"{place}: its content does not match its hash, so it was changed", COMPARE)
    return Head(head.sequence + 1, expected)


def _only_plain_values(value: object, name: str = "record") -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _only_plain_values(inner, str(key))
    elif isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{name} is neither an integer nor a string")


def unanswered(records: Iterable[Record]) -> Iterator[Record]:
    """Yield each intent without an outcome, or with none but `unknown`, in their order."""
    waiting: dict[int, Record] = {}
    for record in records:
        if record.get("kind") == Kind.INTENT:
            waiting[int(record["sequence"])] = record
        elif record.get("kind") == Kind.OUTCOME and record.get("outcome") != Outcome.UNKNOWN:
            waiting.pop(int(record.get("intent", 0)), None)
    yield from waiting.values()
