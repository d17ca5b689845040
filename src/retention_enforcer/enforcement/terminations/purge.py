"""Purges what terminated subjects have in the indices, and writes down what went of whom, and what is left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.plan import Action, Purge
from retention_enforcer.domain.policy.claims import claimants_by_name
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.identity import Condition, Match
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.domain.terminations.findings import AmbiguousOwner
from retention_enforcer.domain.terminations.plan import (
    SubjectPlan,
    asked_in,
    goes_whole_at,
    not_narrowed,
    plan_purges,
    queries_of,
    queries_of_ambiguous,
    without_rollover,
)
from retention_enforcer.domain.terminations.records import PURGED, VERIFIED, LedgerHistory, purged_of, seen_at, who_of
from retention_enforcer.domain.terminations.states import (
    OpenItem,
    OpenItemKind,
    Purged,
    Termination,
    after_look,
    categories_of,
    times_of,
)
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.erasure.eraser import OWN, Eraser, PendingErasure
from retention_enforcer.enforcement.erasure.write_blocks import WriteBlocks
from retention_enforcer.enforcement.expiry.purge import Purger, Results
from retention_enforcer.enforcement.ports import Clock, SubjectCounter
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terminations.observer import SubjectLook, SubjectObserver
from retention_enforcer.enforcement.terminations.registrar import TerminationRecorder

_log = structlog.get_logger()


@dataclass(slots=True)
class Left:
    """What there is of whom."""

    documents: dict[str, int] = field(default_factory=dict)
    """By termination."""
    doubts: dict[str, list[OpenItem]] = field(default_factory=dict)
    """By termination, which indices did not say how much they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeObservation:
    """What one look found for those whose purge is due, and what is to be purged of it."""

    due: Mapping[str, Termination]
    look: SubjectLook
    plans: Mapping[str, SubjectPlan]

    @property
    def has_purges(self) -> bool:
        """Whether anything is to be purged."""
        return any(plan.purges for plan in self.plans.values())

    @property
    def whole(self) -> frozenset[str]:
        """The uuids of the indices that are to go whole."""
        purges = (purge for plan in self.plans.values() for purge in plan.purges)
        return frozenset(purge.facts.uuid for purge in purges if purge.action is Action.DELETE_INDEX)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPurge:
    """One pass after another; `terminations` are all that are remembered, and kept up to date."""

    book: TerminationRecorder
    observer: SubjectObserver
    counts: SubjectCounter
    purger: Purger
    write_blocks: WriteBlocks
    eraser: Eraser
    redactor: Redactor
    clock: Clock
    grace: int

    def look(
        self, scope: Scope, due: Mapping[str, Termination], undecided: Mapping[str, AmbiguousOwner]
    ) -> PurgeObservation:
        """Return what the indices have of those that are due, and what is to be purged of it.

        The documents that may say whose an application is stay for as long as that cannot be told.
        """
        queries = [one for termination in due.values() for one in queries_of(scope.policy, termination)]
        also_protected = queries_of_ambiguous(
            scope.policy, due.values(), {key: one.applications for key, one in undecided.items()}
        )
        look = self.observer.look(scope, queries, also_protected)
        return PurgeObservation(due=due, look=look, plans=self._plans(scope.policy, look, due))

    def carry_out(
        self,
        scope: Scope,
        category: Category,
        purges: Sequence[Purge],
        terminations: MutableMapping[str, Termination],
        failures: dict[str, str],
        cycle: str,
    ) -> None:
        """Carry purges of one category out.

        `failures` says by the uuid of an index why the last purge of it did not succeed, and is kept up to date.
        """
        announced = [(purge, self._announce(scope.policy, category, purge, terminations)) for purge in purges]
        counted = {purge.facts.uuid: took for purge, took in announced if took is not None}
        ready = [purge for purge, took in announced if took is not None]
        results = Results()
        try:
            with self.write_blocks.lifted([purge for purge in ready if purge.takes is not None], cycle):
                self.purger.carry_out(category, ready, cycle, results, scope.control.holds)
            again = [without_rollover(purge) for purge in ready if purge.facts.uuid in results.refused]
            results.changed -= results.refused.keys()
            with self.write_blocks.lifted(again, cycle):
                self.purger.carry_out(category, again, cycle, results, scope.control.holds)
        finally:
            for done in results.done:
                took = done.by_label if done.purge.takes is not None else counted[done.purge.facts.uuid]
                self._note(category.id, done.purge.facts, took, terminations, record=done.record)
                failures.pop(done.purge.facts.uuid, None)
            for uuid, (purge, reason) in results.failures.items():
                if uuid not in results.changed:
                    failures[uuid] = f"{purge.action} of {purge.facts.name} failed: {reason}"

    def announce_whole(
        self, scope: Scope, plans: Mapping[str, SubjectPlan], terminations: Mapping[str, Termination]
    ) -> dict[str, list[IndexFacts]]:
        """Return by category what has to go whole and could not be deleted: others do it as soon as that is possible.

        Announced as if it had been interrupted, so that the next run writes down what it took. What cannot be announced
        nobody is to delete: it would be counted for nobody.
        """
        whole: dict[str, list[IndexFacts]] = {}
        for category in (scope.policy.category(id_) for id_ in plans):
            purges = plans[category.id].purges if category.enforce else []
            those = [purge for purge in purges if purge.action is Action.DELETE_INDEX]
            facts = [purge.facts for purge in those if self._is_announced(scope.policy, category, purge, terminations)]
            if facts:
                whole[category.id] = facts
        return whole

    def _is_announced(
        self, policy: Policy, category: Category, purge: Purge, terminations: Mapping[str, Termination]
    ) -> bool:
        """Announce a purge; whether it is announced now, by this run or by an earlier one."""
        if self._announce(policy, category, purge, terminations) is not None:
            return True
        earlier = self.eraser.pending().get(purge.facts.uuid)
        return earlier is not None and bool(earlier.expected)

    def note_interrupted(self, scope: Scope, terminations: MutableMapping[str, Termination]) -> None:
        """Write down what purges took that could not say so themselves: what is not there any more.

        Looked for on behalf of those for whom they were, whether or not anything is due for them now.
        """
        interrupted = {uuid: one for uuid, one in self.eraser.pending().items() if one.expected}
        concerned = {label for one in interrupted.values() for label in one.expected} & terminations.keys()
        if not interrupted:
            return
        queries = [one for label in sorted(concerned) for one in queries_of(scope.policy, terminations[label])]
        look = self.observer.look(scope, queries)
        for uuid, erasing in interrupted.items():
            self._note_interrupted_one(scope.policy, uuid, erasing, look, terminations)

    def _note_interrupted_one(
        self,
        policy: Policy,
        uuid: str,
        erasing: PendingErasure,
        look: SubjectLook,
        terminations: MutableMapping[str, Termination],
    ) -> None:
        category, facts = look.place_of(uuid)
        if facts is None and not self.purger.is_gone(uuid):
            self._give_up_if_ungoverned(policy, uuid, erasing, terminations)
            return  # it cannot be looked into now
        left = self._count(facts, facts.matches) if facts and facts.matching_documents else {}
        if left is None:
            return
        # Who was counted in places that the index cannot tell any more is left out: that must not keep others waiting.
        told = erasing.expected.keys() & terminations.keys()
        if facts is not None:
            now = _places_of(facts)
            told = {label for label in told if now.get(label, set()) >= set(erasing.places[label])}
        took = {
            label: erasing.expected[label] - left.get(label, 0)
            for label in told
            if erasing.expected[label] > left.get(label, 0) and not _is_noted(terminations[label], erasing)
        }
        known = IndexFacts.bare(erasing.progress.index, uuid) if facts is None else facts
        self._note(category or _category_of(policy, known.name), known, took, terminations)

    def _give_up_if_ungoverned(
        self, policy: Policy, uuid: str, erasing: PendingErasure, terminations: Mapping[str, Termination]
    ) -> None:
        """Count no longer what went of an index that the policy does not claim any more, or of nobody who is known."""
        governed = bool(claimants_by_name(policy, erasing.progress.index))
        if governed and erasing.expected.keys() & terminations.keys():
            return
        _log.warning(
            f"what an interrupted purge deleted from index {uuid} is not counted, because no category claims "
            "it any more",
            **{"event.action": "count", "event.outcome": "failure"},
        )
        self.eraser.noted(uuid)

    def take_stock(
        self,
        policy: Policy,
        seen: PurgeObservation,
        terminations: MutableMapping[str, Termination],
        undecided: Mapping[str, AmbiguousOwner],
        failures: Mapping[str, str],
    ) -> None:
        """Write down what is left of whom, where it was looked for, and why it could not be purged."""
        now, look, plans = self.clock.now(), seen.look, seen.plans
        left = self.left(look)
        for key in seen.due:
            termination, found = terminations[key], left.documents.get(key, 0)
            doubts = (item for plan in plans.values() for item in plan.doubts.get(key, []))
            items = [item for item in doubts if found or item.kind != OpenItemKind.HELD]
            items += left.doubts.get(key, [])
            items += _refused(seen.plans.values(), key, failures)
            items += not_narrowed(policy, termination, now)
            if key in undecided:
                items.append(OpenItem(kind=OpenItemKind.OWNER_UNDECIDED, text=undecided[key].text))
            looked_in = {
                category.id: sum(
                    key not in look.indistinguishable_labels(category.id, index.name)
                    for index in look.terminated[category.id].indices
                )
                for category in categories_of(policy, termination.ask)
                if category.id in look.terminated
            }
            hidden = self._hidden(items)
            changed = after_look(termination, left=found, open_items=hidden, looked_in=looked_in, now=now)
            if changed == termination:
                continue
            terminations[key] = changed
            if changed.purged_at is not None and termination.purged_at is None:
                text = seen_at(
                    changed.purged_at, f"no document is left, {counted(changed.documents, 'document')} purged"
                )
                self.book.record(changed, VERIFIED, text)
            self.book.save(changed)

    def left(self, look: SubjectLook) -> Left:
        """Return how many documents there are of whom; an index that does not say so is a doubt, and stops no other."""
        left = Left()
        for facts in look.terminated.values():
            for index in facts.indices:
                if not index.matching_documents:
                    continue
                counted = self._count(index, index.matches)
                if counted is None:
                    text = f"the documents of {index.name} could not be counted by subject"
                    item = OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)
                    for label in {match.label for match in index.matches}:
                        left.doubts.setdefault(label, []).append(item)
                    continue
                for label, documents in counted.items():
                    left.documents[label] = left.documents.get(label, 0) + documents
        return left

    def begin_again(self, terminations: Mapping[str, Termination], told: LedgerHistory) -> None:
        """Begin the erasures that the ledger knows of and a registry that was lost does not: their files hold bytes."""
        labels = {who_of(termination): key for key, termination in terminations.items()}
        there = self.purger.names_of(told.unclean) if told.unclean else {}
        for uuid, name in there.items():
            concerned = sorted({labels[who] for who in told.unclean[uuid] if who in labels} or {OWN})
            if uuid not in self.eraser.pending():
                self.eraser.begin(name, uuid, concerned)

    # --- single steps ---

    def _announce(
        self, policy: Policy, category: Category, purge: Purge, terminations: Mapping[str, Termination]
    ) -> dict[str, int] | None:
        """Write down what a purge is about to take of whom, so that neither count nor bytes are lost in a crash.

        The bytes of all whom it asks for: what comes while it runs goes with it, also of one who had nothing there.
        None where the index does not say how much it has of whom: then nothing is taken.
        """
        facts = purge.facts
        under_way = self.eraser.pending().get(facts.uuid)
        if under_way is not None and under_way.expected:
            return None  # what an interrupted purge took of it is not counted yet
        counted = self._count(facts, facts.matches) if facts.matches else {}
        if counted is None or not self._takes_any(purge):
            return None
        labels = sorted({match.label for match in facts.matches})
        times = [times_of(policy, terminations[label], self.grace).deadline(terminations[label]) for label in labels]
        goes = goes_whole_at(category, purge, policy.margin)
        not_before = goes if goes is not None and goes <= min(times, default=goes) else None
        self.eraser.begin(facts.name, facts.uuid, labels, counted, _places_of(facts), not_before)
        return counted

    def _takes_any(self, purge: Purge) -> bool:
        """Whether a purge of documents has any to take: all that there are may be held, or say whose others are."""
        return not purge.spare or bool(self._count(purge.facts, purge.facts.matches, purge.spare))

    def _count(self, index: IndexFacts, matches: Iterable[Match], spare: Sequence[Match] = ()) -> dict[str, int] | None:
        """Return how many documents each label has in an index, None where it does not say so now."""
        try:
            return self.counts.by_label(index.name, matches, spare)
        except (ClusterUnavailable, RequestRejected) as error:
            _log.warning(
                f"the documents of index {index.uuid} could not be counted by subject",
                **{"event.action": "count", "event.outcome": "failure", "error.type": type(error).__name__},
            )
            return None

    def _note(
        self,
        category: str,
        facts: IndexFacts,
        took: Mapping[str, int],
        terminations: MutableMapping[str, Termination],
        *,
        record: int | None = None,
    ) -> None:
        """Write down what a purge took of whom; without a record it is one that was interrupted."""
        for label, documents in sorted(took.items()):
            termination = terminations[label]
            how = f"outcome {record}" if record is not None else "interrupted, counted afterwards"
            written = self.book.record(termination, PURGED, purged_of(documents, facts.uuid, how))
            purged = Purged(
                category=category,
                index=self.redactor.index_name(facts.name),
                uuid=facts.uuid,
                documents=documents,
                at=self.clock.now(),
                record=record if record is not None else written,
            )
            terminations[label] = replace(
                termination, purges=(*termination.purges, purged), found_at=purged.at, purged_at=None, erased_at=None
            )
            self.book.save(terminations[label])
        self.eraser.noted(facts.uuid)

    def _plans(self, policy: Policy, look: SubjectLook, due: Mapping[str, Termination]) -> dict[str, SubjectPlan]:
        plans = {}
        for id_, queries in look.terminated.items():
            category = policy.category(id_)
            asked = asked_in(policy, category, due.values())
            plans[id_] = plan_purges(category, queries, look.protected[id_], asked, self.clock.now())
            if not category.enforce:
                plans[id_].doubt(asked.labels, f"{id_} is only reported, because enforce is false in the policy")
        return plans

    def _hidden(self, items: Sequence[OpenItem]) -> list[OpenItem]:
        return [replace(item, text=self.redactor.text(item.text)) for item in dict.fromkeys(items)]


