"""One look for subjects: what indices have of them, and what of the same is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.subjects.query import SubjectQuery
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.ports import Clock, Inventory
from retention_enforcer.enforcement.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectLook:
    """By category, the facts with the sought subjects' documents counted apart, and those with the held ones."""

    terminated: Mapping[str, CategoryFacts]
    protected: Mapping[str, CategoryFacts]

    def place_of(self, uuid: str) -> tuple[str, IndexFacts | None]:
        """Return an index and its category; an empty one and None where it was not seen."""
        for category, facts in self.terminated.items():
            for index in facts.indices:
                if index.uuid == uuid:
                    return category, index
        return "", None

    def indistinguishable_labels(self, category: str, index: str) -> frozenset[str]:
        """Return for whom an index cannot tell which documents it has."""
        return frozenset(
            indistinguishable.label for indistinguishable in self.terminated[category].indistinguishable.get(index, ())
        )


class SubjectObserver:
    """Looks for subjects in the governed indices; changes nothing."""

    def __init__(self, inventory: Inventory, observer: Observer, clock: Clock) -> None:
        self._inventory = inventory
        self._observer = observer
        self._clock = clock

    def look(
        self, scope: Scope, queries: Sequence[SubjectQuery], also_protected: Sequence[SubjectQuery] = ()
    ) -> SubjectLook:
        """Look in all categories that any of these asks for. What is held is looked at first: it may only grow.

        `also_protected` count as held beside what the operator holds.
        """
        wanted = {id_ for one in queries for id_ in one.categories or ()}
        everywhere = any(one.categories is None for one in queries)
        categories = [c for c in scope.policy.categories if c.subjects and (everywhere or c.id in wanted)]
        if not categories:
            return SubjectLook(terminated={}, protected={})
        protected = {
            id_: facts for id_, (facts, _) in self._observer.look(scope, categories, {}, also_protected).items()
        }
        found = self._inventory.observe(scope.policy, categories, self._clock.now(), {}, queries)
        return SubjectLook(terminated=found, protected=protected)

    def look_at(self, scope: Scope, categories: Sequence[Category]) -> Mapping[str, CategoryFacts]:
        """Look at categories that name no subject, for what is left of before; none asks nothing of the cluster."""
        return self._inventory.observe(scope.policy, categories, self._clock.now(), {}) if categories else {}
