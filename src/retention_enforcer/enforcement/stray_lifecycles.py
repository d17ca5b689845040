"""The enforcer's lifecycles on indices that no category claims: a clone keeps its lifecycle, and would be deleted."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.findings import Finding, Severity
from retention_enforcer.domain.lifecycle_changes import Change, Way
from retention_enforcer.domain.lifecycle_policies import policy_prefix
from retention_enforcer.domain.names import governed_part
from retention_enforcer.enforcement.lifecycle_changer import LifecycleChanger
from retention_enforcer.enforcement.lifecycle_look import LifecycleObserver
from retention_enforcer.enforcement.ports import LifecycleSource
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.settle import cycle_of

LIFECYCLES = "lifecycles"
"""What this work is called in ledger and memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """What one look over the whole cluster came to."""

    findings: tuple[Finding, ...] = ()
    unknown: bool = False


class LifecycleRound:
    """Looks, once an interval, at the lifecycles of the whole cluster. Without a changer it only looks."""

    def __init__(
        self, observer: LifecycleObserver, cluster: LifecycleSource, changer: LifecycleChanger | None = None
    ) -> None:
        self._observer = observer
        self._cluster = cluster
        self._changer = changer

    def run(self, scope: Scope) -> RoundResult:
        """Detach what strays. Raises Refused where the right to act was lost."""
        if not self._observer.available:
            return RoundResult()
        cycle = cycle_of(LIFECYCLES)
        with structlog.contextvars.bound_contextvars(**{"retention.cycle": cycle}):
            try:
                return self._run(scope, cycle)
            except RequestRejected as error:
                text = f"lifecycles cannot be looked at: {error.message}"
                return RoundResult(findings=(_finding("lifecycles-unusable", text, error.mend),))

    def _run(self, scope: Scope, cycle: str) -> RoundResult:
        findings, strays = list(self._observer.service()), self._strays(scope)
        if self._changer is None or not scope.may_act:
            findings += [_stray(change) for change in strays]
            return RoundResult(findings=tuple(findings))
        changed = self._changer.carry_out(None, strays, cycle, scope.control.holds)
        findings += [_stray(change) for change, _ in changed.failures.values()]
        return RoundResult(findings=tuple(findings), unknown=changed.unknown)

    def _strays(self, scope: Scope) -> list[Change]:
        prefix = policy_prefix(scope.policy.name)
        return [
            Change(
                index=name,
                uuid=attached.uuid,
                way=Way.DETACH,
                reason=f"no category claims it, and it has {attached.policy}: outside the policy nothing is deleted",
            )
            for name, attached in sorted(self._cluster.attachments(["*"]).items())
            if attached.policy is not None
            and attached.policy.startswith(prefix)
            and not scope.policy.claimants(governed_part(name))
        ]


def _stray(change: Change) -> Finding:
    return Finding(
        kind="lifecycle-stray",
        category=None,
        index=change.index,
        uuid=change.uuid,
        text=f"{change.index}: {change.reason}",
        mend=f"POST {change.index}/_ilm/remove; the enforcer does so when it acts",
        severity=Severity.WARNING,
    )


def _finding(kind: str, text: str, mend: str) -> Finding:
    return Finding(kind=kind, category=None, text=text, mend=mend, severity=Severity.WARNING)
