"""Holds: what must not be deleted for now, by whose word, for what reason and until when.

What a hold was once seen to cover stays covered, whatever becomes of the name by which it was covered: an alias rolls
over, an index leaves its stream, a restored one gets another name, a policy renames its categories.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.facts import CategoryFacts, HeldIndex, IndexFacts, SetApart
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.instants import DAY, describe_duration, format_instant
from retention_enforcer.domain.policy.names import governed_part
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind

ANNOUNCED = DAY
"""How long before its end a hold's end is announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredIndex:
    """What was seen of an index when a hold covered it."""

    created: int = 0
    """When it was created, in epoch milliseconds; 0 where nobody could look. A restored index keeps it."""
    fields: tuple[str, ...] = ()
    """In which places its documents named the held subject; none where it was held as a whole."""


CoveredIndices = Mapping[str, CoveredIndex]
"""By uuid, the indices that a hold was seen to cover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold on a whole category, on one index, stream or alias, or on a subject; `until` in epoch milliseconds."""

    id: str
    owner: str
    reason: str
    until: int
    category: str | None = None
    index: str | None = None
    subject: Subject | None = None
    applications: tuple[str, ...] = field(default=(), repr=False)
    """Of a held account, those that were named with it when it was held: what says so may be gone later."""
    covered: CoveredIndices = field(default_factory=dict, repr=False, compare=False)
    """What it was seen to cover. Only added to; no part of what an operator wrote."""
    looked: bool = field(default=False, compare=False)
    """Whether anybody has written down what it covers, if only that there is nothing."""

    def is_alive(self, now: int) -> bool:
        """Whether it holds at this instant."""
        return now < self.until

    def names(self, category: str, index: IndexFacts) -> bool:
        """Whether it is on a whole index of a category as things are: by the category, its name, stream or an alias."""
        names = (index.name, index.stream, governed_part(index.name), *index.aliases, *index.former_names)
        return self.category == category or (self.index is not None and self.index in names)

    def covers(self, category: str, index: IndexFacts, now: int, present: Collection[str] = ()) -> bool:
        """Whether it covers a whole index of a category, as things are or as they once were.

        `present` are the uuids of the indices that are known to be there.
        """
        if self.subject is not None or not self.is_alive(now):
            return False
        return self.names(category, index) or self._once(index, present) is not None

    def may_cover_all(self, policy: Policy, now: int) -> bool:
        """Whether it is on a category that the policy does not have, and nobody knows what that was."""
        unknown = self.category is not None and all(category.id != self.category for category in policy.categories)
        return unknown and not self.looked and self.is_alive(now)

    def lost_sight_of(self, category: Category, index: IndexFacts, now: int, present: Collection[str] = ()) -> bool:
        """Whether an index had documents of the held subject, and now does not show them: it is held as a whole then.

        They were told by fields that the policy does not name any more, or none of them is found.
        """
        if self.subject is None or not self.is_alive(now) or (seen := self._once(index, present)) is None:
            return False
        return self.id not in index.matching_labels or not {*seen.fields} <= {*self.fields_in(category)}

    def may_cover(self, category: str, apart: SetApart, now: int) -> bool:
        """Whether it may cover an index of a category into which nobody can look."""
        named = self.subject is not None or self.category == category or self.index == apart.name
        return self.is_alive(now) and (named or apart.uuid in self.covered)

    def seen_in(self, category: Category, facts: CategoryFacts, now: int) -> dict[str, CoveredIndex]:
        """Return what one look at a category shows that it covers, by uuid."""
        if not self.is_alive(now):
            return {}
        if self.subject is not None:
            return self._seen_of_subject(category, facts)
        found = {
            apart.uuid: CoveredIndex()
            for apart in facts.set_apart
            if apart.uuid and self.may_cover(category.id, apart, now)
        }
        present = uuids_of(facts.indices)
        covered = (i for i in facts.indices if self.covers(category.id, i, now, present))
        return found | {index.uuid: CoveredIndex(created=index.created) for index in covered}

    def _seen_of_subject(self, category: Category, facts: CategoryFacts) -> dict[str, CoveredIndex]:
        fields = self.fields_in(category)
        indistinguishable = {
            name
            for name, those in facts.indistinguishable.items()
            if any(one.label == self.id and not one.passing for one in those)
        }
        return {
            index.uuid: CoveredIndex(created=index.created, fields=fields)
            for index in facts.indices
            if index.name in indistinguishable or self.id in index.matching_labels
        }

    def fields_in(self, category: Category) -> tuple[str, ...]:
        """Return the places where a category's documents name the held subject, an account's applications too."""
        subject, places = self.subject, category.subjects
        if subject is None:
            return ()
        along = places.application if subject.kind is SubjectKind.ACCOUNT else ()
        named = [place for those, _ in subject.wanted(places) or () for place in those]
        return tuple(sorted({str(place) for place in (*named, *along)}))

    def seen_before(self, uuid: str, created: int, origin: str | None, present: Collection[str]) -> CoveredIndex | None:
        """Return what was seen of an index that it once covered, else None.

        One that was restored has another uuid, and keeps its creation. It is known by that where it has another name,
        which `origin` says, or where the one that was covered is not `present` (uuids) any more; else two indices were
        made in the same millisecond.
        """
        if (seen := self.covered.get(uuid)) is not None or not created:
            return seen
        alike = ((known, seen) for known, seen in self.covered.items() if seen.created == created)
        return next((seen for known, seen in alike if origin is not None or known not in present), None)

    def _once(self, index: IndexFacts, present: Collection[str]) -> CoveredIndex | None:
        return self.seen_before(index.uuid, index.created, index.origin, present)

    def __str__(self) -> str:
        """Return what anybody may read: owner and reason are an operator's free text, a subject's id is personal."""
        return f"hold {self.id} until {format_instant(self.until)}"

    @property
    def as_held_index(self) -> HeldIndex:
        """What is said of an index that is held as a whole."""
        return HeldIndex(hold=self.id, text=str(self))


