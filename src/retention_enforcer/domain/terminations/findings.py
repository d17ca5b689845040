"""What a person has to know about terminations; without any id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.policy.promises import ON_REQUEST
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.domain.terminations.requests import CHANGED
from retention_enforcer.domain.terminations.states import OpenItemKind, Termination
from retention_enforcer.domain.wording import counted, verb

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbiguousOwner:
    """Applications of which it cannot be told whether they belong to an account."""

    text: str
    """Why not."""
    applications: frozenset[str] = frozenset()
    """Which; none where nothing at all is known, so that the account has to wait."""

    @property
    def is_blind(self) -> bool:
        """Whether nothing at all is known of the account's applications."""
        return not self.applications


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """What a run could not do, or must not."""

    refused: Mapping[int, str] = field(default_factory=dict)
    """Malformed requests by their places, and why."""
    undecided: Mapping[str, AmbiguousOwner] = field(default_factory=dict)
    """By termination, why not all applications of its account are taken along."""
    unblocked: Mapping[str, str] = field(default_factory=dict)
    """By the uuid of its index, why a write block that was lifted is not back."""
    returned: Mapping[str, int] = field(default_factory=dict)
    """By closed termination, how many documents of its subject there are again."""
    overruled: Mapping[int, str] = field(default_factory=dict)
    """By the place of a reinstatement that does not reach its subject, the termination with which that goes along."""
    late: frozenset[str] = frozenset()
    """Terminations whose promise is over, and not everything is erased."""


def termination_findings(terminations: Iterable[Termination], undone: Outstanding) -> Iterator[Finding]:
    """Yield the findings, one a termination and a cause; those that wait are one, and those in doubt."""
    known = {termination.key: termination for termination in terminations}
    waiting = [termination for termination in known.values() if termination.waits]
    if waiting:
        yield _finding(
            FindingKind.TERMINATION_WAITING,
            "approval",
            f"{counted(len(waiting), 'termination')} "
            + verb(
                len(waiting),
                "waits for approval while its deadline approaches",
                "wait for approval while their deadlines approach",
            ),
            "check `retention-enforcer terminations`, then run retention-enforcer terminations approve",
        )
    for key in sorted(undone.late & known.keys()):
        items = "; ".join(item.text for item in known[key].open_items) or "its purge is not complete"
        text = f"{_who(known[key])} is past its limit: {items}"
        remedy = "fix these causes; the next cycle continues"
        yield _finding(FindingKind.TERMINATION_LATE, key, text, remedy)
    for key, termination in known.items():
        causes = "; ".join(_causes(termination, OpenItemKind.PURGE_FAILED))
        if causes and termination.is_open:
            text = f"the purge for {_who(termination)} is not complete: {causes}"
            remedy = "fix these causes; the next cycle tries again"
            yield _finding(FindingKind.PURGE_FAILED, key, text, remedy)
    yield from _unproven(known.values())
    for key, undecided in sorted(undone.undecided.items()):
        remedy = "correct the documents that name the account of an application"
        yield _finding(FindingKind.OWNER_UNDECIDED, key, f"{_who(known[key])}: {undecided.text}", remedy)
    for uuid, why in sorted(undone.unblocked.items()):
        text = f"the write block of index {uuid} was removed for a deletion and is not restored: {why}"
        remedy = "set index.blocks.write on that index, or fix the cause"
        yield _finding(FindingKind.BLOCK_NOT_RESTORED, uuid, text, remedy)
    for key, documents in sorted(undone.returned.items()):
        text = (
            f"{_who(known[key])} is closed, but {counted(documents, 'new document')} "
            f"{verb(documents, 'was', 'were')} found"
        )
        remedy = "stop what writes them, or request another termination or erasure"
        yield _finding(FindingKind.RETURNED, key, text, remedy)
    for place, key in sorted(undone.overruled.items()):
        what = "an application" if known[key].kind is SubjectKind.ACCOUNT else "a user"
        text = f"a reinstatement of {what} is refused, because its data is purged with {_who(known[key])}"
        remedy = f"{_instead(known[key])}, or {_delete(place)}"
        yield _finding(FindingKind.REINSTATEMENT_REFUSED, str(place), text, remedy)
    for place, why in sorted(undone.refused.items()):
        remedy = _delete(place) if why == CHANGED else _delete(place, "delete or correct")
        yield _finding(FindingKind.REQUEST_REFUSED, str(place), f"a request is refused: {why}", remedy)


def _unproven(terminations: Iterable[Termination]) -> Iterator[Finding]:
    """Yield one finding for all of whom it cannot be told what there is: nothing of that is purged."""
    doubted = [causes for t in terminations if t.is_open and (causes := _causes(t, OpenItemKind.NOT_LOOKED_INTO))]
    if doubted:
        causes = list(dict.fromkeys(text for texts in doubted for text in texts))
        named = "; ".join(causes[:_NAMED])
        more = f"; and {counted(len(causes) - _NAMED, 'more cause')}" if len(causes) > _NAMED else ""
        whose = counted(len(doubted), "termination or erasure request", "terminations and erasure requests")
        yield _finding(
            FindingKind.PURGE_UNPROVEN,
            "doubts",
            f"it is unknown whether everything is purged for {whose}: {named}{more}",
            "check `retention-enforcer terminations` and fix the causes; the next cycle tries again",
        )


def _causes(termination: Termination, kind: OpenItemKind) -> list[str]:
    return [item.text for item in termination.open_items if item.kind == kind]


def _instead(termination: Termination) -> str:
    if termination.kind is SubjectKind.ACCOUNT:
        other = "write a newer document that names its new account"
        return f"reinstate that account and then this one again, or before its purge {other}"
    return "reinstate that application and then this one again"


def _delete(place: int, how: str = "delete") -> str:
    return f"{how} the document with _seq_no {place} in retention-requests"


def _who(termination: Termination) -> str:
    return f"the {termination.ask} of {termination.kind} {termination.pseudonym}"


def _finding(kind: FindingKind, about: str, text: str, remedy: str) -> Finding:
    return Finding.of(kind, ON_REQUEST, text, remedy, about=about)
