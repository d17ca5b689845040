"""One look at categories: what is there, what is held, and what is to be done. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import CategoryFacts, HeldIndex, Indistinguishable
from retention_enforcer.domain.holds.hold import Hold, held_for_all, indices_held, on_subjects, out_of_sight
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.query import SubjectQuery
from retention_enforcer.enforcement.holds.coverage import KnownCoverage
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.ports import Clock, HoldResolver, Inventory
from retention_enforcer.enforcement.scope import Scope


class Observer:
    """Reads a category's facts and plans; changes nothing.

    What it sees that a hold covers is kept in `coverage`, before anybody acts on the look.
    """

    def __init__(self, inventory: Inventory, resolver: HoldResolver, clock: Clock, coverage: KnownCoverage) -> None:
        self._inventory = inventory
        self._resolver = resolver
        self._clock = clock
        self._coverage = coverage

    def look(
        self,
        scope: Scope,
        categories: Sequence[Category],
        memories: Mapping[str, Memory],
        also_protected: Sequence[SubjectQuery] = (),
    ) -> dict[str, tuple[CategoryFacts, Plan]]:
        """Return the facts and the plan of each category, as of now, in few requests.

        `also_protected` are subjects whose documents stay as if they were held.
        """
        now = self._clock.now()
        evidence = {uuid: e for memory in memories.values() for uuid, e in memory.evidence.items()}
        holds = self._coverage.recalled(scope.control.holds)
        subjects = [*self._resolver.of(scope.policy, on_subjects(holds, now), now), *also_protected]
        looks_before = {id_: m.looked_at for id_, m in memories.items() if m.looked_at is not None}
        observed = self._inventory.observe(scope.policy, categories, now, evidence, subjects, looks_before)
        looks = {}
        for category in categories:
            facts = observed[category.id]
            self._coverage.keep(holds, category, facts)
            memory = memories.get(category.id)
            facts = replace(
                facts,
                holds=_held_as_a_whole(scope.policy, holds, category, facts, now),
                ordered=memory.ordered(category.id, scope.control, now) if memory else frozenset(),
            )
            looks[category.id] = (facts, build_plan(category, scope.policy.margin, facts, now))
        return looks


def _held_as_a_whole(
    policy: Policy, holds: Sequence[Hold], category: Category, facts: CategoryFacts, now: int
) -> dict[str, HeldIndex]:
    """Return which indices are held as a whole: by a hold on them, or since they cannot tell whose documents they have.

    Those with forbidden fields belong to other categories: they are, where any of their documents may be held.
    """
    found = {name: _untold(those[0]) for name, those in facts.indistinguishable.items()}
    found |= held_for_all(holds, policy, facts.indices, now)
    found |= out_of_sight(holds, category, facts, now)
    found |= indices_held(holds, facts.category, facts.indices, now)
    for hold in holds:
        if hold.is_alive(now) and (hold.subject is not None or hold.category == facts.category):
            found |= {forbidden.index.name: hold.as_held_index for forbidden in facts.forbidden}
    for forbidden in facts.forbidden:
        found |= indices_held(holds, forbidden.category, [forbidden.index], now)
    return found


def _untold(indistinguishable: Indistinguishable) -> HeldIndex:
    return HeldIndex(hold=indistinguishable.label, text=f"{indistinguishable.note}; {indistinguishable.reason}")