def indices_held(holds: Iterable[Hold], category: str, indices: Iterable[IndexFacts], now: int) -> dict[str, HeldIndex]:
    """Return which of a category's indices are held as a whole at this instant, and by which hold."""
    holds, indices = tuple(holds), tuple(indices)
    present = uuids_of(indices)
    return {
        index.name: hold.as_held_index
        for index in indices
        for hold in holds
        if hold.covers(category, index, now, present)
    }


def uuids_of(indices: Iterable[IndexFacts]) -> frozenset[str]:
    """Return the uuids of indices."""
    return frozenset(index.uuid for index in indices)


def held_for_all(
    holds: Iterable[Hold], policy: Policy, indices: Iterable[IndexFacts], now: int
) -> dict[str, HeldIndex]:
    """Return the indices that are held since they may be what a hold covered once: all, or none."""
    unknown = [hold for hold in holds if hold.may_cover_all(policy, now)]
    what = "its category is not in the policy, and it is unknown which indices the hold covered"
    return {i.name: HeldIndex(hold=hold.id, text=f"{hold}; {what}") for i in indices for hold in unknown}


def out_of_sight(holds: Iterable[Hold], category: Category, facts: CategoryFacts, now: int) -> dict[str, HeldIndex]:
    """Return which indices are held as a whole since they had documents of a held subject and do not show them now."""
    present = uuids_of(facts.indices)
    return {
        index.name: HeldIndex(
            hold=hold.id, text=f"{hold}; documents of the held subject that were here are no longer found"
        )
        for hold in holds
        for index in facts.indices
        if hold.lost_sight_of(category, index, now, present)
    }


def on_subjects(holds: Iterable[Hold], now: int) -> tuple[Hold, ...]:
    """Return the holds on subjects that are alive at this instant."""
    return tuple(hold for hold in holds if hold.subject is not None and hold.is_alive(now))


def ending_soon(holds: Iterable[Hold], now: int) -> Iterator[Finding]:
    """Yield the announcement of each hold that ends within a day."""
    for hold in holds:
        if hold.is_alive(now) and hold.until - now <= ANNOUNCED:
            ends = describe_duration(hold.until - now)
            text = f"hold {hold.id} ends in {ends}; what it kept past its limit is then deleted"
            remedy = "none needed; to keep the data, run `retention-enforcer hold add` with a later end"
            yield Finding.of(FindingKind.HOLD_ENDS, hold.category, text, remedy, about=hold.id)
