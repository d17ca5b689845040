"""For whose documents indices are asked: those of held subjects, to be spared, of terminated ones, to be purged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from retention_enforcer.domain.names import governed_parts
from retention_enforcer.domain.policy import Category, SubjectFields
from retention_enforcer.domain.subjects import ExactField, Inexact, Match, Subject, SubjectKind, match

Exact = dict[str, ExactField | Inexact | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
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

    untold: str = ""
    """Why it cannot be told which applications are held along with an account; then each of them may be."""

    def in_index(
        self, category: Category, name: str, stream: str | None, exact: Exact | None
    ) -> Match | Inexact | None:
        """Return which documents of an index are asked for; Inexact where that cannot be told, None where none is.

        `exact` is what the index says of the fields that name subjects, None if it said nothing.
        """
        if self.categories is not None and category.id not in self.categories:
            return None
        if self.spare_tenants_own and is_tenants_own(self.subject, category, name, stream):
            return Inexact(reason="the index is that application's own")
        if self.untold and category.subjects.application is not None:
            return Inexact(reason=self.untold)
        if self.subject.wanted(category.subjects) is None:
            return None
        if exact is None:
            return Inexact(reason="the index does not say how its documents name a subject")
        found = match(self.subject, category.subjects, exact)
        return self._completed(found, category, exact) if isinstance(found, Match) else found

    def spelled_otherwise(self, category: Category, found: Match, exact: Exact) -> tuple[Match, ...]:
        """Return which documents have the same ids as numbers that are spelled otherwise: they are not asked for."""
        return spelled_otherwise(self.subject, category.subjects, found, exact)

    def _completed(self, found: Match, category: Category, exact: Exact) -> Match | Inexact:
        # A hold rather keeps too much: it spares whatever may be of the pair.
        found = replace(found, label=self.label, single=len(found.conditions) > 1 and not self.spare_tenants_own)
        field = category.subjects.account
        if self.account is None or field is None or exact[field] is None:
            return found
        names = exact[field]
        condition = names.condition(self.account) if isinstance(names, ExactField) else names
        if isinstance(condition, tuple):
            return replace(found, unless_other=condition)
        return condition or Inexact(reason=f"{field} cannot hold this account, but may hold another one")


def spelled_otherwise(subject: Subject, fields: SubjectFields, found: Match, exact: Exact) -> tuple[Match, ...]:
    """Return what documents look like that have a subject's ids as numbers in another spelling than the one found."""
    choices = []
    for (name, value), (asked, id_) in zip(found.conditions, subject.wanted(fields) or (), strict=True):
        field = exact[asked]
        others = field.other_spellings(id_) if isinstance(field, ExactField) else ()
        choices.append([(name, one) for one in (value, *others)])
    return tuple(
        replace(found, conditions=conditions, single=False)
        for conditions in product(*choices)
        if conditions != found.conditions
    )


def is_tenants_own(subject: Subject, category: Category, name: str, stream: str | None) -> bool:
    """Whether an index is an application's own, by its name or that of its stream."""
    if subject.kind is not SubjectKind.APPLICATION:
        return False
    names = (name, *((stream,) if stream else governed_parts(name)))
    return subject.id.lower() in {p.application_in(each) for p in category.indices for each in names}
