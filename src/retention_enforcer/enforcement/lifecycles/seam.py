"""What a cycle asks of lifecycles, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from retention_enforcer.domain.expiry.fuse import FuseLimits
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.plan import Plan
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.enforcement.memory import Managed
from retention_enforcer.enforcement.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleResult:
    """What a cycle did about lifecycles, and what it found."""

    findings: tuple[Finding, ...] = ()
    managed: Mapping[str, Managed | None] = field(default_factory=dict)
    """By uuid, which lifecycle each index has now; absent where that was not seen."""
    unknown: bool = False


class CategoryLifecycles(Protocol):
    """What a cycle of a category needs of lifecycles."""

    def protect(self, category: Category, scope: Scope, facts: CategoryFacts, cycle: str) -> bool:
        """Detach the lifecycles that must not be there, before anything else; True if an outcome is not known."""

    def apply(
        self, category: Category, scope: Scope, facts: CategoryFacts, plan: Plan, limits: FuseLimits, cycle: str
    ) -> LifecycleResult:
        """Attach those that may be, and look where one hangs."""
