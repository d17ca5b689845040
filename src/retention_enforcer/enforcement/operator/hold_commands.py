"""`hold add` and `hold remove`: the operator's word, and what of the cluster's own deletions it has to stop at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.coverage.findings import IndexSeen
from retention_enforcer.domain.errors import ConfigurationError, Refused
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.holds.shortfalls import shortfalls
from retention_enforcer.domain.own.control_documents import COVERED, HOLD, REMOVED, at_body, covered_body, hold_body
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.enforcement.observer import Observer
from retention_enforcer.enforcement.operator.lifecycle_switch import LifecycleSwitch, PutBack
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore, HoldResolver
from retention_enforcer.enforcement.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInCategory:
    """What a hold covers in one category."""

    category: str
    indices: int = 0
    """Held as a whole."""
    documents: int = 0
    """In these, and those of the held subject elsewhere."""
    partly: int = 0
    """Indices that lose other documents, but not those of the held subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What a new hold does."""

    hold: Hold
    covered: tuple[HeldInCategory, ...]
    not_narrowed: tuple[str, ...] = ()
    """Categories whose documents do not name such a subject: nothing of theirs is held."""
    unprotected: Mapping[str, str] = field(default_factory=dict)
    """Indices that something else than the enforcer may delete all the same, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCommands:
    """Adds and removes holds."""

    policy: Policy
    observer: Observer
    resolver: HoldResolver
    documents: DocumentStore
    control: ControlStore
    lifecycles: LifecycleSwitch
    clock: Clock
    whereabouts: Callable[[Policy], Sequence[IndexSeen]]

    def add(self, hold: Hold) -> Protection:
        """Write a hold down, then stop the cluster's own deletions of what it covers.

        The enforcer obeys it from its next cycle on, whatever becomes of the rest.
        """
        now = self.clock.now()
        categories = self.policy.categories
        scope = Scope.looking(self.policy, Control(holds=(hold,)))
        # Looked at first: a hold that names nothing is a slip, and an account whose applications cannot be told is not
        # taken for one that has none.
        looked = {id_: facts for id_, (facts, _) in self.observer.look(scope, categories, {}).items()}
        if hold.index is not None and not any(_is_on(hold, facts) for facts in looked.values()):
            raise ConfigurationError(
                "no governed index, data stream or alias has this name",
                "use a name that `retention-enforcer plan` or GET _cat/indices shows",
            )
        hold = replace(hold, applications=self._applications(hold, now))
        covered = {uuid: seen for c in categories for uuid, seen in hold.seen_in(c, looked[c.id], now).items()}
        # First: the hold is obeyed as soon as it is there, and its name may lead elsewhere by then.
        self.documents.save(f"{COVERED}{hold.id}", covered_body(covered), now, COVERED)
        self.documents.save(f"{HOLD}{hold.id}", hold_body(hold), now)
        narrowed = [c for c in categories if hold.subject is None or hold.subject.wanted(c.subjects) is not None]
        return Protection(
            hold=hold,
            covered=tuple(c for c in (_covered(facts) for facts in looked.values()) if c.indices or c.partly),
            not_narrowed=tuple(c.id for c in categories if c not in narrowed),
            unprotected=self._protect(hold, looked, narrowed),
        )

    def _applications(self, hold: Hold, now: int) -> tuple[str, ...]:
        """Return the applications of a held account, as they can be told now."""
        if hold.subject is None or hold.subject.kind is not SubjectKind.ACCOUNT:
            return ()
        along = (one.subject for one in self.resolver.of(self.policy, [hold], now))
        return tuple(subject.id for subject in along if subject.kind is SubjectKind.APPLICATION)

    def remove(self, hold_id: str) -> PutBack:
        """Take a hold back, and put lifecycles of others back that were detached for it alone.

        They are put back first: an index without any would get one of the enforcer's. Raises ConfigurationError where
        there is no hold of this id.
        """
        control = self.control.read()
        if not any(hold.id == hold_id for hold in control.holds):
            raise ConfigurationError(
                "there is no hold with this id", "run `retention-enforcer hold list` to see all holds"
            )
        others = replace(control, holds=tuple(hold for hold in control.holds if hold.id != hold_id))
        put_back = self.lifecycles.put_back(lambda: self.held(others), others)
        now = self.clock.now()
        self.documents.save(f"{REMOVED}{hold_id}", at_body(now), now)  # first: without it the hold would be lost
        self.documents.remove(f"{HOLD}{hold_id}")
        self.documents.remove(f"{COVERED}{hold_id}")
        return put_back

    def held(self, control: Control) -> frozenset[str]:
        """Return the names of the indices that are held, at least in part, and of those that may be."""
        categories = self.policy.categories
        scope = Scope.looking(self.policy, control)
        names: set[str] = set()
        now = self.clock.now()
        for id_, (facts, _) in self.observer.look(scope, categories, {}).items():
            names |= {index.name for index in facts.indices if facts.is_protected(index)}
            names |= {a.name for a in facts.set_apart if any(hold.may_cover(id_, a, now) for hold in control.holds)}
        for hold in control.holds:
            if hold.index is not None and hold.is_alive(now):
                names |= self.lifecycles.members_of(hold.index)  # nobody can look into a closed one
        return frozenset(names)

    def raise_if_voided(self) -> None:
        """Raise Refused, naming each, where holds name less under the policy here than what they were put on."""
        holds = self.control.read().holds
        if not holds:
            return
        found = shortfalls(self.policy, holds, self.whereabouts(self.policy), self.clock.now())
        if voided := [one for one in found if one.voided]:
            ids = ", ".join(one.hold.id for one in voided)
            raise Refused(
                "the policy is not accepted, because holds would cover less than before: "
                f"{'; '.join(map(str, voided))}",
                "add holds on the names in this policy (`retention-enforcer hold add`), then run "
                f"`retention-enforcer hold remove` for each of these: {ids}",
            )

    def list(self) -> tuple[Hold, ...]:
        """Return all holds, those that have ended too."""
        return self.control.read().holds

    def _protect(
        self, hold: Hold, looked: Mapping[str, CategoryFacts], narrowed: Collection[Category]
    ) -> dict[str, str]:
        """Keep lifecycles from what the hold covers, and return what may go all the same."""
        names: set[str] = set()
        for category in narrowed:
            facts = looked[category.id]
            covered = {index.name for index in facts.indices if facts.is_protected(index)}
            # Nobody can look into these: the hold may cover them. Without a uuid it is an alias, not an index.
            now = self.clock.now()
            doubtful = {a.name for a in facts.set_apart if a.uuid and hold.may_cover(category.id, a, now)}
            names |= covered | doubtful
        if hold.index is not None:
            names |= self.lifecycles.members_of(hold.index)
        return self.lifecycles.detach(names)


def _is_on(hold: Hold, facts: CategoryFacts) -> bool:
    """Whether a hold on an index names one of a category, also one into which nobody can look."""
    found = any(hold.names(facts.category, index) for index in facts.indices)
    return found or any(hold.index == apart.name for apart in facts.set_apart)


def _covered(facts: CategoryFacts) -> HeldInCategory:
    whole = [index for index in facts.indices if index.name in facts.holds]
    partly = [index for index in facts.indices if index.name not in facts.holds and index.matching_documents]
    return HeldInCategory(
        category=facts.category,
        indices=len(whole),
        documents=sum(i.documents for i in whole) + sum(i.matching_documents for i in partly),
        partly=len(partly),
    )
