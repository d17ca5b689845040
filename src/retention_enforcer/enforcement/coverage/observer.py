"""One look past the policy, and what is remembered of it: unclaimed indices, copies, snapshots, holds that end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.coverage.findings import CoverageFacts, coverage_findings, matching_nothing
from retention_enforcer.domain.coverage.snapshots import GovernedIndex, SnapshotsSeen, snapshot_findings
from retention_enforcer.domain.facts import Evidence
from retention_enforcer.domain.findings import Finding, sighted
from retention_enforcer.domain.holds.hold import ending_soon
from retention_enforcer.domain.holds.shortfalls import shortfalls
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.enforcement.memory import CoverageMemory
from retention_enforcer.enforcement.ports import Clock


class WholeCluster(Protocol):
    """Reads whose each index of the cluster is."""

    def read(self, policy: Policy, now: int) -> CoverageFacts:
        """Return whose each index is, and which of those outside the policy seem to be copies."""


class SnapshotReader(Protocol):
    """Reads which snapshots hold governed data."""

    def read(self, policy: Policy) -> SnapshotsSeen:
        """Return all repositories with their snapshots; one that cannot be read says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageLook:
    """What one look past the policy showed."""

    facts: CoverageFacts
    findings: tuple[Finding, ...]
    nothing_since: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CoverageObserver:
    """Reads what no category's cycle sees, and judges it."""

    cluster: WholeCluster
    snapshots: SnapshotReader
    clock: Clock
    on_disks: Callable[[Policy], tuple[Finding, ...]]
    """Finds the copies that nodes have on their disks."""

    def look(
        self, policy: Policy, control: Control, evidence: Mapping[str, Evidence], memory: CoverageMemory
    ) -> CoverageLook:
        """Return what is not covered; `evidence` is what is known of the governed indices, by their uuid."""
        now = self.clock.now()
        facts = self.cluster.read(policy, now)
        nothing_since = matching_nothing(policy, facts, memory.nothing_since)
        findings = (
            *coverage_findings(policy, facts, nothing_since),
            *snapshot_findings(policy, self.snapshots.read(policy), _known(facts, evidence), now),
            *ending_soon(control.holds, now),
            *(one.finding for one in shortfalls(policy, control.holds, facts.indices, now)),
            *self.on_disks(policy),
        )
        return CoverageLook(
            facts=facts,
            findings=tuple(sighted(memory.findings, findings, now)),
            nothing_since=nothing_since,
        )


def _known(facts: CoverageFacts, evidence: Mapping[str, Evidence]) -> dict[str, GovernedIndex]:
    """Return what is known of each governed index that is there, by its name."""
    known: dict[str, GovernedIndex] = {}
    before: dict[str, GovernedIndex] = {}
    for index in facts.of(IndexOwner.GOVERNED):
        seen = evidence.get(index.uuid)
        what = GovernedIndex(
            category=index.claim.categories[0],
            oldest=seen.oldest if seen else None,
            last_trim=seen.last_trim if seen else None,
        )
        known[index.name] = what
        before |= dict.fromkeys(index.claim.names, what)  # what it was made from is not gone
    return before | known
