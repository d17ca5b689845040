"""What the cycle needs from the world: small seams, each filled by `cluster` or `daemon`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.erasure.steps import ErasureProgress
from retention_enforcer.domain.facts import CategoryFacts, ClusterFacts, Evidence
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.lease import Versioned
from retention_enforcer.domain.ledger.records import Head, Record
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import LifecyclePolicy, StoredLifecycle
from retention_enforcer.domain.lifecycles.stream_watch import StreamError
from retention_enforcer.domain.lifecycles.streams import StreamLifecycle
from retention_enforcer.domain.lifecycles.vanished import HistoryEntry
from retention_enforcer.domain.lifecycles.watch import Explained
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.selection import Existing, IndexVersion, Trim, Trimmed
from retention_enforcer.domain.subjects.identity import Match, Ownership, Subject
from retention_enforcer.domain.subjects.query import SubjectQuery
from retention_enforcer.domain.terminations.requests import Written

Permission = Callable[[], AbstractContextManager[None]]
"""Gives the right to send one destructive request: entered before it, left when it was answered."""


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
        queries: Sequence[SubjectQuery] = (),
        looks: Mapping[str, int] | None = None,
    ) -> dict[str, CategoryFacts]:
        """Return the facts of each category, by its id; the documents of some subjects are counted apart.

        `looks` says when each category was looked at before, under the same policy.
        """


class HoldResolver(Protocol):
    """Finds out whom holds on subjects cover."""

    def of(self, policy: Policy, holds: Sequence[Hold], now: int) -> Sequence[SubjectQuery]:
        """Return the subjects of these holds; an account takes its applications along."""


class Permit(Protocol):
    """The right to destroy, asked for anew before each request that does."""

    def destructive(self) -> AbstractContextManager[None]:
        """Enter before sending a destructive request, leave when it was answered.

        Raises Refused where the lease does not outlast the request, or the daemon was told to stop.
        """


class Deleter(Protocol):
    """Destroys; every call names concrete indices, and none is ever repeated by itself."""

    def identities(self, names: Sequence[str]) -> dict[str, IndexVersion]:
        """Return, in one call, what each of these indices is now; those that are gone are absent."""

    def existing(self, uuids: Collection[str], names: Collection[str] | None = None) -> dict[str, Existing]:
        """Return those of these indices that exist, by their uuid, from the cluster's state.

        With their names less is read: an index keeps its name for as long as it exists.
        """

    def delete_indices(self, names: Sequence[str]) -> None:
        """Delete these indices, all or none.

        Raises RequestRejected if none was deleted, OutcomeUnknown if that cannot be told.
        """

    def roll_over(self, target: str, new_index: str | None) -> None:
        """Roll a stream or an alias over, so that its write index becomes an ordinary one."""

    def trim(self, trim: Trim, permit: Permission) -> Trimmed:
        """Delete what a trim names, and nothing else, until none is left; enter `permit` for each request."""


class WriteBlockSwitch(Protocol):
    """Sets write blocks."""

    def set_write_block(self, uuid: str, *, blocked: bool) -> bool:
        """Set or lift the write block of an index, if it is still there; return whether it had one."""

    def lift_write_blocks(self, uuids: Collection[str]) -> None:
        """Lift the write blocks of those of these indices that are still there.

        Raises RequestRejected where one of them is refused, whatever became of the others.
        """

    def stop_writes(self, names: Sequence[str]) -> dict[str, bool]:
        """Put a write block on these indices and wait for the writes under way; return those that had none before.

        Of each: whether every shard confirmed it. One that did not is blocked, perhaps, and may still be written to.
        Raises RequestRejected if nothing was blocked.
        """


class LifecycleSource(Protocol):
    """Reads what the cluster knows of index lifecycles."""

    def status(self) -> str:
        """Return `operation_mode`: RUNNING, STOPPING or STOPPED."""

    def poll_interval(self) -> int:
        """Return how often the cluster looks at lifecycles, in milliseconds."""

    def stream_round(self) -> int:
        """Return how long it takes until the lifecycles of all streams were looked at anew, in milliseconds."""

    def stream_poll(self) -> int:
        """Return how often the cluster looks at the lifecycles of streams, in milliseconds."""

    def default_retention(self) -> int | None:
        """Return the retention of streams whose lifecycle says none; None where that is endless."""

    def stream_lifecycles(
        self, streams: Collection[str], expressions: Collection[str] = ()
    ) -> Sequence[StreamLifecycle]:
        """Return the lifecycles of their own of those of these streams that are there, and of their failure stores.

        `expressions` are what most of them are reached by, in few requests.
        """

    def stream_errors(self, names: Collection[str], expressions: Collection[str] = ()) -> Mapping[str, StreamError]:
        """Return by index what the lifecycles could not do, at their last run, with the indices that these reach.

        `names` are of streams or indices; nothing may reach an index with a metadata block.
        """

    def contents(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what all lifecycle policies of the cluster do and say (`phases` and `_meta`), by name."""

    def stored(self) -> dict[str, StoredLifecycle]:
        """Return all lifecycle policies of the cluster, by name."""

    def attachments(self, expressions: Iterable[str]) -> dict[str, Attachment]:
        """Return what is attached to all indices that the expressions reach, by name, closed and blocked ones too."""

    def attachments_of(self, names: Collection[str]) -> dict[str, Attachment]:
        """Return what is attached to those of these indices that are there."""

    def explain_all(self, expressions: Sequence[str], attachments: Mapping[str, Attachment]) -> dict[str, Explained]:
        """Return how far the lifecycles of these indices are; no expression may reach one with a metadata block."""

    def snapshotting(self) -> frozenset[str]:
        """Return the indices of which a snapshot is being taken."""


