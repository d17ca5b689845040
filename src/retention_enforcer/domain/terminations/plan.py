"""What is purged of each index for terminated subjects, and what cannot be: a pure function of two looks at it.

One look asks for the terminated subjects, the other for what is held. For each index that has documents of the first:

    held as a whole, or not to be told apart     -> an open item
    a tenant's own, every document carries it    -> delete whole, unless a block forbids that
    blocks but a write block, mounted            -> an open item
    otherwise                                    -> delete these documents, a write block is lifted for it
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.deadlines import due_at
from retention_enforcer.domain.facts import (
    FORBID_INDEX_DELETION,
    Block,
    CategoryFacts,
    Doubt,
    HeldIndex,
    IndexFacts,
    Indistinguishable,
    SetApart,
)
from retention_enforcer.domain.findings import abbreviated
from retention_enforcer.domain.plan import Action, Purge
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.rollover import last_of_alias, may_be_ordinary, rollover_target
from retention_enforcer.domain.selection import OfSubjects
from retention_enforcer.domain.subjects.identity import Ownership, Subject, SubjectKind
from retention_enforcer.domain.subjects.query import SubjectQuery, is_tenants_own
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Termination, categories_of, narrows
from retention_enforcer.domain.wording import counted

_NAMED = 3


@dataclass(slots=True)
class SubjectPlan:
    """What one category's indices lose, and why not more, by termination."""

    purges: list[Purge] = field(default_factory=list)
    doubts: dict[str, list[OpenItem]] = field(default_factory=dict)
    """Open items by label."""

    def doubt(self, labels: Iterable[str], text: str, kind: OpenItemKind = OpenItemKind.NOT_LOOKED_INTO) -> None:
        """Add an open item to each of these."""
        for label in labels:
            self.doubts.setdefault(label, []).append(OpenItem(kind=kind, text=text))


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminationScope:
    """For whom it is asked in one category."""

    labels: frozenset[str]
    tenants: Mapping[str, tuple[Subject, ...]]
    """By label, whose own indices may be among them."""


def plan_purges(
    category: Category, terminated: CategoryFacts, protected: CategoryFacts, asked: TerminationScope, now: int
) -> SubjectPlan:
    """Return what is to be purged of a category's indices; `protected` is the look at the same for what is held."""
    plan = SubjectPlan()
    for apart in terminated.set_apart:
        if apart.doubt is Doubt.BEHIND_ALIAS:
            continue  # it is no index of the category's: it is looked into with all others outside
        plan.doubt(asked.labels, _not_known(apart))
    holds = {index.uuid: protected.holds.get(index.name) for index in protected.indices}
    twins = {index.uuid: index for index in protected.indices}
    stays = {index.name for index in terminated.indices if index.container} | set(last_of_alias(terminated.indices))
    for index in terminated.indices:
        for indistinguishable in terminated.indistinguishable.get(index.name, ()):
            plan.doubt([indistinguishable.label], _cannot_tell(index.name, indistinguishable))
        twin = twins.get(index.uuid)
        if twin is None:
            plan.doubt(asked.labels, f"{index.name} was created during the scan; it is checked again in the next cycle")
        else:
            hold, last = holds[index.uuid], index.name in stays
            _judge(plan, category, index, hold=hold, protected=twin, asked=asked, now=now, stays=last)
    return plan


def _judge(
    plan: SubjectPlan,
    category: Category,
    index: IndexFacts,
    *,
    hold: HeldIndex | None,
    protected: IndexFacts,
    asked: TerminationScope,
    now: int,
    stays: bool,
) -> None:
    own = _owners(category, index, asked)
    certain = _owners(category, index, asked, by_name_alone=True)
    leftover = bool(certain) and not index.documents and not index.write_index  # a stream would make the next at once
    if not index.matching_documents and not leftover:
        return
    labels = sorted({match.label for match in index.matches} | own)
    if hold is not None:
        plan.doubt(labels, f"{index.name} is held: {hold.text}", kind=OpenItemKind.HELD)
        return
    reason = f"{counted(index.matching_documents, 'document')} of terminated subjects"
    may_go_whole = (
        not stays
        and may_be_ordinary(index, category)
        and not protected.matching_documents
        and not index.blocks & FORBID_INDEX_DELETION
    )
    if own and index.matching_documents == index.documents and may_go_whole:
        plan.purges.append(
            Purge(
                # Guarded by the numbers of the look that found nothing held, which came first: what was written since
                # may be held.
                facts=replace(index, sequence_numbers=protected.sequence_numbers),
                action=Action.DELETE_INDEX,
                documents=index.documents,
                due=now,
                reason=f"{reason}; the whole index belongs to one of them",
                cut=now,
                spare=protected.matches,
                rollover=rollover_target(index, category),
            )
        )
        return
    if not index.matching_documents:
        return
    if protected.matching_documents:
        text = f"{counted(protected.matching_documents, 'document')} of held subjects kept in {index.name}"
        plan.doubt(labels, text, kind=OpenItemKind.HELD)
    forbidden = index.blocks - {Block.WRITE}
    if forbidden or index.mounted:
        why = (
            ", ".join(sorted(f"index.blocks.{block}" for block in forbidden))
            or "a mounted snapshot can only be deleted as a whole"
        )
        having = sorted(index.matching_labels) or labels
        plan.doubt(
            having, f"single documents cannot be deleted from {index.name}: {why}", kind=OpenItemKind.PURGE_FAILED
        )
        return
    plan.purges.append(
        Purge(
            facts=index,
            action=Action.DELETE_DOCUMENTS,
            documents=index.matching_documents,
            due=now,
            reason=reason,
            cut=now,
            takes=OfSubjects(matches=index.matches),
            spare=protected.matches,
        )
    )


