"""The operator's word: what was accepted, approved, held and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.holds import Hold

ACCEPTED, STOP = "accepted-policy", "stop"
"""Keys of documents in `retention-control`; `stop` is also that of its confirmation in `retention-state`."""

DETACHED = "detached-lifecycles"
"""The key under which the operator's commands remember there which lifecycles of others they have detached."""

STREAMS_STOPPED = "stopped-stream-lifecycles"
"""The key under which `stop` remembers there what the lifecycles of streams said that it switched off."""

TERMINATIONS_APPROVED = "terminations-approved"
"""The key of the last approval of terminations there."""

COVERED = "covered-"
"""How the keys of what holds were seen to cover begin: in `retention-control` as `hold add` saw it, in
`retention-state` as the enforcer did."""

REMOVED, RESUMED = "removed-hold-", "resumed"
"""How the keys of the traces of `hold remove` begin, and the key of that of `resume`: without one, a hold or a stop
flag that is gone was lost."""

APPROVAL, ORDER, HOLD, CONFIRMED = "approval-", "order-", "hold-", "confirmed-"
"""How the keys of approvals, orders, holds and confirmations begin there."""


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
    removed: frozenset[str] = frozenset()
    """The ids of the holds that an operator removed."""
    stopped_at: int | None = None
    resumed_at: int = 0
    """Every stop up to then was taken back by an operator."""
    terminations_approved_at: int = 0
    """Terminations registered up to then need not wait."""
    confirmed: Mapping[str, int] = field(default_factory=dict)
    """By the ids of their documents, which unusual times of requests an operator has confirmed."""
