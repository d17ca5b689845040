"""What the cycle needs from the world: small seams, each filled by `cluster` or `daemon`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.deletion import Existing, Identity, Trim, Trimmed
from retention_enforcer.domain.facts import CategoryFacts, ClusterFacts, Evidence
from retention_enforcer.domain.holds import Hold
from retention_enforcer.domain.ledger import Head, Record
from retention_enforcer.domain.policy import Category, Policy
from retention_enforcer.domain.sought import Sought


class Clock(Protocol):
    """The one source of the time of day."""

    def now(self) -> int:
        """Return the current instant, in epoch milliseconds."""


class Inventory(Protocol):
    """Reads facts; changes nothing (but refreshes, so that what was written is seen)."""

    def cluster(self) -> ClusterFacts:
        """Return who the cluster is and what time it has."""

    def observe(
        self,
        policy: Policy,
        categories: Sequence[Category],
        now: int,
        evidence: Mapping[str, Evidence],
        sought: Sequence[Sought] = (),
    ) -> dict[str, CategoryFacts]:
        """Return the facts of each category, by its id; the documents of some subjects are counted apart."""


class HoldResolver(Protocol):
    """Finds out whom holds on subjects cover."""

    def of(self, policy: Policy, holds: Sequence[Hold], now: int) -> Sequence[Sought]:
        """Return the subjects of these holds; an account takes its applications along."""


class Permit(Protocol):
    """The right to destroy, asked for anew before each request that does."""

    def destructive(self) -> AbstractContextManager[None]:
        """Enter before sending a destructive request, leave when it was answered.

        Raises Refused where the lease does not outlast the request, or the daemon was told to stop.
        """


class Deleter(Protocol):
    """Destroys; every call names concrete indices, and none is ever repeated by itself."""

    def identities(self, names: Sequence[str]) -> dict[str, Identity]:
        """Return, in one call, what each of these indices is now; those that are gone are absent."""

    def existing(self, uuids: Collection[str]) -> dict[str, Existing]:
        """Return those of these indices that exist, by their uuid, from the cluster's state."""

    def delete_indices(self, names: Sequence[str]) -> None:
        """Delete these indices, all or none.

        Raises RequestRejected if none was deleted, OutcomeUnknown if that cannot be told.
        """

    def roll_over(self, target: str, new_index: str | None) -> None:
        """Roll a stream or an alias over, so that its write index becomes an ordinary one."""

    def trim(self, trim: Trim, permit: Callable[[], AbstractContextManager[None]]) -> Trimmed:
        """Delete what a trim names, and nothing else, until none is left; enter `permit` for each request."""


class LedgerStore(Protocol):
    """Where records are kept."""

    def uuid(self) -> str:
        """Return the uuid of the index behind the ledger's alias. Raises Refused if there is none."""

    def create(self, record: Record) -> bool:
        """Store a record under its sequence; False if there is one already. Raises OutcomeUnknown."""

    def get(self, sequence: int) -> Record | None:
        """Return a record as it is now, or None."""

    def read(self, after: int = 0) -> Iterator[Record]:
        """Yield all records with a higher sequence, in their order."""

    def head(self) -> Head:
        """Return the last record's place and hash."""


class StateStore(Protocol):
    """What the enforcer remembers between cycles, one small document a key."""

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return these documents as they are now; absent ones are absent."""

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        """Replace one document."""


class ControlStore(Protocol):
    """Reads the operator's word."""

    def read(self) -> Control:
        """Return it as it is now. Raises Refused if the index that holds it is missing."""