class LifecycleCluster(LifecycleSource, Protocol):
    """Changes lifecycles; every call names concrete indices, and looks afterwards."""

    def put_policy(self, policy: LifecyclePolicy) -> None:
        """Put a compiled policy. Raises Refused where there is one of that name that is not the enforcer's."""

    def attach(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = ...,
    ) -> dict[str, str]:
        """Attach a policy; return the indices that a look shows without it, and why. `permit` is for each request."""

    def swap(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = ...,
    ) -> dict[str, str]:
        """Detach whatever they have, then attach; return the indices that a look shows otherwise, and why."""

    def detach(self, names: Collection[str], *, permit: Permission = ...) -> dict[str, str]:
        """Keep every lifecycle from these indices, first that of their stream; return what some may delete, and why."""

    def exempt(self, names: Collection[str], *, permit: Permission = ...) -> dict[str, str]:
        """Keep the lifecycles of their streams from these indices; return where a look shows otherwise, and why."""

    def release(self, names: Collection[str], *, permit: Permission = ...) -> dict[str, str]:
        """Let the lifecycles of their streams have these indices again; return where that failed, and why."""


class StreamLifecycles(Protocol):
    """The lifecycles that belong to streams; each stream is named, and looked at afterwards."""

    def enabled(self) -> dict[str, dict[str, Any]]:
        """Return the governed streams whose own lifecycle is enabled, and what it says."""

    def of(self, streams: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return what the lifecycles of these streams say; a stream that is gone is absent."""

    def put(self, stream: str, body: Mapping[str, Any]) -> str | None:
        """Replace the lifecycle of one stream; return why a look shows another one, None where it is as put."""


class DeletionHistory(Protocol):
    """What the cluster itself has written down of deletions by lifecycles."""

    def deletions(self, since: int, shown: Callable[[str], str], names: Collection[str]) -> list[HistoryEntry] | None:
        """Return those since an instant of indices with these names as `shown`, the oldest first; None without one."""

    def deleted_at(self, uuids: Collection[str]) -> Mapping[str, int]:
        """Return when these indices were deleted, by uuid, as far as the cluster still knows."""


class Requests(Protocol):
    """Where requests are written, in an order."""

    def position(self) -> IndexPosition:
        """Return how far requests can be read, and make them visible. Raises Refused if the index is missing."""

    def read(self, after: int, until: int) -> Sequence[Written]:
        """Return the requests written after one place and up to another, in their order."""

    def existing(self, sequences: Collection[int]) -> frozenset[int]:
        """Return those of these places in which there is still a request: not deleted, not written anew."""

    def reinstatements(self, after: int) -> bool:
        """Whether any reinstatement was asked for after a place."""

    def was_reinstated(self, subject: Subject, before: int) -> bool:
        """Whether a reinstatement of a subject, written before a place, is there still."""

    def reinstated(self, applications: Collection[str], users_of: Collection[str], after: int) -> Sequence[int]:
        """Return the places, after one, of reinstatements of these applications, and of users of those."""

    def write(self, id_: str, body: Mapping[str, Any]) -> None:
        """Store a request under an id that nobody used."""

    def forget(self, subject: Subject, until: int) -> int:
        """Delete all requests about a subject that were written up to a place; return how many went."""


class Owners(Protocol):
    """Finds out which applications belong to an account."""

    def of(self, policy: Policy, account: str, known: Collection[str], now: int) -> Ownership:
        """Return what certainly belongs to an account, and which of the known applications belong to others now.

        Raises Refused where that cannot be told.
        """


class SubjectCounter(Protocol):
    """Counts the documents of subjects."""

    def by_label(self, index: str, matches: Iterable[Match], spare: Sequence[Match] = ()) -> dict[str, int]:
        """Return how many documents of an index each label asks for, but those to spare; 0 is absent."""


class Erasures(Protocol):
    """Erases what was deleted from the files of an index, a step at a time."""

    def advance(self, progress: ErasureProgress, now: int, permit: Permission) -> ErasureProgress:
        """Do the next act of an erasure once."""


class LedgerStore(Protocol):
    """Where records are kept."""

    def uuid(self) -> str:
        """Return the uuid of the index behind the ledger's alias. Raises Refused if there is none."""

    def create(self, records: Sequence[Record]) -> bool:
        """Store records that follow one another, all or none; False if the place of the first is taken.

        No more than MOST_TOGETHER. Raises OutcomeUnknown.
        """

    def get(self, sequence: int) -> Record | None:
        """Return a record as it is now, or None."""

    def standing(self, sequence: int) -> Sequence[Record]:
        """Return a record that every copy has, with those that were stored together with it, in their order.

        Nothing where there is none to be seen, which proves nothing. Raises ClusterUnavailable where there is one that
        may still be lost.
        """

    def read(self, after: int = 0) -> Iterator[Record]:
        """Yield all records with a higher sequence, in their order."""

    def strangers(self) -> int:
        """Return how many documents in the ledger are no records."""

    def head(self) -> Head:
        """Return the last record's place and hash."""

    def about(self, uuids: Collection[str], action: str) -> Sequence[Record]:
        """Return all records of an action on these indices, in their order."""


class DocumentStore(Protocol):
    """The small documents of one own index, each under a key."""

    def position(self) -> IndexPosition:
        """Return which index it is and how far it goes. Raises Refused if it is missing."""

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return these documents as they are now; absent ones are absent. Raises Refused if the index is missing."""

    def versions(self, keys: Sequence[str]) -> dict[str, Versioned]:
        """Return these documents with their versions, for conditional writes."""

    def all(self, kind: str | None = None) -> dict[str, Mapping[str, Any]]:
        """Return all documents, or those of a kind."""

    def save(self, key: str, body: Mapping[str, Any], now: int, kind: str | None = None) -> None:
        """Replace one document; its kind is its key, unless it is given."""

    def replace_version(
        self, key: str, body: Mapping[str, Any], now: int, version: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        """Write a document only if it has this version (None: if it is absent); None where somebody was faster."""

    def remove(self, key: str) -> None:
        """Remove one document; an absent one is no error."""


class ControlStore(Protocol):
    """Reads the operator's word."""

    def read(self) -> Control:
        """Return it as it is now. Raises Refused if the index that holds it is missing."""
