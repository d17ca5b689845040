"""Attaches, swaps and detaches lifecycles: intent recorded, act, look again, outcome recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.ledger.records import APPLY_LIFECYCLE, DETACH_LIFECYCLE, Entry, Kind, Outcome
from retention_enforcer.domain.lifecycles.changes import Change, Way
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.selection import IndexVersion
from retention_enforcer.enforcement.ledger.acts import Act, Acts, Ending
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.fresh_permit import Intended, StaleIntent
from retention_enforcer.enforcement.ports import Deleter, LifecycleCluster, Permission, Permit

BATCH = 20
"""Indices in one request: their intents are recorded first, and have to be fresh when it is sent."""


@dataclass(slots=True)
class Changed:
    """What became of changes."""

    done: list[Change] = field(default_factory=list)
    failures: dict[str, tuple[Change, str]] = field(default_factory=dict)
    """By index uuid, what did not succeed, and why."""


class _NotTheSame(Refused):
    """An index has taken the name of another since that was looked at; nothing was sent."""

    def __init__(self) -> None:
        super().__init__("another index has the name now", "no action needed: it is checked again")


@dataclass(frozen=True, slots=True)
class LifecycleChanger:
    """Changes the lifecycles of indices, under a permit that is asked for before each request."""

    cluster: LifecycleCluster
    deleter: Deleter
    acts: Acts
    appender: Appender
    permit: Permit

    def carry_out(
        self, category: Category | None, changes: Sequence[Change], cycle: str, holds: Collection[Hold]
    ) -> Changed:
        """Carry changes out, in their order; `holds` are those under which they were planned.

        Raises Refused when the right to act was lost, or a hold was added meanwhile: what was attached since is
        detached again before.
        """
        result = Changed()
        for batch in _batches(changes):
            self._carry_out(category, batch, cycle, holds, result)
        return result

    def unwritten(self, indices: Sequence[IndexFacts]) -> frozenset[str]:
        """Return the uuids of those indices that nobody has written to since they were looked at."""
        names = [index.name for index in indices]
        same: set[str] = set()
        for start in range(0, len(names), BATCH):
            now = self._as_they_are(names[start : start + BATCH])
            same |= {
                index.uuid
                for index in indices[start : start + BATCH]
                if now.get(index.name) == IndexVersion(uuid=index.uuid, sequence_numbers=index.sequence_numbers)
            }
        return frozenset(same)

    def _as_they_are(self, names: Sequence[str]) -> dict[str, IndexVersion]:
        """Return what these indices are now; one that is refused that look counts as gone, and no other with it."""
        try:
            return self.deleter.identities(names)
        except RequestRejected:
            if len(names) == 1:
                return {}
        return {name: identity for one in names for name, identity in self._as_they_are([one]).items()}

    def put(self, category: Category, policy: LifecyclePolicy, cycle: str) -> None:
        """Put a policy that no index has, or one that does the same as before."""
        with self.permit.destructive():
            self.cluster.put_policy(policy)
        reason = f"{policy.name}: {policy.arithmetic}"
        entry = Entry(kind=Kind.POLICY, category=category.id, action="lifecycle", reason=reason, cycle=cycle)
        self.appender.append(entry)

    def _carry_out(
        self,
        category: Category | None,
        batch: Sequence[Change],
        cycle: str,
        holds: Collection[Hold],
        result: Changed,
    ) -> None:
        ready = self._unchanged(batch)
        if not ready:
            return
        intended = self.acts.record_intents([_act(category, change, cycle) for change in ready])
        attaches = ready[0].way is not Way.DETACH

        def raise_if_changed() -> None:
            if attaches:
                self.acts.holds_unchanged(holds)()
            there = self.cluster.attachments_of([change.index for change in ready])
            if any(there[c.index].uuid != c.uuid for c in ready if c.index in there):
                raise _NotTheSame

        try:
            failures = self._request(ready, self.acts.permit(intended, raise_if_changed).destructive)
            there = self.cluster.attachments_of([change.index for change in ready])
        except (ClusterUnavailable, RequestRejected) as error:
            reason = f"the outcome cannot be verified: {error.message}"
            self._finish([Ending(one, Outcome.UNKNOWN, reason) for one in intended], result)
            return
        except Refused as error:
            made = self._give_up(intended, error, result)
            self._obey_new_holds(category, made, cycle, holds)
            if isinstance(error, StaleIntent | _NotTheSame):
                return
            raise
        endings = [_judged(one, there.get(one.what.index), failures) for one in intended]
        self._finish(endings, result)
        strangers = [one for one in intended if _hit_another(one.what, there.get(one.what.index))]
        if strangers:
            self._take_back(category, strangers, cycle)
        self._obey_new_holds(category, ready, cycle, holds)

    def _unchanged(self, batch: Sequence[Change]) -> list[Change]:
        """Return those whose index is still what it was; one that got a lifecycle meanwhile is not attached."""
        there = self.cluster.attachments_of([change.index for change in batch])
        return [
            change
            for change in batch
            if (attached := there.get(change.index)) is not None
            and attached.uuid == change.uuid
            and (change.way is not Way.ATTACH or attached.policy is None)
        ]

    def _request(self, changes: Sequence[Change], permit: Permission) -> Mapping[str, str]:
        """Send what changes that are alike need; return the indices that a look shows otherwise, and why."""
        first, names = changes[0], [change.index for change in changes]
        if first.policy is None:
            take_off = self.cluster.release if first.way is Way.RELEASE else self.cluster.detach
            return take_off(names, permit=permit)
        change = self.cluster.attach if first.way is Way.ATTACH else self.cluster.swap
        return change(
            names, first.policy, origination=first.origination, rollover_alias=first.rollover_alias, permit=permit
        )

    def _give_up(self, intended: Sequence[Intended[Change]], error: Refused, result: Changed) -> list[Change]:
        """Record what a look shows, and return what was made: some may have been before the rest was refused.

        Where one index spoils a list, each is tried alone.
        """
        try:
            there = self.cluster.attachments_of([one.what.index for one in intended])
        except (ClusterUnavailable, RequestRejected) as blind:
            reason = f"{error.message}; the outcome cannot be verified: {blind.message}"
            self._finish([Ending(one, Outcome.UNKNOWN, reason) for one in intended], result)
            return []
        endings = []
        for one in intended:
            change, attached = one.what, there.get(one.what.index)
            if attached is not None and attached.uuid == change.uuid and _is_as_wanted(attached, change):
                endings.append(Ending(one, Outcome.DONE, _has(attached)))
            else:
                endings.append(Ending(one, Outcome.REFUSED, f"not carried out: {error.message}"))
        self._finish(endings, result)
        return [ending.one.what for ending in endings if ending.outcome is Outcome.DONE]

    def _take_back(self, category: Category | None, strangers: Sequence[Intended[Change]], cycle: str) -> None:
        """Detach what was attached to an index that took the name of the planned one in that very moment."""
        there = self.cluster.attachments_of([one.what.index for one in strangers])
        reason = "attached to another index than the one that was checked"
        back = [
            replace(_detach(one.what, reason), uuid=there[one.what.index].uuid)
            for one in strangers
            if one.what.index in there
        ]
        if back:
            self.carry_out(category, back, cycle, ())

    def _obey_new_holds(
        self, category: Category | None, changes: Sequence[Change], cycle: str, holds: Collection[Hold]
    ) -> None:
        """Look at the holds again after attaching: the look of `hold add` may have been before it."""
        attached = [change for change in changes if change.way is not Way.DETACH]
        if not attached:
            return
        try:
            self.acts.holds_unchanged(holds)()
        except Refused:
            reason = "a hold was added while the lifecycle was being attached"
            self.carry_out(category, [_detach(change, reason) for change in attached], cycle, holds)
            raise

    def _finish(self, endings: Sequence[Ending[Change]], result: Changed) -> None:
        for ending, finished in zip(endings, self.acts.finish_all(endings), strict=True):
            change = ending.one.what
            if ending.outcome is Outcome.DONE:
                result.done.append(change)
            else:
                result.failures[change.uuid] = (change, finished.reason)


def _act(category: Category | None, change: Change, cycle: str) -> Act[Change]:
    return Act(
        what=change,
        category=category,
        action=DETACH_LIFECYCLE if change.way is Way.DETACH else APPLY_LIFECYCLE,
        index=change.index,
        uuid=change.uuid,
        reason=_describe(change),
        details={"lifecycle": change.policy} if change.policy else None,
        cycle=cycle,
    )


def _judged(one: Intended[Change], attached: Attachment | None, failures: Mapping[str, str]) -> Ending[Change]:
    """Return the outcome that a look shows."""
    change = one.what
    if attached is None:
        return Ending(one, Outcome.FAILED, "the index is gone")
    if attached.uuid != change.uuid:
        return Ending(one, Outcome.FAILED, "another index has the name now")
    if change.index in failures or not _is_as_wanted(attached, change):
        return Ending(one, Outcome.FAILED, failures.get(change.index, _has(attached)))
    return Ending(one, Outcome.DONE, _has(attached))


def _hit_another(change: Change, attached: Attachment | None) -> bool:
    """Whether the change may have been made to another index, which has the name now."""
    if attached is None or attached.uuid == change.uuid:
        return False
    return attached.policy is not None and attached.policy == change.policy


def _is_as_wanted(attached: Attachment, change: Change) -> bool:
    if change.way is Way.RELEASE:
        return attached.exemption is None
    if change.policy is None:
        return attached.policy is None and not attached.at_stake
    return attached.has(change.policy, change.origination, change.rollover_alias)


def _has(attached: Attachment) -> str:
    """Return which lifecycles an index has, as an outcome says it."""
    if attached.policy is not None:
        return f"it has {attached.policy}"
    if attached.exemption is not None:
        date = f"index.lifecycle.origination_date {attached.origination}"
        return f"it has no lifecycle; {date} exempts it from that of its data stream"
    return f"it has {STREAM_LIFECYCLE}" if attached.stream_lifecycle else "it has no lifecycle"


def _detach(change: Change, reason: str) -> Change:
    return Change(index=change.index, uuid=change.uuid, way=Way.DETACH, reason=reason)


def _describe(change: Change) -> str:
    """Return why a change is made; it begins with the name of the lifecycle where one is attached."""
    if change.policy is None:
        return change.reason
    counted = f"; counted from {format_instant(change.origination)}" if change.origination is not None else ""
    alias = f"; rolls {change.rollover_alias} over" if change.rollover_alias else ""
    return f"{change.policy}: {change.reason}{counted}{alias}"


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Yield changes that one request can make, detaching first."""

    def alike(change: Change) -> tuple[bool, str, str, int, str]:
        dated = change.origination if change.origination is not None else -1
        return (
            change.policy is not None,
            change.policy or "",
            "" if change.way is Way.DETACH else change.way,
            dated,
            change.rollover_alias or "",
        )

    for _, those in groupby(sorted(changes, key=alike), key=alike):
        same = list(those)
        yield from (same[start : start + BATCH] for start in range(0, len(same), BATCH))
