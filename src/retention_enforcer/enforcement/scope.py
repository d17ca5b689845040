"""Under what one piece of work runs."""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Under what one cycle runs."""

    policy: Policy
    fingerprint: str
    max_share: float
    control: Control
    may_act: bool
    """False: everything but the purges."""

    @classmethod
    def looking(cls, policy: Policy, control: Control) -> Scope:
        """For a look at the indices alone: nothing is purged under it."""
        return cls(policy=policy, fingerprint="", max_share=1.0, control=control, may_act=False)
