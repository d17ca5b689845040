"""The lifecycle `ended`: on indices that hold nothing but terminated tenants' documents and could not be deleted yet.

Only a run of the work on terminations attaches it, right after its look, and each takes it off what its look does not
show any more. What it shows is stored before (`EndedIndices`), with the sequence numbers and until when that counts.
Every cycle takes the lifecycle off what is not stored so, was written to since, is held, or is in doubt: so it goes
also where these runs fail, or stop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import structlog

from retention_enforcer.domain.errors import Refused, RequestRejected
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.lifecycles.changes import not_ended
from retention_enforcer.domain.lifecycles.compiler import Variant, policy_name
from retention_enforcer.domain.lifecycles.ended import EndedIndices
from retention_enforcer.domain.own.state_keys import ENDED_INDICES
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from retention_enforcer.enforcement.lifecycles.observer import LifecycleObserver
from retention_enforcer.enforcement.lifecycles.policies import PolicyWriter
from retention_enforcer.enforcement.lifecycles.reconcile import failed_changes, unusable, with_hanging
from retention_enforcer.enforcement.ports import Clock, DocumentStore, LifecycleSource
from retention_enforcer.enforcement.scope import Scope

_log = structlog.get_logger()


class EndedLifecycles:
    """Attaches the lifecycle, and takes it off; `kept_for` milliseconds after a look nobody relies on it."""

    def __init__(
        self,
        observer: LifecycleObserver,
        cluster: LifecycleSource,
        changer: LifecycleChanger,
        state: DocumentStore,
        clock: Clock,
        kept_for: int,
    ) -> None:
        self._observer = observer
        self._cluster = cluster
        self._changer = changer
        self._state = state
        self._clock = clock
        self._kept_for = kept_for

    def known(self) -> EndedIndices:
        """Return what the last look showed; nothing where that is not readable: then no index keeps the lifecycle."""
        body = self._state.load([ENDED_INDICES]).get(ENDED_INDICES, {})
        try:
            return EndedIndices.of(body)
        except Refused as unreadable:
            _log.warning(unreadable.message, **{"event.action": "lifecycle", "event.outcome": "failure"})
            return EndedIndices()

    def take_off_others(self, scope: Scope, ended: Collection[str], cycle: str) -> Sequence[Finding]:
        """Take the lifecycle off all indices but these (by uuid), also off what had none yet when it was stored.

        Returns the findings about what did not succeed.

        Raises Refused where the right to act was lost.
        """
        known, findings = self.known(), list[Finding]()
        others = known.sequence_numbers.keys() - set(ended)
        if not others:
            return ()
        self._save(known.without(others))
        there = self._changer.deleter.existing(others)
        for category in scope.policy.categories:
            name = policy_name(scope.policy.name, category.id, Variant.ENDED)
            changes = [not_ended(index.name, uuid, name) for uuid, index in there.items() if index.lifecycle == name]
            changed = self._changer.carry_out(category, changes, cycle, scope.control.holds)
            findings += failed_changes(category, changed)
        return findings

    def leave(
        self,
        scope: Scope,
        protected: Mapping[str, CategoryFacts],
        ended: Mapping[str, Sequence[IndexFacts]],
        cycle: str,
    ) -> Sequence[Finding]:
        """Leave these indices (by category) to the lifecycle, and no other; `protected` is the look at what is held.

        Returns the findings about what did not succeed.

        Raises Refused where the right to act was lost.
        """
        ended = ended if self._observer.used else {}
        numbers = {index.uuid: index.sequence_numbers for those in ended.values() for index in those}
        findings = [*self.take_off_others(scope, numbers, cycle)]
        if numbers:
            looked_at = min(protected[id_].as_of for id_ in ended)  # not now: this run may have hung since
            with self._changer.permit.destructive():  # whoever has lost the lease does not know better than the next
                self._save(EndedIndices(until=looked_at + self._kept_for, sequence_numbers=numbers))
        for id_, indices in ended.items():
            findings += self._attach(scope, scope.policy.category(id_), protected[id_], indices, cycle)
        return findings

    def _attach(
        self, scope: Scope, category: Category, facts: CategoryFacts, indices: Sequence[IndexFacts], cycle: str
    ) -> Sequence[Finding]:
        names = {index.name for index in indices}
        writer = PolicyWriter(self._changer, self._cluster, category, scope, cycle)
        try:
            look, stored = self._observer.look(scope, category, facts, ended=lambda _: names), self._cluster.stored()
            policy = look.lifecycles.ended
            if policy is None or not writer.put(policy, stored.get(policy.name), look.attachments):
                return writer.findings
            if writer.touched:
                look = self._observer.look(scope, category, facts, ended=lambda _: names)
            watched = self._observer.watch(look, facts, stored, self._clock.now())
            changes = [change for change in with_hanging(look, watched) if change.policy == policy.name]
            unwritten = self._changer.unwritten(indices) if changes else ()
            changes = [change for change in changes if change.uuid in unwritten]
            changed = self._changer.carry_out(category, changes, cycle, scope.control.holds)
        except RequestRejected as error:
            return (unusable(category, error),)
        return (*writer.findings, *failed_changes(category, changed))

    def _save(self, known: EndedIndices) -> None:
        self._state.save(ENDED_INDICES, known.body(), self._clock.now())
