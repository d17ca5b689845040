"""What the ledger says about terminations: enough to tell what a registry that was lost does not say any more.

A record says it twice: in its `details`, for whoever reads it again, and in its `reason`, for a person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from retention_enforcer.domain.instants import MINUTE, format_instant, parse_instant
from retention_enforcer.domain.ledger.records import Entry, Kind, Record
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.old_records import fields_in_words
from retention_enforcer.domain.terminations.states import Termination
from retention_enforcer.domain.wording import counted, verb

REGISTERED, FORWARD, PURGED, EXPUNGED = "registered", "brought-forward", "purged", "expunge"
RESOLVED, FORGOTTEN = "resolved", "forgotten"
VERIFIED, ERASED, CLOSED, WATCH_ENDED = "verified", "erased", "closed", "watch-ended"
ENDED = frozenset({"cancelled", WATCH_ENDED, CLOSED})
"""Actions of these records."""

_SLACK = 10 * MINUTE


# --- written ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What a record says, in words and in fields. Neither names an id."""

    text: str = ""
    details: Mapping[str, int | str] = field(default_factory=dict)


def entry_about(termination: Termination, action: str, said: Said, actor: str) -> Entry:
    """Return what is to be recorded of a termination."""
    who = who_of(termination)
    about: dict[str, int | str] = {
        "ask": str(termination.ask),
        "subject_kind": str(termination.kind),
        "subject": termination.pseudonym,
        "request": termination.key,
    }
    return Entry(
        kind=Kind.TERMINATION,
        action=action,
        details={**about, **said.details},
        reason=f"{who}: {said.text}" if said.text else who,
        actor=actor,
    )


def expunged_entry(uuid: str, how: str) -> Entry:
    """Return what is to be recorded of an index that is clean."""
    return Entry(kind=Kind.TERMINATION, action=EXPUNGED, details={"uuid": uuid}, reason=f"index {uuid}: {how}")


def who_of(termination: Termination) -> str:
    """Return how the records name a termination: what was asked for whom, under the pseudonym, and by which request."""
    return _who(termination.ask, termination.kind, termination.pseudonym, termination.key)


def _who(ask: str, kind: str, pseudonym: str, key: str) -> str:
    return f"{ask} of {kind} {pseudonym}, request {key}"


def purged_of(documents: int, uuid: str, how: str) -> Said:
    """Return how a record says what went of an index."""
    return Said(f"{documents} documents of index {uuid}, {how}", {"documents": documents, "uuid": uuid})


def terminated_at(instant: int, more: str = "") -> Said:
    """Return how a record says from when on a termination counts."""
    return Said(f"terminated at {format_instant(instant)}{more}", {"at": format_instant(instant)})


def seen_at(instant: int, what: str) -> Said:
    """Return how a record says when a milestone of a termination was seen."""
    return Said(f"at {format_instant(instant)}, {what}", {"at": format_instant(instant)})


def resolved_to(applications: Sequence[str], pseudonyms: Pseudonyms) -> Said:
    """Return how a record says which applications go along with an account: how many, and which under one pseudonym."""
    together = _all_of(applications, pseudonyms)
    details: dict[str, int | str] = {"applications": len(applications), "together": together}
    return Said(f"{len(applications)} applications, {together}", details)


def _all_of(applications: Sequence[str], pseudonyms: Pseudonyms) -> str:
    return pseudonyms.of("\n".join(applications))


# --- read ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminationRecord:
    """What one record says of a termination, or of an index from which documents of one went."""

    sequence: int
    action: str
    who: str = ""
    """The termination, by `who_of`; empty in a record about an index."""
    at: int
    """When what it tells was so; where it does not say, when it was written."""
    slack: int = 0
    """How far `at` may be from what is right, in milliseconds."""
    documents: int | None = None
    uuid: str = ""
    applications: int | None = None
    together: str = ""

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """Read it; None for a record about something else."""
        if record.get("kind") != Kind.TERMINATION:
            return None
        said = _fields(record.get("details")) or fields_in_words(record)
        if not said:
            return None
        when = {} if "at" in said else {"at": parse_instant(str(record["time"])), "slack": _SLACK}
        return cls(sequence=int(record["sequence"]), action=str(record.get("action")), **said | when)

    def fits(self, instant: int) -> bool:
        """Whether it tells of this instant."""
        return abs(self.at - instant) <= self.slack


