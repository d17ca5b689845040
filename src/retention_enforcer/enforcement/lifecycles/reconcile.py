"""The lifecycles of a cycle: detached first where they must not be, attached at its end where they may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from retention_enforcer.domain.errors import Refused, RequestRejected
from retention_enforcer.domain.expiry.fuse import FuseLimits, Soon, UnsafePlan, raise_if_unsafe_lifecycles
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts
from retention_enforcer.domain.findings import TRIED_AGAIN, Finding, FindingKind, abbreviated
from retention_enforcer.domain.foresight import foreseen_in
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.lifecycles.changes import Change, Way, earliest_deletion
from retention_enforcer.domain.lifecycles.compiler import Variant, deletes_nothing
from retention_enforcer.domain.lifecycles.ended import EndedIndices
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.wording import counted
from retention_enforcer.enforcement.lifecycles.adoption import StreamAdoption
from retention_enforcer.enforcement.lifecycles.changer import Changed, LifecycleChanger
from retention_enforcer.enforcement.lifecycles.observer import EndedNames, LifecycleLook, LifecycleObserver, Watched
from retention_enforcer.enforcement.lifecycles.policies import PolicyWriter
from retention_enforcer.enforcement.memory import Managed
from retention_enforcer.enforcement.ports import Clock, LifecycleSource
from retention_enforcer.enforcement.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleResult:
    """What a cycle did about lifecycles, and what it found."""

    findings: tuple[Finding, ...] = ()
    managed: Mapping[str, Managed | None] = field(default_factory=dict)
    """By uuid, which lifecycle each index has now; absent where that was not seen."""


class LifecycleWatch:
    """Looks where the lifecycles of a category hang, or come too late; changes nothing."""

    def __init__(self, observer: LifecycleObserver, cluster: LifecycleSource, clock: Clock) -> None:
        self._observer = observer
        self._cluster = cluster
        self._clock = clock

    def findings(self, category: Category, scope: Scope, facts: CategoryFacts) -> tuple[Finding, ...]:
        """Return what a look shows of lifecycles alone."""
        if not self._observer.available:
            return ()
        try:
            look = self._observer.look(scope, category, facts)
            return self._observer.watch(look, facts, self._cluster.stored(), self._clock.now()).findings
        except RequestRejected as error:
            return (unusable(category, error),)

    def report(self, category: Category, scope: Scope, facts: CategoryFacts) -> LifecycleResult:
        """Return the same of an enforcer that may not act, and say aloud where the cluster deletes all the same."""
        if not self._observer.available:
            return LifecycleResult()
        try:
            look = self._observer.look(scope, category, facts)
            watched = self._observer.watch(look, facts, self._cluster.stored(), self._clock.now())
        except RequestRejected as error:
            return LifecycleResult(findings=(unusable(category, error),))
        return LifecycleResult(findings=(*watched.findings, *still_acting(look, watched)), managed=look.managed(facts))


class LifecycleWork:
    """Lifecycles follow what the policy and the facts allow, each change with its records."""

    def __init__(
        self,
        observer: LifecycleObserver,
        cluster: LifecycleSource,
        clock: Clock,
        changer: LifecycleChanger,
        adoption: StreamAdoption,
        ended: Callable[[], EndedIndices],
    ) -> None:
        self._observer = observer
        self._cluster = cluster
        self._clock = clock
        self._changer = changer
        self._adoption = adoption
        self._ended = ended
        self._watch = LifecycleWatch(observer, cluster, clock)

    def protect(self, category: Category, scope: Scope, facts: CategoryFacts, cycle: str) -> None:
        """Detach the lifecycles that must not be there.

        What did not succeed is tried again by `apply`, and a finding if it fails there too. Raises Refused where the
        right to act was lost.
        """
        if not scope.may_act or not self._observer.available:
            return
        try:  # what was put on streams is not asked for: who cannot read it has to detach all the same
            look = self._observer.look(scope, category, facts, ended=self._kept(facts))
        except RequestRejected:  # the purges go on without lifecycles, and `apply` says so
            return
        detaching = [change for change in look.changes if change.way is Way.DETACH]
        self._changer.carry_out(category, detaching, cycle, scope.control.holds)

    def apply(
        self, category: Category, scope: Scope, facts: CategoryFacts, plan: Plan, limits: FuseLimits, cycle: str
    ) -> LifecycleResult:
        """Put policies and attach them, only where something differs. `plan` is all that the cycle planned."""
        if not scope.may_act or not self._observer.available:
            return self._watch.report(category, scope, facts)
        try:
            return self._apply(category, scope, facts, plan, limits, cycle)
        except RequestRejected as error:
            return LifecycleResult(findings=(unusable(category, error),))

    def _apply(
        self, category: Category, scope: Scope, facts: CategoryFacts, plan: Plan, limits: FuseLimits, cycle: str
    ) -> LifecycleResult:
        look, stored = self._look(category, scope, facts), self._cluster.stored()
        watched = self._observer.watch(look, facts, stored, self._clock.now())
        writer = PolicyWriter(self._changer, self._cluster, category, scope, cycle)
        policies = look.lifecycles.policies if category.enforce else ()
        put = [policy for policy in policies if writer.put(policy, stored.get(policy.name), look.attachments)]
        usable = {policy.name for policy in put if policy.variant is not Variant.ENDED}  # `EndedLifecycles` attaches it
        if writer.touched:
            look = self._look(category, scope, facts)
        changes = [change for change in with_hanging(look, watched) if change.policy in (None, *usable)]
        allowed, refused = self._under_the_fuse(changes, look, facts, plan, limits, scope.policy.margin)
        attached = _soon(allowed, look, facts, scope.policy.margin, self._clock.now()).values()
        changed = self._changer.carry_out(category, allowed, cycle, scope.control.holds)
        if allowed:
            look = self._look(category, scope, facts)

        def fuse(soon: Sequence[Soon]) -> None:
            raise_if_unsafe_lifecycles(plan, [*attached, *soon], limits)

        streams = self._adoption.apply(scope, look, facts, cycle, fuse)
        if streams.touched:
            look = self._look(category, scope, facts)
        failed = (*failed_changes(category, changed), *_refusal(category, refused))
        findings = (*watched.findings, *writer.findings, *failed, *streams.findings)
        return LifecycleResult(findings=findings, managed=look.managed(facts))

    def _look(self, category: Category, scope: Scope, facts: CategoryFacts) -> LifecycleLook:
        return self._observer.look(scope, category, facts, self._adoption.known(scope, category), self._kept(facts))

    def _kept(self, facts: CategoryFacts) -> EndedNames:
        """Return what `ended` stays on: what the work on terminations says of, unchanged since."""

        def kept(having: Collection[str]) -> Collection[str]:
            ended = self._ended() if having else EndedIndices()  # read after the attachments: it is saved before these
            return {i.name for i in facts.indices if i.name in having and ended.include(i, facts.as_of)}

        return kept

    def _under_the_fuse(
        self,
        changes: Sequence[Change],
        look: LifecycleLook,
        facts: CategoryFacts,
        plan: Plan,
        limits: FuseLimits,
        margin: int,
    ) -> tuple[Sequence[Change], UnsafePlan | None]:
        """Return the changes that may be made: what a lifecycle deletes within a day counts as if it went now."""
        soon = _soon(changes, look, facts, margin, self._clock.now())
        written = self._written_since(soon, facts)
        changes = [change for change in changes if change.uuid not in written]
        soon = {uuid: one for uuid, one in soon.items() if uuid not in written}
        try:
            raise_if_unsafe_lifecycles(plan, list(soon.values()), limits)
        except UnsafePlan as unsafe:
            surprising = {uuid for uuid, one in soon.items() if one.foreseen < one.documents}
            return [change for change in changes if change.uuid not in surprising], unsafe
        return changes, None

    def _written_since(self, soon: Collection[str], facts: CategoryFacts) -> frozenset[str]:
        """Return the uuids of indices that would be deleted soon and were written to since they were looked at.

        What came may be young: they are looked at again in the next cycle, as before a deletion by the enforcer itself.
        """
        if not soon:
            return frozenset()
        indices = [index for index in facts.indices if index.uuid in soon]
        return frozenset(soon) - self._changer.unwritten(indices)


def still_acting(look: LifecycleLook, watched: Watched) -> Sequence[Finding]:
    """Return the finding that lifecycles delete a category's indices, although the enforcer does not act.

    Those of which nothing can be known are among them. Closed ones are where the lifecycle of their stream rules them:
    index lifecycle management does not delete these.
    """
    ending = {one.stream for one in look.streams if one.enabled and one.retention is not None}
    managed = {
        name: STREAM_LIFECYCLE if a.acting == STREAM_LIFECYCLE else a.policy
        for name, a in sorted(look.attachments.items())
        if (a.acting == STREAM_LIFECYCLE and a.stream in ending)
        or (a.ruled_by_ilm and a.open and not (a.policy in look.own and deletes_nothing(a.policy or "")))
    }
    if not managed:
        return ()
    theirs = [policy for policy in managed.values() if policy not in look.own]
    when = f", the next by {format_instant(watched.next_deletion)}" if watched.next_deletion is not None else ""
    foreign = f" ({len(theirs)} of them by one that the enforcer did not create)" if theirs else ""
    named = abbreviated(managed)
    number = counted(len(managed), "index", "indices")
    what = f"the enforcer currently deletes nothing, but lifecycles still delete {number}"
    remedy = "to detach them from every governed index, run `retention-enforcer stop`"
    return (Finding.of(FindingKind.LIFECYCLE_ACTS, look.category.id, f"{what}{foreign}{when}: {named}", remedy),)


def with_hanging(look: LifecycleLook, watched: Watched) -> list[Change]:
    """Return what has to change, and what has to be attached again since it hangs."""
    changing = {change.uuid for change in look.changes}
    return [*look.changes, *(change for change in watched.again if change.uuid not in changing)]


def _soon(
    changes: Sequence[Change], look: LifecycleLook, facts: CategoryFacts, margin: int, now: int
) -> dict[str, Soon]:
    """Return, by uuid, what lifecycles that are to be attached delete within a day."""
    by_uuid: dict[str, IndexFacts] = {index.uuid: index for index in facts.indices}
    soon = {}
    for change in changes:
        policy, index = look.compiled(change.policy), by_uuid.get(change.uuid)
        if policy is None or index is None:
            continue
        earliest = earliest_deletion(change, policy, index, look.attachments[index.name])
        if earliest is None or earliest > now + DAY:
            continue
        foreseen = foreseen_in(index, look.category, margin, facts).known
        soon[change.uuid] = Soon(uuid=change.uuid, documents=index.documents, foreseen=foreseen)
    return soon


def failed_changes(category: Category, changed: Changed) -> Sequence[Finding]:
    """Return the findings about changes that did not succeed."""
    return [
        Finding(
            kind=FindingKind.LIFECYCLE_FAILED,
            category=category.id,
            index=change.index,
            uuid=change.uuid,
            text=f"the lifecycle of {change.index} could not be changed: {reason}",
            remedy=TRIED_AGAIN,
        )
        for change, reason in changed.failures.values()
    ]


def _refusal(category: Category, refused: Refused | None) -> Sequence[Finding]:
    if refused is None:
        return ()
    return [Finding.of(FindingKind.UNSAFE_LIFECYCLES, category.id, refused.message, refused.remedy)]


def unusable(category: Category, error: RequestRejected) -> Finding:
    """Return the finding that the cluster refuses what lifecycles need."""
    text = f"lifecycles cannot be used: {error.message}"
    remedy = f"{error.remedy}; until then the daemon deletes what is due while it runs"
    return Finding.of(FindingKind.LIFECYCLES_UNUSABLE, category.id, text, remedy)
