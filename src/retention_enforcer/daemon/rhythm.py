"""How often a daemon looks after what must not wait for its work."""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.lease import LEASE_RENEWAL, TERM


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Times in seconds. All instances on a cluster need the same ones: the lease is as safe as the shortest term."""

    lease_term: float = TERM
    lease_renewal: float = LEASE_RENEWAL
    look_around: float = 30.0
    """Between two looks at the cluster and at the operator's decisions."""
