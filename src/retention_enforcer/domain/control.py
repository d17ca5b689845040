"""The operator's word: what was accepted, approved, held and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.holds.hold import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An operator's release of purges: pairs of index uuid and action, until an instant (epoch milliseconds)."""

    key: str
    """Unlike for every release, also for a second one of the same plan."""
    pairs: frozenset[tuple[str, str]]
    until: int
    policy: str | None
    """The fingerprint of the policy under which it was given, and under which alone it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What somebody saw of a purge who approved it."""

    documents: int
    foreseen: int
    """How many of them were foreseen then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Release):
    """An operator's release of purges that the fuse would refuse."""

    shown: Mapping[tuple[str, str], Shown]
    """By pair; a pair of which it is not known how much was shown is not released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Release):
    """An operator's order to erase what must never be stored: purges that no plan has by itself."""

    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachedLifecycle:
    """Somebody else's lifecycle that the operator's word took off an index."""

    index: str
    policy: str
    origination: int | None = None
    rollover_alias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The operator's word: read by the enforcer, never written by it. Instants in epoch milliseconds."""

    accepted: str | None = None
    accepted_at: int = 0
    approvals: tuple[Approval, ...] = ()
    orders: tuple[Order, ...] = ()
    holds: tuple[Hold, ...] = ()
    removed: frozenset[str] = frozenset()
    """The ids of the holds that an operator removed."""
    stopped_at: int | None = None
    resumed_at: int = 0
    """Every stop up to then was taken back by an operator."""
    terminations_approved_at: int = 0
    """Terminations registered up to then need not wait."""
    terminations_approved_under: str | None = None
    """The fingerprint of the policy under which they were approved."""
    confirmed: Mapping[str, int] = field(default_factory=dict)
    """By the ids of their documents, which unusual times of requests an operator has confirmed."""

    def under(self, fingerprint: str) -> Control:
        """Return it as it counts under a policy: what was approved under another was shown with other purges.

        Approvals and orders stay, as they say themselves under which policy they count; used ones must stay known.
        """
        if self.terminations_approved_under == fingerprint:
            return self
        return replace(self, terminations_approved_at=0)
