"""Rolls write indices over: intent recorded, act, look again, outcome recorded. Nothing is deleted by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts, RefusedRollover
from retention_enforcer.domain.findings import TRIED_AGAIN, Finding, FindingKind
from retention_enforcer.domain.ledger.records import ROLLOVER, Outcome, evidence_of
from retention_enforcer.domain.lifecycles.compiler import Variant, policy_name
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.rollover import (
    due_rollovers,
    is_alias,
    lasting_refusal,
    next_name,
    refusal_finding,
)
from retention_enforcer.enforcement.ledger.acts import Act, Acts
from retention_enforcer.enforcement.memory import Managed
from retention_enforcer.enforcement.ports import Clock, Deleter, Permit

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledOver:
    """How one rollover ended."""

    outcome: Outcome
    reason: str
    refused: RefusedRollover | None = None
    """That the cluster refuses it for a reason that lasts."""


@dataclass(slots=True)
class RollingResult:
    """What became of a category's rollovers."""

    refused: dict[str, RefusedRollover] = field(default_factory=dict)
    """By index uuid, what is refused for a reason that lasts."""
    findings: list[Finding] = field(default_factory=list)


class Roller:
    """Rolls one write index over, under a permit."""

    def __init__(self, deleter: Deleter, acts: Acts, permit: Permit, clock: Clock) -> None:
        self._deleter = deleter
        self._acts = acts
        self._permit = permit
        self._clock = clock

    def roll_over(self, category: Category, index: IndexFacts, target: str, reason: str, cycle: str) -> RolledOver:
        """Roll an index over; `target` is its stream or its alias. Raises Refused where the right to act was lost."""
        intended = self._acts.record_intent(
            Act(
                what=index,
                category=category,
                action=ROLLOVER,
                index=index.name,
                uuid=index.uuid,
                reason=reason,
                evidence=evidence_of(index, 0),
                cycle=cycle,
            )
        )
        try:
            lost = self._send(index, target)
        except Refused as error:
            self._acts.finish(intended, Outcome.REFUSED, error.message)
            raise
        except RequestRejected as error:
            finished = self._acts.finish(intended, Outcome.FAILED, error.message)
            refused = lasting_refusal(target, error, finished.reason, self._clock.now())
            return RolledOver(outcome=Outcome.FAILED, reason=finished.reason, refused=refused)
        outcome, reason = self._look_again(index, lost)
        return RolledOver(outcome=outcome, reason=self._acts.finish(intended, outcome, reason).reason)

    def _send(self, index: IndexFacts, target: str) -> OutcomeUnknown | None:
        """Roll over; return that the answer was lost, where it was."""
        try:
            with self._permit.destructive():
                self._deleter.roll_over(target, next_name(index.name) if is_alias(index, target) else None)
        except OutcomeUnknown as error:
            _log.warning("rollover", **{"event.outcome": "unknown", "error.message": error.message})
            return error
        return None

    def _look_again(self, index: IndexFacts, lost: OutcomeUnknown | None) -> tuple[Outcome, str]:
        try:
            there = self._deleter.existing([index.uuid], [index.name])
        except (ClusterUnavailable, RequestRejected) as error:
            _log.warning(
                "the outcome could not be verified", **{"event.outcome": "unknown", "error.message": error.message}
            )
            there = {}
        if index.uuid not in there:
            return Outcome.UNKNOWN, "the index cannot be seen"
        if there[index.uuid].rolled_over:
            return Outcome.DONE, "the index was rolled over"
        if lost is not None:  # it may still be waiting on the master: not rolled over yet is not failed
            return Outcome.UNKNOWN, lost.message
        return Outcome.FAILED, "the index was not rolled over"


class Rollovers:
    """Rolls over what is older than its category's `rollover`, where no lifecycle does.

    A hold does not stop it, since it deletes nothing; `stop` does, as it stops all that the enforcer does.
    """

    def __init__(self, roller: Roller, policy: Policy, clock: Clock) -> None:
        self._roller = roller
        self._policy = policy
        self._clock = clock

    def carry_out(
        self,
        category: Category,
        facts: CategoryFacts,
        managed: Mapping[str, Managed | None],
        cycle: str,
        rolled: Collection[str] = (),
    ) -> RollingResult:
        """Roll over what is due; `managed` says by uuid which lifecycle each index has now.

        `rolled` are those (by uuid) that this cycle has asked to be rolled over: one whose answer was lost may still
        be waiting on the master. Raises Refused where the right to act was lost.
        """
        result = RollingResult()
        rolling = {
            policy_name(self._policy.name, category.id, variant) for variant in (Variant.ROLLED, Variant.ROLLING)
        }
        led = {uuid for uuid, one in managed.items() if one is not None and one.policy in rolling}
        for due in due_rollovers(category, facts, led, self._clock.now()):
            if due.index.uuid in rolled:
                continue
            one = self._roller.roll_over(category, due.index, due.target, due.reason, cycle)
            if one.refused is not None:
                result.refused[due.index.uuid] = one.refused
                if due.index.refused_rollover is None:  # else it is among what the look at the end found
                    result.findings.append(refusal_finding(category.id, due.index, one.refused))
            elif one.outcome is Outcome.FAILED:
                result.findings.append(_failed(category, due.index, one.reason))
        return result


def _failed(category: Category, index: IndexFacts, reason: str) -> Finding:
    text = f"{index.name} could not be rolled over: {reason}"
    return Finding.of(FindingKind.ROLLOVER_FAILED, category.id, text, TRIED_AGAIN, index=index)
