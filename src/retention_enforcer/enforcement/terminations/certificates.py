"""Collects a certificate: from the registry and the ledger, and by looking again just now; writes nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from retention_enforcer.domain.coverage.snapshots import Snapshot, SnapshotsSeen, claimants_of
from retention_enforcer.domain.errors import ConfigurationError, LedgerBroken
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.ledger.records import Kind, Record, is_intact
from retention_enforcer.domain.policy.promises import ON_REQUEST, Policy
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.domain.terminations.certificate import Certificate, CertifiedPromise, KeptCopy
from retention_enforcer.domain.terminations.plan import (
    asked_in,
    goes_by_age,
    left_by_age,
    left_to_age,
    may_hold_until,
    not_narrowed,
    plan_purges,
    queries_of,
    should_have_ended,
)
from retention_enforcer.domain.terminations.records import forgotten_along, unfounded
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Termination, categories_of
from retention_enforcer.domain.wording import counted, verb
from retention_enforcer.enforcement.coverage.node_copies import CopiesBook
from retention_enforcer.enforcement.coverage.observer import SnapshotReader
from retention_enforcer.enforcement.erasure.eraser import ERASURE, PendingErasure
from retention_enforcer.enforcement.ledger.verifier import Verifier
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore, LedgerStore
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.commands import RequestCommands
from retention_enforcer.enforcement.terminations.observer import SubjectLook, SubjectObserver


class OutsideReader(Protocol):
    """Looks for subjects where no category governs."""

    def look(self, policy: Policy, subjects: Collection[Subject], now: int) -> tuple[dict[str, int], dict[str, str]]:
        """Return how many documents each index has, and why some cannot be asked."""


class CopiesReader(Protocol):
    """Reads what Elasticsearch itself keeps of indices."""

    def look(self, policy: Policy, subjects: Collection[Subject], clean: Mapping[str, int], now: int) -> list[KeptCopy]:
        """Return what was copied while something of these subjects may have been left, and is there still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certifier:
    """Makes certificates."""

    policy: Policy
    asking: RequestCommands
    registry: DocumentStore
    ledger: LedgerStore
    verifier: Verifier
    observer: SubjectObserver
    snapshots: SnapshotReader
    outside: OutsideReader
    copies: CopiesReader
    nodes: CopiesBook
    redactor: Redactor
    control: ControlStore
    clock: Clock

    def certify(self, subject: Subject) -> list[Certificate]:
        """Return a certificate for each termination and request of a subject, the newest first.

        Raises ConfigurationError where none is known.
        """
        known = sorted(self.asking.about(subject), key=lambda t: (t.registered_at, t.key), reverse=True)
        if not known:
            raise ConfigurationError(
                "no termination or erasure request of this subject is known",
                "check the list: retention-enforcer terminations",
            )
        snapshots = self.snapshots.read(self.policy)
        ledger = self._verify()
        return [self._certificate(replace(t, subject=subject), snapshots, ledger) for t in known]

    def _verify(self) -> _Ledger:
        """Verify the whole ledger, once for all certificates: a record is what it was if all before it are."""
        about: list[Record] = []
        try:
            found = self.verifier.verify(lambda r: about.append(r) if r.get("kind") == Kind.TERMINATION else None)
        except LedgerBroken as error:
            return _Ledger(about=(), problem=f"the ledger is not whole: {error.message}")
        problem = ""
        if since := found.checkpoints.unchecked_since:
            problem = (
                f"the last {counted(since, 'checkpoint')} of the ledger cannot be checked, because "
                "another key made them"
            )
        return _Ledger(about=about, problem=problem)

    def _certificate(self, termination: Termination, snapshots: SnapshotsSeen, ledger: _Ledger) -> Certificate:
        now = self.clock.now()
        found, doubts = self._look(termination)
        hashes, altered = self._hashes(termination)
        items = (
            *doubts,
            *altered,
            *_unproven(termination, ledger, self.redactor.pseudonyms),
            *(item for item in termination.open_items if item.kind == OpenItemKind.OWNER_UNDECIDED),
            *not_narrowed(self.policy, termination, now),
            *self._left_by_age(termination, now),
            *self._left_to_age(termination, now),
            *self._erasures(termination),
            *self._in_snapshots(termination, snapshots),
            *self._elsewhere(termination, now),
            *self.nodes.open_items(self.policy, termination),
        )
        return Certificate(
            as_of=now,
            termination=termination,
            times=self.asking.times(termination),
            promises=self._promises(termination),
            applications=tuple(self.redactor.pseudonyms.of(application) for application in termination.applications),
            hashes=hashes,
            found=found,
            open_items=tuple(replace(i, text=self._hide(i.text)) for i in dict.fromkeys(items)),
            head=self.ledger.head(),
        )

    def _hide(self, text: str) -> str:
        return self.redactor.text(text)

    def _without_ids(self, name: str, termination: Termination) -> str:
        """Return the name of an index outside the policy without the subject's id, which it may be named after."""
        for subject, _ in termination.subjects():
            alone = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(subject.id)}(?![A-Za-z0-9_])", re.IGNORECASE)
            name = alone.sub(self.redactor.pseudonyms.of(subject.id), name)
        return name

    def _look(self, termination: Termination) -> tuple[dict[str, int | None], list[OpenItem]]:
        scope = Scope.looking(self.policy, self.control.read())
        look = self.observer.look(scope, queries_of(self.policy, termination))
        found = {id_: _found(facts) for id_, facts in look.terminated.items()}
        return found, list(self._kept(termination, look))

    def _left_by_age(self, termination: Termination, now: int) -> Iterator[OpenItem]:
        """Yield what should have gone by its age, in categories that do not say whose it is, and may be there."""
        categories = should_have_ended(self.policy, termination, now)
        found = self.observer.look_at(Scope.looking(self.policy, self.control.read()), categories)
        for category in categories:
            yield from left_by_age(category, termination, found[category.id])

    def _left_to_age(self, termination: Termination, now: int) -> Iterator[OpenItem]:
        """Yield what a termination does not end: documents of the subject in categories that go by age alone."""
        categories = left_to_age(self.policy, termination)
        ids = frozenset(category.id for category in categories)
        queries = [replace(one, categories=ids) for one in queries_of(self.policy, termination)]
        look = self.observer.look(Scope.looking(self.policy, self.control.read()), queries)
        for category in categories:
            yield from goes_by_age(category, look.terminated[category.id], look.protected[category.id], now)

    def _kept(self, termination: Termination, look: SubjectLook) -> Iterator[OpenItem]:
        """Yield what could not be looked into, and why what was found is not purged: held, blocked, not to be told."""
        for id_, facts in look.terminated.items():
            category = self.policy.category(id_)
            asked = asked_in(self.policy, category, [termination])
            plan = plan_purges(category, facts, look.protected[id_], asked, self.clock.now())
            yield from plan.doubts.get(termination.key, ())

    def _promises(self, termination: Termination) -> tuple[CertifiedPromise, ...]:
        if termination.ask is Ask.ERASE:
            return (CertifiedPromise(category=ON_REQUEST, clause="deletion on request", limit=self.policy.on_request),)
        return tuple(
            CertifiedPromise(category=c.id, clause=str(c.clause), limit=c.after_termination)
            for c in categories_of(self.policy, termination.ask)
            if c.after_termination is not None
        )

    def _hashes(self, termination: Termination) -> tuple[dict[int, str], list[OpenItem]]:
        """Return the hashes of the records that the purges name, and which of these are not what they were."""
        hashes, items = {}, []
        for sequence in sorted({purged.record for purged in termination.purges}):
            record = self.ledger.get(sequence)
            if record is None or not is_intact(record):
                text = f"record {sequence} of the ledger is missing or altered; run `retention-enforcer ledger verify`"
                items.append(OpenItem(kind=OpenItemKind.LEDGER, text=text))
            else:
                hashes[sequence] = str(record["hash"])
        return hashes, items

    def _erasures(self, termination: Termination) -> Iterator[OpenItem]:
        for body in self.registry.all(ERASURE).values():
            erasing = PendingErasure.of(body)
            if termination.key in erasing.labels | erasing.again:
                progress = erasing.progress
                why = "; ".join(progress.reasons) or progress.act.doing
                text = f"deleted documents are still in the segment files of {progress.index} ({progress.uuid}): {why}"
                yield OpenItem(kind=OpenItemKind.ERASURE, text=text)

    def _in_snapshots(self, termination: Termination, seen: SnapshotsSeen) -> Iterator[OpenItem]:
        """Yield the snapshots that may hold documents of the subject.

        Those that were taken before nothing was left of it, and hold any index of a category that names it, also of one
        that goes by age: an index that went by its age, or has another name now, was not purged for it.
        """
        now = self.clock.now()
        clean = termination.erased_at if termination.erased_at is not None else now
        until = {purged.index: clean for purged in termination.purges}
        held_until = may_hold_until(self.policy, termination, now)
        ends = {(lifecycle.id, lifecycle.repository): lifecycle.expire_after for lifecycle in seen.lifecycles}
        for repository in seen.repositories:
            if repository.problem is not None:
                text = f"the snapshots in repository {repository.name} could not all be read: {repository.problem}"
                yield OpenItem(kind=OpenItemKind.SNAPSHOT, text=text)
            for snapshot in repository.snapshots:
                claimants = {id_ for name in snapshot.indices for id_ in claimants_of(self.policy, name)}
                holds = any(snapshot.taken <= held_until.get(id_, -1) for id_ in claimants)
                purged = any(snapshot.taken <= until.get(name, -1) for name in self._hidden(snapshot.indices))
                if purged or holds:
                    yield _in_snapshot(snapshot, ends.get((snapshot.policy or "", repository.name)), now)

    def _hidden(self, names: Sequence[str]) -> list[str]:
        return [self.redactor.index_name(name) for name in names]

    def _elsewhere(self, termination: Termination, now: int) -> Iterator[OpenItem]:
        subjects = [subject for subject, _ in termination.subjects()]
        found, indistinguishable = self.outside.look(self.policy, subjects, now)
        for name, documents in sorted(found.items()):
            where = self._without_ids(name, termination)
            text = f"{where}, outside the policy, has {counted(documents, 'document')} of the subject"
            yield OpenItem(kind=OpenItemKind.COPY, text=text)
        for name, why in sorted(indistinguishable.items()):
            text = f"{self._without_ids(name, termination)}, outside the policy, could not be searched: {why}"
            yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)
        for copy in self.copies.look(self.policy, subjects, may_hold_until(self.policy, termination, now), now):
            text = copy.text
            for name in copy.names:
                text = text.replace(name, self._without_ids(name, termination))
            yield OpenItem(kind=copy.kind, text=text, until=copy.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ledger:
    """The ledger, as far as certificates rest on it."""

    about: Sequence[Record]
    """Its records about terminations, where its chain is whole."""
    problem: str
    """Why nothing can be rested on it; else empty."""


def _unproven(termination: Termination, ledger: _Ledger, pseudonyms: Pseudonyms) -> Iterator[OpenItem]:
    """Yield why what the registry says of a termination is not proven by the ledger, and what neither says any more."""
    if ledger.problem:
        yield OpenItem(kind=OpenItemKind.LEDGER, text=f"{ledger.problem}; run `retention-enforcer ledger verify`")
        return
    for text in unfounded(termination, ledger.about, pseudonyms):
        yield OpenItem(kind=OpenItemKind.LEDGER, text=f"the registry says {text}, but the ledger has no record of it")
    if along := forgotten_along(termination, ledger.about):
        text = (
            f"{counted(along, 'application')} of the account {verb(along, 'is', 'are')} forgotten and can "
            "no longer be searched for"
        )
        yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)


def _found(facts: CategoryFacts) -> int | None:
    """Return how many documents were found; None where none was, and there is an index that cannot tell."""
    found = sum(index.matching_documents for index in facts.indices)
    return None if not found and (facts.indistinguishable or facts.set_apart) else found


def _in_snapshot(snapshot: Snapshot, expire_after: int | None, now: int) -> OpenItem:
    text = f"a snapshot in {snapshot.repository} ({snapshot.uuid}) was taken before the erasure was complete"
    if expire_after is not None and snapshot.taken + expire_after <= now:
        return OpenItem(
            kind=OpenItemKind.SNAPSHOT, text=f"{text}: its policy should have deleted it, but it still exists"
        )
    if expire_after is None:
        return OpenItem(kind=OpenItemKind.SNAPSHOT, text=f"{text}: it stays until somebody deletes it")
    return OpenItem(
        kind=OpenItemKind.SNAPSHOT, text=f"{text}: its policy deletes it", until=snapshot.taken + expire_after
    )
