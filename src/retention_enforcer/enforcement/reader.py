"""What the reading commands show: plans and proofs of now, with what is known from earlier; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.expiry.fuse import FuseLimits, UnsafePlan, raise_if_unsafe
from retention_enforcer.domain.expiry.proof import Proof, verify
from retention_enforcer.domain.facts import CategoryFacts, Evidence
from retention_enforcer.domain.findings import Sighting, sighted
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.lifecycles.vanished import still_told, vanished_finding
from retention_enforcer.domain.own.state_keys import COVERAGE, LIFECYCLES, memory_key
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.coverage.observer import CoverageLook, CoverageObserver
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleWatch
from retention_enforcer.enforcement.lifecycles.strays import StrayWatch
from retention_enforcer.enforcement.memory import CoverageMemory, Memory, remember, sightings_of
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore, Inventory, LedgerStore
from retention_enforcer.enforcement.preconditions.safety import raise_if_wrong_clock, raise_if_wrong_cluster
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at some categories."""

    cluster: str
    as_of: int
    note: str
    """What could not be read, in a sentence; empty where everything could."""
    control: Control = field(default_factory=Control)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    facts: Mapping[str, CategoryFacts] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    refusals: Mapping[str, UnsafePlan] = field(default_factory=dict)
    """The plans that the fuse would refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Looks, for people and programs that ask. Works without the enforcer's own indices, and says so."""

    terms: Terms
    inventory: Inventory
    observer: Observer
    coverage: CoverageObserver
    state: DocumentStore
    control: ControlStore
    ledger: LedgerStore
    lifecycles: LifecycleWatch
    lifecycle_round: StrayWatch
    clock: Clock

    def look(self, categories: Sequence[Category]) -> Look:
        """Return the facts and plans of these categories. Raises Refused for a wrong cluster or clock."""
        cluster = self.inventory.cluster()
        now = self.clock.now()
        raise_if_wrong_clock(cluster, now)
        raise_if_wrong_cluster(cluster, self.terms.pinned_cluster, None)
        memories, control, note = self._known(categories)
        looks = self.observer.look(self._scope(control), categories, memories)
        plans = {id_: plan for id_, (_, plan) in looks.items()}
        return Look(
            cluster=cluster.uuid,
            as_of=now,
            note=note,
            control=control,
            memories=memories,
            facts={id_: facts for id_, (facts, _) in looks.items()},
            plans=plans,
            refusals=self._refusals(plans, memories, control, now),
        )

    def _scope(self, control: Control) -> Scope:
        return self.terms.scope(control, may_act=False)

    def proofs(self, look: Look) -> list[Proof]:
        """Return the proof of each category that was looked at, with the first sight of its findings."""
        proofs = []
        for id_, facts in look.facts.items():
            category = self.terms.policy.category(id_)
            proof = verify(category, facts, look.plans[id_])
            memory = look.memories.get(id_, Memory(fingerprint=""))
            findings = (
                *proof.findings,
                *self.lifecycles.findings(category, self._scope(look.control), facts),
                *(vanished_finding(id_, one) for one in still_told(memory.vanished, look.as_of)),
            )
            proofs.append(replace(proof, findings=tuple(sighted(memory.findings, findings, look.as_of))))
        return proofs

    def cover(self, look: Look) -> CoverageLook:
        """Look past the policy, at what no look at categories shows."""
        evidence: dict[str, Evidence] = {}
        for id_, facts in look.facts.items():
            known = look.memories[id_].evidence if id_ in look.memories else {}
            evidence |= remember(known, facts, ())
        covered = self.coverage.look(self.terms.policy, look.control, evidence, self._coverage_memory())
        found = self.lifecycle_round.run(self._scope(look.control)).findings
        return replace(covered, findings=(*covered.findings, *sighted(self._sighted(LIFECYCLES), found, look.as_of)))

    def _sighted(self, job: str) -> Mapping[str, Sighting]:
        try:
            body = self.state.load([job]).get(job)
        except Refused:  # there are no own indices: `look` says so
            return {}
        with readable(f"what retention-state stores about {job}"):
            return sightings_of(body["findings"]) if body else {}

    def _coverage_memory(self) -> CoverageMemory:
        try:
            return CoverageMemory.of(self.state.load([COVERAGE]).get(COVERAGE))
        except Refused:  # there are no own indices: `look` says so
            return CoverageMemory()

    def head(self) -> Head | None:
        """Return the ledger's head, or None where there is no ledger."""
        try:
            return self.ledger.head()
        except Refused:
            return None

    def _known(self, categories: Sequence[Category]) -> tuple[dict[str, Memory], Control, str]:
        keys = {memory_key(category.id): category.id for category in categories}
        try:
            bodies = self.state.load(list(keys))
            memories = {id_: Memory.of(bodies.get(key), self.terms.fingerprint) for key, id_ in keys.items()}
            return memories, self.control.read(), ""
        except Refused as error:
            return {}, Control(), error.message

    def _refusals(
        self, plans: Mapping[str, Plan], memories: Mapping[str, Memory], control: Control, now: int
    ) -> dict[str, UnsafePlan]:
        refusals = {}
        for id_, plan in plans.items():
            approved = memories[id_].approved(control, now) if id_ in memories else {}
            try:
                raise_if_unsafe(plan, FuseLimits(max_share=self.terms.max_share, approved=approved))
            except UnsafePlan as unsafe:
                refusals[id_] = unsafe
        return refusals
