"""The operator's word: what was accepted, approved, held and stopped."""

from __future__ import annotations

from dataclasses import dataclass

from retention_enforcer.domain.holds import Hold

ACCEPTED, STOP = "accepted-policy", "stop"
"""Keys of documents in `retention-control`; `stop` is also that of its confirmation in `retention-state`."""

APPROVAL, ORDER, HOLD = "approval-", "order-", "hold-"
"""How the keys of approvals, orders and holds begin there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An operator's release of purges: pairs of index uuid and action, until an instant (epoch milliseconds)."""

    key: str
    """Unlike for every approval, also for a second one of the same plan."""
    pairs: frozenset[tuple[str, str]]
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Approval):
    """An operator's order to erase what must never be stored: purges that no plan has by itself."""

    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The operator's word: read by the enforcer, never written by it. Instants in epoch milliseconds."""

    accepted: str | None = None
    accepted_at: int = 0
    approvals: tuple[Approval, ...] = ()
    orders: tuple[Order, ...] = ()
    holds: tuple[Hold, ...] = ()
    stopped_at: int | None = None

    @property
    def releases(self) -> tuple[Approval, ...]:
        """Everything that the fuse lets pass on the operator's word."""
        return (*self.approvals, *self.orders)
