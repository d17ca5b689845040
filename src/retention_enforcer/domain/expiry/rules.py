"""The rules of expiry: what must go by its age, as a pure function of the category, the facts and `now`.

For each index, the first that fits:

1. held, under somebody else's ILM policy, or in doubt    -> skip; with documents of a held subject never whole
2. no documents                                           -> keep; delete once the index itself is past the limit
3. oldest dated document younger than limit - margin      -> keep
4. container, last index of an alias, undated documents   -> trim (undated: until they may go, see below)
5. all dated documents due, or within one rollover        -> delete whole, a write index after its rollover;
                                                             trim where that is refused for a reason that lasts
6. otherwise                                              -> trim

The lifecycle of a stream is no reason to skip: it stays, and what it leaves past the limit goes all the same.

Where a category has no timestamp, on purpose, an index counts by its own age (`own_age`): it goes whole or not at all,
and not while something may still be written to it.

An index with undated documents goes whole only once its creation is due as well and nothing was written to it since the
last look: what has no age may be seconds old. One whose documents have no age at all goes by nothing.

What the rules ask for and blocks, mounts or time series forbid becomes the next best thing, or a skip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.deadlines import describe_due, due_at, due_before
from retention_enforcer.domain.expiry.orders import ordered_fields, ordered_purge
from retention_enforcer.domain.facts import CategoryFacts, ForbiddenField, IndexFacts
from retention_enforcer.domain.foresight import Foreseen, foreseen_in, gap_of
from retention_enforcer.domain.instants import describe_duration
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE, not_ours
from retention_enforcer.domain.plan import (
    Action,
    Keep,
    Plan,
    Purge,
    Skip,
    SkipKind,
    blocked,
    is_blocked,
    skip,
    skip_as_held,
)
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category
from retention_enforcer.domain.rollover import by_alias, is_refused, may_be_ordinary, rollover_target, survivor
from retention_enforcer.domain.wording import counted

Verdict = Purge | Keep | Skip

_WRITTEN = "the index is deleted once two checks in a row have found no write in between"


def build_plan(category: Category, margin: int, facts: CategoryFacts, now: int) -> Plan:
    """Return what has to be done for a category at `now`; by age nothing goes where there is no `max_age`."""
    in_doubt = [
        Skip(name=s.name, uuid=s.uuid, kind=SkipKind.SET_APART, reason=s.text, remedy=s.remedy) for s in facts.set_apart
    ]
    verdicts = [
        *in_doubt,
        *_judge_all(category, margin, facts, now),
        *ordered_fields(_elsewhere(category, facts), facts.ordered, facts.holds, now),
    ]
    return Plan(
        category=category.id,
        as_of=now,
        limit=category.limit,
        # What has no age cannot go: it must not make a share of what can look small.
        documents=sum(index.documents for index in facts.indices if index.ageless is None),
        purge=tuple(v for v in verdicts if isinstance(v, Purge)),
        keep=tuple(v for v in verdicts if isinstance(v, Keep)),
        skip=tuple(v for v in verdicts if isinstance(v, Skip)),
        excluded=facts.excluded,
        gap=gap_of(facts),
    )


def _elsewhere(category: Category, facts: CategoryFacts) -> list[ForbiddenField]:
    """Return the forbidden fields of other categories' indices; what must never be stored goes as a whole anyway."""
    return [found for found in facts.forbidden if not (category.never_stored and found.category == category.id)]


def _judge_all(category: Category, margin: int, facts: CategoryFacts, now: int) -> list[Verdict]:
    """Judge each index alone, then again those without which an alias would lose its last index.

    An alias that loses its last index is gone, and the next write to its name creates an index of that name.
    """
    stays: dict[str, str] = {i.name: "a container: the index itself is kept" for i in facts.indices if i.container}
    while True:
        judge = _Judge(category, margin, now, facts, stays)
        verdicts = [judge.judge(index) for index in facts.indices]
        lost = _aliases_lost(facts.indices, verdicts)
        if not lost:
            return verdicts
        for alias, members in lost.items():
            stays[survivor(members).name] = f"the last index of alias {alias}: the index itself is kept"


def _aliases_lost(indices: Iterable[IndexFacts], verdicts: Iterable[Verdict]) -> dict[str, list[IndexFacts]]:
    """Return the aliases that would lose their last index by these verdicts, and their indices.

    `last_of_alias` tells it beforehand, of lifecycles, which may delete any index; here only those count that go. And
    the only index of an alias stays, although its rollover would hand the alias on.
    """
    doomed = {v.facts.name: v for v in verdicts if isinstance(v, Purge) and v.action is Action.DELETE_INDEX}
    return {
        alias: those
        for alias, those in by_alias(indices).items()
        if all(i.name in doomed for i in those)
        and (len(those) == 1 or not any(doomed[i.name].rollover == alias for i in those))
    }


