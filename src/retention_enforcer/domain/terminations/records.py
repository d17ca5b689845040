"""What the ledger says about terminations: enough to tell what a registry that was lost does not say any more."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from retention_enforcer.domain.instants import MINUTE, format_instant, parse_instant
from retention_enforcer.domain.ledger.records import Kind, Record
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.states import Termination

REGISTERED, FORWARD, PURGED, EXPUNGED = "registered", "brought-forward", "purged", "expunge"
RESOLVED, FORGOTTEN = "resolved", "forgotten"
VERIFIED, ERASED, CLOSED, WATCH_ENDED = "verified", "erased", "closed", "watch-ended"
ENDED = frozenset({"cancelled", WATCH_ENDED, CLOSED})
"""Actions of these records."""

_SLACK = 10 * MINUTE

_WHO = re.compile(r"(?:terminate|erase) of (?:account|application|user) \S+, request \S+?(?=: |$)")
_PURGED_OF = re.compile(r": (\d+) documents of index (\S+?),")
_AT = re.compile(r": (?:terminated )?at (\S+Z)")
_RESOLVED_TO = re.compile(r": (\d+) applications(?:, (\S+))?")
_EXPUNGED_OF = re.compile(r"index (\S+?): ")


def who_of(termination: Termination) -> str:
    """Return how the records name a termination: what was asked for whom, under the pseudonym, and by which request."""
    return f"{termination.ask} of {termination.kind} {termination.pseudonym}, request {termination.key}"


def purged_of(documents: int, uuid: str, how: str) -> str:
    """Return how a record says what went of an index."""
    return f"{documents} documents of index {uuid}, {how}"


def expunged_of(uuid: str, how: str) -> str:
    """Return how a record says that an index is clean."""
    return f"index {uuid}: {how}"


def seen_at(instant: int, what: str) -> str:
    """Return how a record says when a milestone of a termination was seen."""
    return f"at {format_instant(instant)}, {what}"


def resolved_to(applications: Sequence[str], pseudonyms: Pseudonyms) -> str:
    """Return how a record says which applications go along with an account: how many, and which under one pseudonym."""
    return f"{len(applications)} applications, {_all_of(applications, pseudonyms)}"


def _all_of(applications: Sequence[str], pseudonyms: Pseudonyms) -> str:
    return pseudonyms.of("\n".join(applications))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a record says of a milestone."""

    at: int
    record: int
    slack: int
    """How far it may be from what is right: a record that does not say when is told by its own time."""

    @classmethod
    def of(cls, record: Record, words: str) -> _Seen:
        said = _AT.match(words)
        at = parse_instant(said[1] if said else str(record["time"]))
        return cls(at=at, record=int(record["sequence"]), slack=0 if said else _SLACK)

    def fits(self, instant: int) -> bool:
        return abs(self.at - instant) <= self.slack


def unfounded(termination: Termination, records: Collection[Record], pseudonyms: Pseudonyms) -> list[str]:
    """Return what the registry says of a termination, and the ledger does not: it may have been written by hand.

    `records` are all of a ledger that is whole, or those about this termination.
    """
    who, told, purged_until, took = who_of(termination), dict[str, list[_Seen]](), 0, set[tuple[int, str]]()
    for record in records:
        action, reason = str(record.get("action")), str(record.get("reason", ""))
        named = _WHO.match(reason)
        if record.get("kind") != Kind.TERMINATION or named is None or named.group() != who:
            continue
        words = reason[named.end() :]
        told.setdefault(action, []).append(_Seen.of(record, words))
        if action == PURGED and (purged := _PURGED_OF.match(words)):
            purged_until = int(record["sequence"])
            took.add((int(purged[1]), purged[2]))
    texts = []
    asked = [*told.get(REGISTERED, ()), *told.get(FORWARD, ())]
    if not any(seen.fits(termination.terminated_at) for seen in asked):
        texts.append(f"that it was asked for from {format_instant(termination.terminated_at)} on")
    for action, instant, what in (
        (VERIFIED, termination.purged_at, "no document of it was left"),
        (ERASED, termination.erased_at, "all was erased"),
    ):
        since = (seen for seen in told.get(action, ()) if seen.record > purged_until)
        if instant is not None and not any(seen.fits(instant) for seen in since):
            texts.append(f"that {what} at {format_instant(instant)}")
    if termination.closed_at is not None and not told.keys() & {CLOSED, WATCH_ENDED}:
        texts.append(f"that it was closed at {format_instant(termination.closed_at)}")
    forgotten = not termination.applications and FORGOTTEN in told
    if not forgotten and not _fits(termination.applications, _resolved(who, records), pseudonyms):
        texts.append(f"that {len(termination.applications)} applications went along, and which")
    texts += [
        f"that {purged.documents} documents of index {purged.uuid} were purged"
        for purged in termination.purges
        if (purged.documents, purged.uuid) not in took
    ]
    return texts


def forgotten_along(termination: Termination, records: Iterable[Record]) -> int:
    """Return how many applications went along of which nobody knows any more which these are."""
    told = None if termination.applications else _resolved(who_of(termination), records)
    return int(told[1]) if told is not None else 0


def _resolved(who: str, records: Iterable[Record]) -> re.Match[str] | None:
    """Return what the last record says of which applications go along; None where there is none."""
    told = None
    for record in records:
        reason = str(record.get("reason", ""))
        if record.get("action") == RESOLVED and (named := _WHO.match(reason)) and named.group() == who:
            told = _RESOLVED_TO.match(reason[named.end() :])
    return told


def _fits(applications: Sequence[str], told: re.Match[str] | None, pseudonyms: Pseudonyms) -> bool:
    """Whether these are the applications of a record; one under another key, or of an older version, tells how many."""
    if told is None:
        return not applications
    which = told[2]
    same = not which or not pseudonyms.made(which) or which == _all_of(applications, pseudonyms)
    return same and int(told[1]) == len(applications)


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
    for record in records:
        action, reason = record.get("action"), str(record.get("reason", ""))
        if record.get("kind") != Kind.TERMINATION:
            continue
        named, purged = _WHO.match(reason), _PURGED_OF.search(reason)
        if action == EXPUNGED and (expunged := _EXPUNGED_OF.match(reason)):
            unclean.pop(expunged[1], None)
        elif named is not None and action == REGISTERED:
            registered.add(named.group())
        elif named is not None and action in ENDED:
            ended.add(named.group())
        elif named is not None and action == PURGED and purged is not None:
            unclean[purged[2]] = unclean.get(purged[2], frozenset()) | {named.group()}
    return LedgerHistory(open=frozenset(registered - ended), ended=frozenset(ended), unclean=unclean)
