"""The operator's word: what was accepted, approved, held and stopped."""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.holds import Hold

ACCEPTED, STOP = "accepted-policy", "stop"
"""Keys of documents in `retention-control`; `stop` is also that of its confirmation in `retention-state`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An operator's release of one plan: pairs of index uuid and action, until an instant (epoch milliseconds)."""

    key: str
    """Unlike for every approval, also for a second one of the same plan."""
    hash: str
    pairs: frozenset[tuple[str, str]]
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The operator's word: read by the enforcer, never written by it. Instants in epoch milliseconds."""

    accepted: str | None = None
    accepted_at: int = 0
    approvals: tuple[Approval, ...] = ()
    holds: tuple[Hold, ...] = ()
    stopped_at: int | None = None