@dataclass(frozen=True, slots=True)
class _Judge:
    """The rules, with what they are applied to."""

    category: Category
    margin: int
    now: int
    facts: CategoryFacts
    stays: Mapping[str, str] = field(default_factory=dict)
    """Indices that are not deleted as such, only their documents, and why."""

    @property
    def cut(self) -> int:
        return due_before(self.category, self.margin, self.now)

    def judge(self, index: IndexFacts) -> Verdict:
        if hold := self.facts.holds.get(index.name):
            return skip_as_held(index, hold.text)
        if self.category.max_age is None:
            return self._erased(index) or Keep(facts=index, due=None, reason=self._why_no_age(index))
        if index.lifecycle not in (None, STREAM_LIFECYCLE) and self.category.foreign_lifecycle == "leave":
            remedy = "detach that lifecycle, or set foreign_lifecycle: adopt for the category"
            return skip(index, SkipKind.FOREIGN_LIFECYCLE, f"managed by {not_ours(str(index.lifecycle))}", remedy)
        if index.documents == 0:
            return self._empty(index, self.category.max_age)
        if index.ageless:
            return skip(index, SkipKind.SET_APART, index.ageless.text, index.ageless.remedy)
        return self._by_age(index)

    def _by_age(self, index: IndexFacts) -> Verdict:
        since = index.counts_from
        if since is None:
            return self._without_any_date(index)
        if self.category.timestamp is None:
            return self._by_its_own_age(index, since)
        if since >= self.cut:
            return Keep(facts=index, due=self._due_at(since), reason=self._describe(since))
        return self._due(index, since)

    def _why_no_age(self, index: IndexFacts) -> str:
        if not self.category.never_stored:
            return "no max_age: kept while the customer is active"
        if not index.documents:
            return "empty"
        return f"{counted(index.documents, 'document')} that must never be stored: reported, not deleted"

    def _erased(self, index: IndexFacts) -> Purge | Skip | None:
        if not self.category.never_stored:
            return None  # it may forbid fields, but its own indices are for its customers' data
        # An order is for exactly what was there to be deleted: a rollover that was refused is tried again.
        may_go_whole = index.name not in self.stays and may_be_ordinary(index, self.category)
        target = rollover_target(index, self.category)
        return ordered_purge(index, self.facts.ordered, may_go_whole=may_go_whole, rollover=target, now=self.now)

    def _empty(self, index: IndexFacts, max_age: int) -> Verdict:
        why = self.stays.get(index.name) or ("the write index" if index.write_index else None)
        due = index.created + max_age
        if why or self.now <= due:
            return Keep(facts=index, due=None if why else due, reason=f"no documents; {why}" if why else "no documents")
        reason = f"no documents, and created {describe_duration(self.now - index.created)} ago"
        return self._as_far_as_possible(index, self._whole(index, due, reason))

    def _without_any_date(self, index: IndexFacts) -> Verdict:
        """Judge an index none of whose documents has a believable timestamp: it can only go with its creation."""
        without = f"{counted(index.undated, 'document')} without a plausible timestamp"
        if index.created >= self.cut or not self._may_go_whole(index) or index.matching_documents:
            return Keep(facts=index, due=None, reason=f"{without}: age unknown")
        if not index.unwritten:
            return Keep(facts=index, due=None, reason=f"{without}; {_WRITTEN}")
        reason = f"{without}, in an index created {describe_duration(self.now - index.created)} ago"
        return self._as_far_as_possible(index, self._whole(index, self._due_at(index.created), reason))

    def _by_its_own_age(self, index: IndexFacts, since: int) -> Verdict:
        """Judge an index whose documents have no timestamp, on purpose, and count from `since`."""
        age = f"no timestamp: judged by the age of the index, created {describe_duration(self.now - index.created)} ago"
        if why := self.stays.get(index.name) or ("the write index" if index.write_index else None):
            return Keep(facts=index, due=None, reason=f"{age}; {why}")
        if index.quiet_since is None:
            return Keep(facts=index, due=None, reason=f"{age}; {_WRITTEN}")
        quiet = f"{age}, no new writes for {describe_duration(self.now - index.quiet_since)}"
        if since >= self.cut:
            return Keep(facts=index, due=self._due_at(since), reason=quiet)
        if index.matching_documents:
            held = counted(index.matching_documents, "document")
            return skip_as_held(index, f"{quiet}; held subjects have {held} in it, so the whole index is kept")
        if index.newest is not None and index.newest >= self.cut:
            early = describe_duration(self._due_at(index.newest) - self.now)
            quiet += f"; its youngest documents are deleted up to {early} early"
        return self._as_far_as_possible(index, self._whole(index, self._due_at(since), quiet))

    def _due(self, index: IndexFacts, oldest: int) -> Verdict:
        newest = index.newest if index.newest is not None else oldest
        within_one_rollover = newest - oldest <= SPAN_TOLERANCE * self.category.rollover
        undated_may_go = index.undated == 0 or (index.created < self.cut and index.unwritten)
        straddles = not (newest < self.cut or within_one_rollover)
        if straddles or not undated_may_go or not self._may_go_whole(index) or index.matching_documents:
            return self._as_far_as_possible(index, self._trim(index, oldest, self._why_not_whole(index)))
        reason = self._describe(oldest)
        if young := index.documents - index.undated - index.due:
            early = describe_duration(self._due_at(newest) - self.now)
            reason += f"; {counted(young, 'younger document')} deleted with it, up to {early} early"
        if index.undated:
            reason += f"; {counted(index.undated, 'document')} without a plausible timestamp deleted with it"
        return self._as_far_as_possible(index, self._whole(index, self._due_at(oldest), reason))

    def _may_go_whole(self, index: IndexFacts) -> bool:
        may_be_rolled = may_be_ordinary(index, self.category) and not is_refused(index, self.category, self.now)
        return index.name not in self.stays and may_be_rolled

    def _why_not_whole(self, index: IndexFacts) -> str:
        if index.name in self.stays:
            return self.stays[index.name]
        if not self._may_go_whole(index):
            refused = index.refused_rollover
            why = f" ({refused.reason})" if refused is not None else ""
            return f"a write index that cannot be rolled over{why}: the index itself is kept"
        if index.matching_documents:
            return f"{counted(index.matching_documents, 'document')} of held subjects kept"
        if index.undated:
            return f"{counted(index.undated, 'document')} without a plausible timestamp kept"
        return f"{counted(index.documents - index.due, 'younger document')} kept"

    def _due_at(self, timestamp: int) -> int:
        return due_at(self.category, self.margin, timestamp)

    def _describe(self, oldest: int) -> str:
        return describe_due(self.category, self.margin, oldest, self.now)

    def _whole(self, index: IndexFacts, due: int, reason: str) -> Purge:
        target = rollover_target(index, self.category)
        return Purge(
            facts=index,
            action=Action.DELETE_INDEX,
            documents=index.documents,
            due=due,
            reason=f"{reason}; {target} is rolled over first" if target else reason,
            cut=self.cut,
            rollover=target,
            foreseen=min(index.documents, self._foreseen(index).whole),
        )

    def _foreseen(self, index: IndexFacts) -> Foreseen:
        return foreseen_in(index, self.category, self.margin, self.facts)

    def _trim(self, index: IndexFacts, oldest: int, why: str) -> Purge:
        documents = index.due - index.matching_due
        return Purge(
            facts=index,
            action=Action.DELETE_DOCUMENTS,
            documents=documents,
            due=self._due_at(oldest),
            reason=f"{self._describe(oldest)}; {why}",
            cut=self.cut,
            spare=index.matches,
            foreseen=min(documents, self._foreseen(index).dated),
        )

    def _as_far_as_possible(self, index: IndexFacts, purge: Purge) -> Verdict:
        """Return the purge where nothing forbids it, else the next best thing or the reason why there is none."""
        if purge.action is Action.DELETE_INDEX and index.end_time is not None and self.now < index.end_time:
            # As long as it is the write index its end moves on: what is due in it must not wait for that.
            still = (
                f"the time series index accepts documents for another {describe_duration(index.end_time - self.now)}"
            )
            since = index.counts_from
            if index.due == 0 or since is None or self.category.timestamp is None:
                remedy = "wait, or shorten index.look_ahead_time in its index template"
                return skip(index, SkipKind.TIME_SERIES, f"{purge.reason}; {still}", remedy)
            purge = self._trim(index, since, still)
        if purge.action is Action.DELETE_INDEX:
            if not is_blocked(purge):
                return purge
            since = index.counts_from
            if index.due == 0 or since is None or self.category.timestamp is None:
                return blocked(index, purge.reason)
            purge = self._trim(index, since, "a block prevents deletion of the index itself")
        if purge.documents == 0:
            return skip_as_held(
                index, f"{purge.reason}; all due documents ({index.matching_due:,}) are of held subjects"
            )
        if index.mounted:
            remedy = "mount indices that span at most one rollover, so that each can be deleted as a whole"
            return skip(
                index, SkipKind.MOUNTED, f"{purge.reason}; a mounted snapshot can only be deleted as a whole", remedy
            )
        if is_blocked(purge):
            return blocked(index, purge.reason)
        return self._not_too_often(index, purge)

    def _not_too_often(self, index: IndexFacts, trim: Purge) -> Verdict:
        """Trim an index once in half a margin at most: each trim costs a pass over it and leaves bytes to merge."""
        pause = self.margin // 2
        last = index.evidence.last_trim if index.evidence else None
        since = index.counts_from
        urgent = since is not None and since < self.cut - pause
        if last is None or urgent or self.now - last >= pause:
            return trim
        reason = f"{trim.reason}; its due documents were last deleted {describe_duration(self.now - last)} ago"
        again = last + pause
        if since is not None:
            again = min(again, self._due_at(since) + pause)
        return Keep(facts=index, due=again, reason=reason)
