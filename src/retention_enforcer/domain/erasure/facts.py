"""What is known of an index whose deleted documents have to leave its files: before, during and after a rewrite."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.facts import Block


class IndexGone(RequestRejected):
    """The index does not exist any more, or another one has its name: nothing of it is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An index once its deletions were durable on every copy that was ever assigned."""

    uuid: str
    sequence_numbers: tuple[int, ...]
    """The last one of each shard, by shard: no deletion of before the mark has a higher one."""
    copies: int
    configured: int
    """Copies that there should be; those that were never assigned are in this number alone."""
    nodes: Mapping[str, str]
    """Names of the nodes that held a copy, by their ids."""
    allowed: str | None
    """The index's own `index.merge.policy.expunge_deletes_allowed`, None if it has none."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Mark:
        """Read it from its document."""
        return cls(
            uuid=str(body["uuid"]),
            sequence_numbers=tuple(int(number) for number in body["sequence_numbers"]),
            copies=int(body["copies"]),
            configured=int(body["configured"]),
            nodes={str(node["id"]): str(node["name"]) for node in body["nodes"]},
            allowed=_text(body["allowed"]),
        )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {
            "uuid": self.uuid,
            "sequence_numbers": list(self.sequence_numbers),
            "copies": self.copies,
            "configured": self.configured,
            "nodes": [{"id": id_, "name": name} for id_, name in sorted(self.nodes.items())],
            "allowed": self.allowed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBehind:
    """A lease that still keeps what was deleted before the mark."""

    id: str
    source: str
    shard: int
    behind: int
    """Operations it has to move on."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> LeaseBehind:
        """Read it from its document."""
        return cls(id=str(body["id"]), source=str(body["source"]), shard=int(body["shard"]), behind=int(body["behind"]))

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {"id": self.id, "source": self.source, "shard": self.shard, "behind": self.behind}


Held = Mapping[str, tuple[str, ...]]
"""For each copy, by its allocation id, the segments that had deleted documents when an expunge began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expunge:
    """One rewrite that was begun."""

    uuid: str
    task: str
    allowed: str | None
    """What is to be put back."""
    held: Held
    """Without the copies on which a merge was running: what it writes may hold what a lease kept when it began."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Expunge:
        """Read it from its document."""
        return cls(
            uuid=str(body["uuid"]), task=str(body["task"]), allowed=_text(body["allowed"]), held=held_of(body["held"])
        )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {"uuid": self.uuid, "task": self.task, "allowed": self.allowed, "held": held_body(self.held)}


class MergeRefused(RequestRejected):
    """A rewrite was prepared, and does not come about; what was prepared is to be put back."""

    def __init__(self, expunge: Expunge, why: RequestRejected) -> None:
        super().__init__(why.message, why.remedy, kind=why.kind, status=why.status)
        self.expunge = expunge


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCopy:
    """One assigned copy of a shard, as it answered."""

    shard: int
    allocation: str
    """Unlike for each time the copy was built anew."""
    node: str
    deleted: int
    """Deleted and overwritten documents, and the tombstones, which carry the ids."""
    segments: tuple[str, ...] = ()
    """Those that have any of these."""
    merging: int = 0
    contexts: int = 0
    """Open points in time, scrolls and searches: their files stay."""
    recoveries: int = 0
    """Copies that are being built from its files."""
    logged: int = 0
    """Operations in its transaction log."""
    committed: int = -1
    """The sequence number up to which the commit that it would start from has everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What one look at all copies of an index showed."""

    copies: tuple[ShardCopy, ...]
    open: bool = True
    away: tuple[str, ...] = ()
    """Copies that are not assigned and may have been once, each with its shard and why."""
    unsettled: tuple[str, ...] = ()
    """Copies that are being built or moved, each with its shard and state."""
    unused: tuple[str, ...] = ()
    """Files of copies that are none any more, each with its shard and node."""
    nodes: frozenset[str] = frozenset()
    """Ids of all nodes of the cluster."""
    snapshot: bool = False
    """Whether a snapshot that is running reads from it."""
    blocks: frozenset[Block] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The index does not exist any more, or another one has its name."""


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def held_of(body: Collection[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Read which segments had deleted documents from a document."""
    return {str(copy["allocation"]): tuple(str(segment) for segment in copy["segments"]) for copy in body}


def held_body(held: Held) -> list[dict[str, Any]]:
    """Return it as a document: a list, since as keys allocation ids would be fields."""
    return [{"allocation": allocation, "segments": list(segments)} for allocation, segments in sorted(held.items())]
