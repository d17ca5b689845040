"""The certificate: what was promised to one customer, what became of it, and what may still hold its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, State, Termination, Times, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedPromise:
    """One promise that ends with a termination or a request. The limit in milliseconds."""

    category: str
    clause: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCopy:
    """What Elasticsearch itself keeps of documents, beside the indices that can be asked."""

    kind: OpenItemKind
    text: str
    names: tuple[str, ...] = ()
    """The names in the text that somebody has given: a subject's id may stand in them."""
    until: int | None = None
    """Epoch milliseconds; None where it ends by nobody's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """About one termination or request, as of one instant (epoch milliseconds)."""

    as_of: int
    termination: Termination
    times: Times
    promises: tuple[CertifiedPromise, ...]
    applications: tuple[str, ...]
    """Pseudonyms of what went along with an account."""
    hashes: Mapping[int, str]
    """Of the ledger records that the purges name."""
    found: Mapping[str, int | None]
    """By category, how many documents of the subject a look found just now; None where it found none, and could not
    look at all."""
    open_items: tuple[OpenItem, ...]
    head: Head | None

    @property
    def state(self) -> State:
        """Where the termination is."""
        return state_of(self.termination, self.times, self.as_of)

    @property
    def waiting_for(self) -> tuple[OpenItem, ...]:
        """The open items that have not ended by themselves."""
        return tuple(item for item in self.open_items if item.until is None or item.until > self.as_of)

    @property
    def final(self) -> bool:
        """Whether nothing of the subject is left, or may be, as far as the enforcer can see."""
        erased = self.termination.erased_at is not None and self.termination.cancelled_at is None
        return erased and not any(self.found.values()) and not self.waiting_for