def without_rollover(purge: Purge) -> Purge:
    """Return what takes the same documents of an index that cannot be rolled over, and so cannot go whole."""
    takes = OfSubjects(matches=purge.facts.matches)
    return replace(purge, action=Action.DELETE_DOCUMENTS, takes=takes, rollover=None)


def _owners(category: Category, index: IndexFacts, asked: TerminationScope, *, by_name_alone: bool = False) -> set[str]:
    """Return for which labels an index is a tenant's own.

    Where its documents cannot tell, only an id that is spelled as in the name: of `ABC` and `abc` both have that name.
    """
    return {
        label
        for label, subjects in asked.tenants.items()
        if any(
            is_tenants_own(subject, category, index.name, index.stream)
            for subject in subjects
            if not by_name_alone or subject.id == subject.id.lower()
        )
    }


def queries_of(policy: Policy, termination: Termination) -> list[SubjectQuery]:
    """Return whose documents are asked for on behalf of a termination, and in which categories."""
    categories = frozenset(category.id for category in categories_of(policy, termination.ask))
    return [
        SubjectQuery(label=termination.key, subject=subject, categories=categories, account=account)
        for subject, account in termination.subjects()
    ]


def queries_of_ambiguous(
    policy: Policy, terminations: Iterable[Termination], undecided: Mapping[str, Collection[str]]
) -> list[SubjectQuery]:
    """Return which documents stay although they are an account's: those that may say whose an application is.

    Once they were gone nobody could tell any more, and what remained would say that it is another's. `undecided` are
    the applications in question, by termination.
    """
    known = list(terminations)
    ended = {t.subject for t in known}
    found = []
    for termination in known:
        for application in sorted(undecided.get(termination.key, ())):
            subject = Subject(kind=SubjectKind.APPLICATION, id=application)
            if termination.subject is None or subject in ended:
                continue
            for category in (c for c in policy.categories if c.owns):
                tells = {*category.owns.application} <= {*category.subjects.application}
                found.append(
                    SubjectQuery(
                        label=f"undecided {termination.key}",
                        subject=subject if tells else termination.subject,
                        note="the owner of an application is unknown",
                        categories=frozenset({category.id}),
                    )
                )
    return found


def applications_of(termination: Termination, owned: Ownership, account: str) -> tuple[str, ...]:
    """Return an account's applications, as far as they are to be remembered.

    Until its purge begins all documents that say whose they are can be seen, and the newest decides. From then on
    those of the account itself are gone: what is left may be older, and only a document of afterwards hands one on.
    """
    known = {*termination.applications, *owned.applications[account]}
    if termination.begun_at is None:
        return tuple(sorted(known - owned.others.keys() - owned.undecided.keys()))
    begun_at = termination.begun_at
    return tuple(sorted(one for one in known if owned.others.get(one, begun_at) <= begun_at))


def goes_whole_at(category: Category, purge: Purge, margin: int) -> int | None:
    """Return when an index that loses documents now will have gone as a whole, with its bytes; None if that is open.

    Once its newest document is due, and half a margin later for the cycle that does it.
    """
    index = purge.facts
    stays = index.container or index.write_index or index.lasting_aliases or index.blocks or index.mounted
    if not category.enforce or category.max_age is None or stays or index.undated or purge.spare:
        return None
    if category.timestamp is None and index.quiet_since is None:
        return None  # it goes once nothing is written to it any more
    return due_at(category, margin, index.newest) + margin // 2 if index.newest is not None else None


def asked_in(policy: Policy, category: Category, terminations: Iterable[Termination]) -> TerminationScope:
    """Return for which terminations it is asked in a category."""
    concerned = {
        t.key: tuple(subject for subject, _ in t.subjects())
        for t in terminations
        if t.subject and category in categories_of(policy, t.ask) and narrows(category, t.subject)
    }
    return TerminationScope(labels=frozenset(concerned), tenants=concerned)


def not_narrowed(policy: Policy, termination: Termination, now: int) -> list[OpenItem]:
    """Return the categories that cannot be narrowed to a subject: what they have of it ends by its age, or not.

    Nothing of one whose limit is over since: what is left there all the same, `left_by_age` says.
    """
    items = []
    for category in _not_narrowed(policy, termination):
        text = _names_no(category, termination)
        if category.max_age is None:
            items.append(OpenItem(kind=OpenItemKind.NOT_NARROWED, text=f"{text}, so nothing in it can be purged"))
        elif (until := _known_since(termination) + category.max_age) > now:
            items.append(
                OpenItem(
                    kind=OpenItemKind.NOT_NARROWED, text=f"{text}; what it contains will be deleted by age", until=until
                )
            )
    return items


