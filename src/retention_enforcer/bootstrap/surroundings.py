"""What a process finds when it starts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from retention_enforcer.daemon.rhythm import Rhythm
from retention_enforcer.domain.policy.names import OWN, OwnIndices
from retention_enforcer.enforcement.erasure.eraser import LONGEST_RUN
from retention_enforcer.enforcement.ports import Clock


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return the current instant, in epoch milliseconds."""
        return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process finds when it starts.

    Tests give own names to the own indices, a clock and a rhythm of theirs, and another time, in milliseconds, for
    which one run carries erasures on: most of it is waiting for leases, which Elasticsearch moves every half minute.
    """

    environ: Mapping[str, str]
    own: OwnIndices = OWN
    clock: Clock = field(default_factory=SystemClock)
    rhythm: Rhythm = field(default_factory=Rhythm)
    erases_for: int = LONGEST_RUN
