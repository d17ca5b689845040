"""The enforcer's lifecycles on indices that no category claims: a clone keeps its lifecycle, and would be deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.lifecycles.changes import Change, Way
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import deletes_at_once, own_lifecycles
from retention_enforcer.domain.lifecycles.exemption import FAR_AHEAD
from retention_enforcer.domain.own.state_keys import LIFECYCLES
from retention_enforcer.enforcement.lifecycles.adoption import Adoption, StreamAdoption
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from retention_enforcer.enforcement.lifecycles.observer import LifecycleObserver
from retention_enforcer.enforcement.ports import LifecycleSource
from retention_enforcer.enforcement.scope import Scope, named_run


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayResult:
    """What one look over the whole cluster came to."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look showed: the lifecycles of all indices, and which have to leave."""

    there: Mapping[str, Attachment]
    strays: Sequence[Change]
    findings: tuple[Finding, ...]
    """What else there is to be said."""

    def left(self, strays: Iterable[Change]) -> tuple[Finding, ...]:
        """Return what is to be said where these are still there."""
        return (*self.findings, *(_stray(change, self.there[change.index]) for change in strays))


class StrayWatch:
    """Looks, once an interval, at the lifecycles of the whole cluster; changes nothing."""

    def __init__(
        self, observer: LifecycleObserver, cluster: LifecycleSource, governed: Callable[[], Collection[str]]
    ) -> None:
        self._observer = observer
        self._cluster = cluster
        self._governed = governed

    def run(self, scope: Scope) -> StrayResult:
        """Return what strays; what cannot be looked at is a finding."""

        def report(_: str) -> StrayResult:
            seen = self.look(scope)
            return StrayResult(findings=seen.left(seen.strays))

        return self.work(report)

    def work(self, what: Callable[[str], StrayResult]) -> StrayResult:
        """Do what a run does, under its name, where there are lifecycles that can be looked at."""
        if not self._observer.available:
            return StrayResult()
        with named_run(LIFECYCLES) as cycle:
            try:
                return what(cycle)
            except RequestRejected as error:
                text = f"lifecycles cannot be read: {error.message}"
                return StrayResult(findings=(Finding.of(FindingKind.LIFECYCLES_UNUSABLE, None, text, error.remedy),))

    def look(self, scope: Scope) -> _Seen:
        """Look once. Raises RequestRejected where that is refused."""
        there = dict(sorted(self._cluster.attachments(["*"]).items()))
        findings, (strays, former) = self._observer.service(), self._strays(scope, there)
        return _Seen(there, strays, (*findings, *(_former(change, there[change.index]) for change in former)))

    def _strays(self, scope: Scope, there: Mapping[str, Attachment]) -> tuple[list[Change], list[Change]]:
        """Return how this policy's lifecycles leave what it does not claim, and how those of another policy would.

        The one that deletes at once leaves, of whatever policy it is: no look says whose the index is any more.
        """
        governed = self._governed()  # afterwards: an index that came in between is not taken for nobody's
        managed = {
            name: attached for name, attached in there.items() if attached.policy is not None and name not in governed
        }
        own = own_lifecycles(scope.policy, (a.policy for a in managed.values()), self._cluster.contents)
        strays: list[Change] = []
        former: list[Change] = []
        for name, attached in managed.items():
            put_by = own.get(attached.policy or "")
            if put_by is not None:
                stays = put_by != scope.policy.name and not deletes_at_once(attached.policy or "")
                (former if stays else strays).append(_detach(name, attached, put_by))
        return strays, former


class StrayLifecycles:
    """Detaches what strays, where the enforcer may act."""

    def __init__(self, watch: StrayWatch, changer: LifecycleChanger, adoption: StreamAdoption) -> None:
        self._watch = watch
        self._changer = changer
        self._adoption = adoption

    def run(self, scope: Scope) -> StrayResult:
        """Look, and detach. Raises Refused where the right to act was lost."""
        return self._watch.work(lambda cycle: self._run(scope, cycle)) if scope.may_act else self._watch.run(scope)

    def _run(self, scope: Scope, cycle: str) -> StrayResult:
        seen = self._watch.look(scope)
        changed = self._changer.carry_out(None, seen.strays, cycle, scope.control.holds)
        left = seen.left(change for change, _ in changed.failures.values())
        streams = self._give_back_streams(scope, seen.there, cycle)
        return StrayResult(findings=(*left, *streams.findings))

    def _give_back_streams(self, scope: Scope, there: Mapping[str, Attachment], cycle: str) -> Adoption:
        """Give streams of categories that are gone what they had, and then the indices that were exempt in them.

        As long as there is any hold these stay exempt: nobody can tell any more which of them it covers.
        """
        streams = self._adoption.give_back_orphaned(scope, cycle)
        exempt = [
            Change(index=name, uuid=a.uuid, way=Way.RELEASE, reason="its data stream has its former lifecycle again")
            for name, a in there.items()
            if a.stream in streams.given_back and a.exemption is not None and a.exemption.given_back
        ]
        released = exempt if not scope.control.holds else []
        changed = self._changer.carry_out(None, released, cycle, scope.control.holds)
        left = {there[change.index].stream for change in exempt} - {
            there[change.index].stream for change in changed.done
        }
        self._adoption.forget(scope, streams.given_back - left)
        return streams


def _detach(name: str, attached: Attachment, put_by: str) -> Change:
    whose = f"lifecycle policy {attached.policy} of retention policy {put_by}"
    reason = f"no category claims it, but it has {whose}; what no category claims must not be deleted"
    return Change(index=name, uuid=attached.uuid, way=Way.DETACH, reason=reason)


def _stray(change: Change, attached: Attachment) -> Finding:
    remedy = f"{_by_hand(change, attached)}; in enforce mode the enforcer does so itself"
    return _about(FindingKind.LIFECYCLE_STRAY, change, remedy)


def _former(change: Change, attached: Attachment) -> Finding:
    """Return that a policy that was accepted once, under another name, has the cluster delete an index still."""
    return _about(FindingKind.LIFECYCLE_FORMER, change, f"{_by_hand(change, attached)}, or add it to a category")


def _by_hand(change: Change, attached: Attachment) -> str:
    """Return what takes a lifecycle off; where the stream's own would take over, that is kept from the index first."""
    first = f"set its index.lifecycle.origination_date to {FAR_AHEAD}, then run " if attached.at_stake else ""
    return f"{first or 'run '}POST {change.index}/_ilm/remove"


def _about(kind: FindingKind, change: Change, remedy: str) -> Finding:
    text = f"{change.index}: {change.reason}"
    return Finding(kind=kind, category=None, text=text, remedy=remedy, index=change.index, uuid=change.uuid)
