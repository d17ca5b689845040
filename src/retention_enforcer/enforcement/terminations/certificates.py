"""Collects a certificate: from the registry and the ledger, and by looking again just now; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from retention_enforcer.domain.coverage.snapshots import SnapshotsSeen
from retention_enforcer.domain.errors import ConfigurationError, LedgerBroken
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.ledger.records import Kind, Record, is_intact
from retention_enforcer.domain.policy.promises import ON_REQUEST, Policy
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.domain.terminations.certificate import Certificate, CertifiedPromise
from retention_enforcer.domain.terminations.plan import (
    asked_in,
    goes_by_age,
    left_by_age,
    left_to_age,
    not_narrowed,
    plan_purges,
    queries_of,
    should_have_ended,
)
from retention_enforcer.domain.terminations.records import forgotten_along, unfounded
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Termination, categories_of
from retention_enforcer.domain.wording import counted, verb
from retention_enforcer.enforcement.erasure.eraser import ERASURE, PendingErasure
from retention_enforcer.enforcement.ledger.verifier import Verifier
from retention_enforcer.enforcement.ports import Clock, ControlStore, LedgerStore
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.known import KnownTerminations
from retention_enforcer.enforcement.terminations.observer import SubjectLook, SubjectObserver
from retention_enforcer.enforcement.terminations.other_places import OtherPlaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Certifier:
    """Makes certificates."""

    known: KnownTerminations
    ledger: LedgerStore
    verifier: Verifier
    observer: SubjectObserver
    places: OtherPlaces
    redactor: Redactor
    control: ControlStore
    clock: Clock

    @property
    def policy(self) -> Policy:
        """Under what they are made."""
        return self.known.policy

    def certify(self, subject: Subject) -> list[Certificate]:
        """Return a certificate for each termination and request of a subject, the newest first.

        Raises ConfigurationError where none is known.
        """
        known = sorted(self.known.about(subject), key=lambda t: (t.registered_at, t.key), reverse=True)
        if not known:
            raise ConfigurationError(
                "no termination or erasure request of this subject is known",
                "check the list: retention-enforcer terminations",
            )
        snapshots = self.places.snapshots.read(self.policy)
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
            *self.places.open_items(self.policy, termination, snapshots, now),
        )
        return Certificate(
            as_of=now,
            termination=termination,
            times=self.known.times(termination),
            promises=self._promises(termination),
            applications=tuple(self.redactor.pseudonyms.of(application) for application in termination.applications),
            hashes=hashes,
            found=found,
            open_items=tuple(replace(i, text=self._hide(i.text)) for i in dict.fromkeys(items)),
            head=self.ledger.head(),
        )

    def _hide(self, text: str) -> str:
        return self.redactor.text(text)

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
        for body in self.known.registry.all(ERASURE).values():
            erasing = PendingErasure.of(body)
            if termination.key in erasing.labels | erasing.again:
                progress = erasing.progress
                why = "; ".join(progress.reasons) or progress.act.doing
                text = f"deleted documents are still in the segment files of {progress.index} ({progress.uuid}): {why}"
                yield OpenItem(kind=OpenItemKind.ERASURE, text=text)


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