def _refused(plans: Iterable[SubjectPlan], label: str, failures: Mapping[str, str]) -> Iterator[OpenItem]:
    """Yield why what a termination should have purged is still to be purged, where that was tried."""
    for purge in (purge for plan in plans for purge in plan.purges):
        facts = purge.facts
        if facts.uuid in failures and any(match.label == label for match in facts.matches):
            yield OpenItem(kind=OpenItemKind.PURGE_FAILED, text=failures[facts.uuid])


def _places_of(index: IndexFacts) -> dict[str, set[str]]:
    """Return where in an index each label's documents are looked for: a text for each place and its id."""
    places: dict[str, set[str]] = {}
    for match in index.matches:
        other = match.unless_other
        beside = [_place_of(one) for one in other.conditions] if other else []
        for part in match.parts:
            places.setdefault(match.label, set()).update(_place_of(one, *beside) for one in part.conditions)
    return places


def _place_of(condition: Condition, *beside: str) -> str:
    where = condition.where
    key = [where.key.path, where.key.field, where.key.text] if where.key else []
    told = json.dumps([where.name, where.prefix, key, condition.value, *sorted(beside)])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _is_noted(termination: Termination, erasing: PendingErasure) -> bool:
    """Whether it was written down already what the announced purge took, before a crash."""
    return any(p.uuid == erasing.progress.uuid and p.record > erasing.after for p in termination.purges)


def _category_of(policy: Policy, name: str) -> str:
    """Return which category an index belonged to that is gone."""
    return next(iter(claimants_by_name(policy, name)), "")