def should_have_ended(policy: Policy, termination: Termination, now: int) -> tuple[Category, ...]:
    """Return the categories in which what there may have been of a subject should have gone by its age by now."""
    since = _known_since(termination)
    aged = (c for c in _not_narrowed(policy, termination) if c.max_age is not None and since + c.max_age <= now)
    return tuple(aged)


def left_by_age(category: Category, termination: Termination, facts: CategoryFacts) -> Iterator[OpenItem]:
    """Yield what should have gone by its age and may be there: held, blocked, undated, not to be looked into."""
    text, since = _names_no(category, termination), _known_since(termination)
    left = [
        index.name
        for index in facts.indices
        if index.undated or (index.oldest is not None and index.oldest <= since)  # all are, where they have no age
    ]
    if left:
        where = abbreviated(sorted(left), _NAMED)
        what = f"data from before the request should have been deleted by age, but may still be in {where}"
        yield OpenItem(kind=OpenItemKind.NOT_NARROWED, text=f"{text}: {what}")
    for apart in facts.set_apart:
        what = f"it is unknown whether all data from before the request is gone: {apart.text}; {apart.remedy}"
        yield OpenItem(kind=OpenItemKind.NOT_NARROWED, text=f"{text}: {what}")


def left_to_age(policy: Policy, termination: Termination) -> tuple[Category, ...]:
    """Return the categories that can tell the subject's documents, and lose them by their age all the same."""
    subject, purged = termination.subject, categories_of(policy, termination.ask)
    if subject is None:
        return ()
    return tuple(c for c in policy.categories if c not in purged and narrows(c, subject))


def goes_by_age(
    category: Category, terminated: CategoryFacts, protected: CategoryFacts, now: int
) -> Iterator[OpenItem]:
    """Yield what such a category has of the subject, or may have, and when the last of it is past its limit.

    `protected` is the look at the same for what is held. No time is said where something else than age decides.
    """
    having = [index for index in terminated.indices if index.matching_documents]
    if having:
        documents = sum(index.matching_documents for index in having)
        text = f"{category.id} has {counted(documents, 'document')} of the subject"
        kept = {index.uuid for index in protected.indices if protected.is_protected(index)}
        known = {index.uuid for index in protected.indices}
        ends = [
            _past_its_limit(category, index) if index.uuid in known and index.uuid not in kept else None
            for index in having
        ]
        until = max((end for end in ends if end is not None), default=now)
        text += ", which will be deleted by age"
        if None in ends or until <= now:
            where = abbreviated(sorted(index.name for index in having), _NAMED)
            yield OpenItem(kind=OpenItemKind.BY_AGE, text=f"{text} at an unknown time: {where}")
        else:
            yield OpenItem(kind=OpenItemKind.BY_AGE, text=text, until=until)
    for name, reasons in sorted(terminated.indistinguishable.items()):
        for text in sorted({_cannot_tell(name, indistinguishable) for indistinguishable in reasons}):
            yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)
    for apart in terminated.set_apart:
        yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=_not_known(apart))


def _past_its_limit(category: Category, index: IndexFacts) -> int | None:
    """Return when an index has no document left that is within the limit; None where that is open."""
    stays = not category.enforce or index.blocks or index.undated
    if category.max_age is None or index.newest is None or stays:
        return None
    return index.newest + category.max_age


def may_hold_until(policy: Policy, termination: Termination, now: int) -> dict[str, int]:
    """Return, for each category that can tell the subject's documents, until when its indices may have held any.

    Where they were purged until that was done; where they go by their age until the last from before has gone by it.
    """
    purged = categories_of(policy, termination.ask)
    clean = termination.erased_at if termination.erased_at is not None else now
    found = {}
    for category in policy.categories:
        if any(narrows(category, subject) for subject, _ in termination.subjects()):
            by_age = now if category.max_age is None else _known_since(termination) + category.max_age
            found[category.id] = clean if category in purged else max(clean, by_age)
    return found


def _not_narrowed(policy: Policy, termination: Termination) -> Iterator[Category]:
    for category in policy.categories:
        concerned = not category.never_stored or category in categories_of(policy, termination.ask)
        if termination.subject is not None and concerned and not narrows(category, termination.subject):
            yield category


def _known_since(termination: Termination) -> int:
    return max(termination.terminated_at, termination.asked_at)


def _names_no(category: Category, termination: Termination) -> str:
    return f"{category.id} has no field for the {termination.kind} of a document"


def _not_known(apart: SetApart) -> str:
    return f"{apart.text}, so it is unknown whether it contains anything; {apart.remedy}"


def _cannot_tell(name: str, indistinguishable: Indistinguishable) -> str:
    return f"the owner of documents in {name} is unknown: {indistinguishable.reason}"
