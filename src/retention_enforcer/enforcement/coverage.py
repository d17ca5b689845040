"""The cycle of coverage: findings only, nothing is ever changed."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.facts import Evidence
from retention_enforcer.domain.policy import Policy
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.enforcement.coverage_look import COVERAGE, CoverageLook, CoverageMemory, CoverageObserver
from retention_enforcer.enforcement.recorder import CycleRecorder, log_coverage
from retention_enforcer.enforcement.settle import cycle_of


class CoverageCycle:
    """Looks past the policy; what it finds is in the log and, with a recorder, in the ledger."""

    def __init__(
        self, observer: CoverageObserver, pseudonyms: Pseudonyms, recorder: CycleRecorder | None = None
    ) -> None:
        self._observer = observer
        self._pseudonyms = pseudonyms
        self._recorder = recorder

    def run(self, policy: Policy, control: Control, evidence: Mapping[str, Evidence]) -> CoverageLook:
        """Look once. Raises ClusterUnavailable, RequestRejected or Refused where nothing can be said."""
        cycle = cycle_of(COVERAGE)
        with structlog.contextvars.bound_contextvars(**{"retention.cycle": cycle}):
            memory = self._recorder.coverage_memory() if self._recorder else CoverageMemory()
            look = self._observer.look(policy, control, evidence, memory)
            log_coverage(policy, look, self._pseudonyms)
            if self._recorder:
                self._recorder.record_coverage(policy, memory, look, cycle)
            return look
