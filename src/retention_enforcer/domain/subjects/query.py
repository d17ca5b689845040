"""For whose documents indices are asked: those of held subjects, to be spared, of terminated ones, to be purged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from retention_enforcer.domain.policy.names import governed_parts
from retention_enforcer.domain.policy.places import Place, SubjectPlaces
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.subjects.identity import (
    AnyOf,
    Condition,
    ExactField,
    Inexact,
    Match,
    Subject,
    SubjectKind,
    any_of,
    match,
)

Exact = dict[Place, ExactField | Inexact | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectQuery:
    """One subject to ask for."""

    label: str
    """For what: a hold or a termination, by its id."""
    subject: Subject
    note: str = ""
    """What is said of an index that cannot tell these documents apart."""
    categories: frozenset[str] | None = None
    """In which categories; None: in all."""
    account: str | None = None
    """The account along with which an application is asked for: documents that name another one are not its."""
    spare_tenants_own: bool = False
    """Whether an application's own indices are taken as a whole, whatever is in them: a hold rather keeps too much."""

    indistinguishable: str = ""
    """Why it cannot be told which applications are held along with an account; then each of them may be."""

    def in_index(
        self, category: Category, name: str, stream: str | None, exact: Exact | None
    ) -> tuple[Match | Inexact, ...]:
        """Return which documents of an index are asked for, and why that cannot be told of all; empty: none is.

        `exact` is what the index says of the places that name subjects, None if it said nothing.
        """
        if self.categories is not None and category.id not in self.categories:
            return ()
        if self.spare_tenants_own and is_tenants_own(self.subject, category, name, stream):
            return (Inexact(reason="the index belongs to that application alone"),)
        if self.indistinguishable and category.subjects.application:
            return (Inexact(reason=self.indistinguishable),)
        if self.subject.wanted(category.subjects) is None:
            return ()
        if exact is None:
            return (Inexact(reason="it is unknown how its documents name a subject"),)
        found = match(self.subject, category.subjects, exact)
        return tuple(
            each
            for one in found
            for each in (self._completed(one, category, exact) if isinstance(one, Match) else (one,))
        )

    def spelled_otherwise(self, category: Category, found: Match) -> tuple[Match, ...]:
        """Return which documents have the same ids as numbers that are spelled otherwise: they are not asked for."""
        return spelled_otherwise(self.subject, category.subjects, found)

    def _completed(self, found: Match, category: Category, exact: Exact) -> tuple[Match | Inexact, ...]:
        # A hold rather keeps too much: it spares whatever may be of the pair.
        found = replace(found, label=self.label, single=len(found.parts) > 1 and not self.spare_tenants_own)
        if self.account is None:
            return (found,)
        other, doubts = any_of(category.subjects.account, self.account, exact)
        if doubts:
            return doubts
        if not other.fields:
            return (found,)
        if not other.conditions:
            names = " and ".join(place.name for place in other.fields)
            return (Inexact(reason=f"{names} cannot contain this account, but may contain another one"),)
        return (replace(found, unless_other=other),)


def spelled_otherwise(subject: Subject, places: SubjectPlaces, found: Match) -> tuple[Match, ...]:
    """Return what documents look like that have one of a subject's ids as a number in another spelling."""
    others = [
        tuple(spelled for place in part.fields for spelled in place.other_spellings(id_))
        for part, (_, id_) in zip(found.parts, subject.wanted(places) or (), strict=True)
    ]
    return tuple(
        replace(found, parts=tuple(_spelled(found.parts, others, number)), single=False)
        for number, those in enumerate(others)
        if those
    )


def _spelled(parts: tuple[AnyOf, ...], others: list[tuple[Condition, ...]], number: int) -> Iterator[AnyOf]:
    """Yield the parts with this one spelled otherwise, and the rest in any way."""
    for each, (part, those) in enumerate(zip(parts, others, strict=True)):
        yield replace(part, conditions=those if each == number else (*part.conditions, *those))


def is_tenants_own(subject: Subject, category: Category, name: str, stream: str | None) -> bool:
    """Whether an index is an application's own, by its name or that of its stream."""
    if subject.kind is not SubjectKind.APPLICATION:
        return False
    names = (name, *((stream,) if stream else governed_parts(name)))
    return subject.id.lower() in {p.application_in(each) for p in category.indices for each in names}
