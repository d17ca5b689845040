"""The lease: the rule by which one enforcer acts at a time.

The lease is one document with a holder, an epoch and a beat that grows with each renewal. Nobody compares clocks: who
waits watches the document, and takes it over once it has not changed for a whole term on the waiter's own monotonic
clock. A holder counts its term from before it sent the renewal, so it stops before anybody else can begin.

Only what was acknowledged counts. Whoever reads what nobody acknowledged, or an older lease, on a node that is cut off,
names a version in the next write that the others do not have, and gets nothing. The token says which process wrote a
lease: one whose answer was lost need not wait for a term until it may write again, since nobody else holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.errors import readable

TERM = 120.0
"""Seconds for which a renewal holds."""

LEASE_RENEWAL = 10.0
"""Seconds between renewals: ten may fail before the lease is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned:
    """A document and the version (`_seq_no`, `_primary_term`) that a conditional write must name."""

    body: Mapping[str, Any]
    version: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who acts. An empty holder has given it back."""

    holder: str
    epoch: int
    beat: int = 0
    token: str = ""
    """Which process wrote it; no two have the same. Empty where it was written before there were any."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Lease:
        """Read it from its document."""
        with readable("the lease in retention-state"):
            token = str(body.get("token", ""))
            return cls(holder=str(body["holder"]), epoch=int(body["epoch"]), beat=int(body["beat"]), token=token)

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        token = {"token": self.token} if self.token else {}
        return {"holder": self.holder, "epoch": self.epoch, "beat": self.beat, **token}


@dataclass(slots=True)
class Watch:
    """What somebody who waits for the lease has seen of it. Times are monotonic, in seconds."""

    seen: tuple[int, int] | None = None
    since: float = 0.0
    term: float = TERM

    def may_take(self, lease: Versioned | None, now: float, token: str = "") -> bool:
        """Whether the lease may be taken over: it was given back, never taken, or not renewed for a whole term.

        Or it was written by the one who asks, by its token, who does not hold it: the answer was lost.
        """
        if lease is None:
            return True
        found = Lease.of(lease.body)
        if not found.holder or (token and found.token == token):
            return True
        if lease.version != self.seen:
            self.seen, self.since = lease.version, now
        return now - self.since >= self.term