def _fields(details: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a record's details say of a termination or an index; empty where it says neither."""
    if not details or not details.keys() & {"request", "uuid"}:
        return {}
    said = {name: details[name] for name in ("documents", "uuid", "applications", "together") if name in details}
    if "at" in details:
        said["at"] = parse_instant(str(details["at"]))
    if "request" in details:
        said["who"] = _who(*(str(details.get(name, "")) for name in ("ask", "subject_kind", "subject", "request")))
    return said


def _about(records: Iterable[Record], who: str | None = None) -> Iterator[TerminationRecord]:
    for record in records:
        said = TerminationRecord.of(record)
        if said is not None and who in (None, said.who):
            yield said


def unfounded(termination: Termination, records: Collection[Record], pseudonyms: Pseudonyms) -> list[str]:
    """Return what the registry says of a termination, and the ledger does not: it may have been written by hand.

    `records` are all of a ledger that is whole, or those about this termination.
    """
    told, purged_until, took = dict[str, list[TerminationRecord]](), 0, set[tuple[int, str]]()
    for said in _about(records, who_of(termination)):
        told.setdefault(said.action, []).append(said)
        if said.action == PURGED and said.documents is not None:
            purged_until = said.sequence
            took.add((said.documents, said.uuid))
    texts = []
    asked = [*told.get(REGISTERED, ()), *told.get(FORWARD, ())]
    if not any(said.fits(termination.terminated_at) for said in asked):
        texts.append(f"that it was requested with effect from {format_instant(termination.terminated_at)}")
    for action, instant, what in (
        (VERIFIED, termination.purged_at, "no document was left"),
        (ERASED, termination.erased_at, "everything was erased"),
    ):
        since = (said for said in told.get(action, ()) if said.sequence > purged_until)
        if instant is not None and not any(said.fits(instant) for said in since):
            texts.append(f"that {what} at {format_instant(instant)}")
    if termination.closed_at is not None and not told.keys() & {CLOSED, WATCH_ENDED}:
        texts.append(f"that it was closed at {format_instant(termination.closed_at)}")
    forgotten = not termination.applications and FORGOTTEN in told
    if not forgotten and not _fits(termination.applications, _resolved(told.get(RESOLVED, ())), pseudonyms):
        number = counted(len(termination.applications), "application")
        texts.append(f"that {number} belonged to it, and which")
    texts += [
        f"that {counted(purged.documents, 'document')} of index {purged.uuid} "
        f"{verb(purged.documents, 'was', 'were')} purged"
        for purged in termination.purges
        if (purged.documents, purged.uuid) not in took
    ]
    return texts


def forgotten_along(termination: Termination, records: Iterable[Record]) -> int:
    """Return how many applications went along of which nobody knows any more which these are."""
    if termination.applications:
        return 0
    told = _resolved(said for said in _about(records, who_of(termination)) if said.action == RESOLVED)
    return (told.applications or 0) if told is not None else 0


def _resolved(told: Iterable[TerminationRecord]) -> TerminationRecord | None:
    """Return the last record of which applications go along, None where there is none or it does not say how many."""
    last = None
    for said in told:
        last = said if said.applications is not None else None
    return last


def _fits(applications: Sequence[str], told: TerminationRecord | None, pseudonyms: Pseudonyms) -> bool:
    """Whether these are the applications of a record; one under another key, or of an older version, tells how many."""
    if told is None:
        return not applications
    which = told.together
    same = not which or not pseudonyms.made(which) or which == _all_of(applications, pseudonyms)
    return same and told.applications == len(applications)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHistory:
    """What the ledger tells of terminations."""

    open: frozenset[str] = frozenset()
    """Those that were registered and have not ended, by `who_of`."""
    ended: frozenset[str] = frozenset()
    unclean: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By the uuid of an index from which documents went and that was not expunged since, for whom they went."""


def history_in(records: Iterable[Record]) -> LedgerHistory:
    """Return what the ledger tells of terminations, from its beginning."""
    registered, ended = set[str](), set[str]()
    unclean: dict[str, frozenset[str]] = {}
    for said in _about(records):
        if said.action == EXPUNGED:
            unclean.pop(said.uuid, None)
        elif said.who and said.action == REGISTERED:
            registered.add(said.who)
        elif said.who and said.action in ENDED:
            ended.add(said.who)
        elif said.who and said.action == PURGED and said.documents is not None:
            unclean[said.uuid] = unclean.get(said.uuid, frozenset()) | {said.who}
    return LedgerHistory(open=frozenset(registered - ended), ended=frozenset(ended), unclean=unclean)
