"""Keeps the book of which node has a copy of what, and says what may be left on the disks of nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from retention_enforcer.domain.coverage.findings import CoverageFacts
from retention_enforcer.domain.coverage.node_copies import (
    CopiesMemory,
    Dangling,
    Kept,
    NodeCopies,
    copies_left,
    dangling_categories,
    dangling_findings,
)
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.own.state_keys import COPIES
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.domain.terminations.plan import left_to_age
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind, Termination, categories_of
from retention_enforcer.enforcement.ports import Clock, DocumentStore


class Nodes(Protocol):
    """Reads what is on the nodes."""

    def placed(self) -> NodeCopies:
        """Return where the copies of all indices are."""

    def unused(self, uuids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return, by the nodes' ids, which of these indices have files there that belong to no copy."""

    def dangling(self) -> Collection[Dangling]:
        """Return the indices that are on disks and not in the cluster. Raises RequestRejected, ClusterUnavailable."""


@dataclass(frozen=True, slots=True)
class CopiesBook:
    """What is remembered of copies, and a look at what there is."""

    nodes: Nodes
    state: DocumentStore
    redactor: Redactor
    clock: Clock

    def keep(self, facts: CoverageFacts) -> None:
        """Remember who has a copy of each governed index; what is away keeps what it had when it was last seen."""
        memory, placed = self._memory(), self.nodes.placed()
        before = memory or CopiesMemory()
        governed = {
            index.uuid: Kept(category=index.claim.categories[0], name=self.redactor.index_name(index.name))
            for index in facts.of(IndexOwner.GOVERNED)
        }
        after = before.after(governed, placed, self._still(before, placed))
        if after != memory:  # that it was looked, and nothing found, is remembered as well
            self.state.save(COPIES, after.body(), self.clock.now())

    def findings(self, policy: Policy) -> tuple[Finding, ...]:
        """Return what is on disks and in no list of indices, or that it cannot be told."""
        try:
            dangling = self.nodes.dangling()
        except (RequestRejected, ClusterUnavailable) as error:
            return dangling_findings(policy, CopiesMemory(), None, error.message)
        # Without an index of its own (plan mode, before `setup`) what was deleted is known by its name alone.
        return dangling_findings(policy, self._memory_if_any() if dangling else CopiesMemory(), dangling)

    def open_items(self, policy: Policy, termination: Termination) -> Iterator[OpenItem]:
        """Yield what may be left of a subject's on disks of nodes that are, or were, away."""
        memory, placed = self._memory(), self.nodes.placed()
        if memory is None:
            text = "it is not yet known which nodes have copies; the next cycle checks it"
            yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)
            return
        concerned = (*categories_of(policy, termination.ask), *left_to_age(policy, termination))
        categories = {category.id for category in concerned}
        purged = {purged.uuid for purged in termination.purges}
        for text in copies_left(memory, placed, purged=purged, categories=categories):
            yield OpenItem(kind=OpenItemKind.COPY_AWAY, text=text)
        try:
            dangling = self.nodes.dangling()
        except (RequestRejected, ClusterUnavailable) as error:
            text = f"it is unknown whether a node has brought deleted indices back: {error.message}"
            yield OpenItem(kind=OpenItemKind.NOT_LOOKED_INTO, text=text)
            return
        for one in dangling:
            if one.uuid in purged or categories.intersection(dangling_categories(policy, memory, one)):
                nodes = ", ".join(placed.nodes.get(id_, id_) for id_ in one.nodes)
                text = f"index {one.name} ({one.uuid}) was deleted, but is on the disk of {nodes} again"
                yield OpenItem(kind=OpenItemKind.DANGLING, text=text)

    def _still(self, before: CopiesMemory, placed: NodeCopies) -> dict[str, frozenset[str]]:
        """Return what is left, on nodes that are there, of what they had: by nodes' ids."""
        left = {id_: uuids for id_, uuids in before.left(placed).items() if id_ in placed.nodes}
        if not left:
            return {}
        wanted = {uuid for uuids in left.values() for uuid in uuids}
        unused = self.nodes.unused(wanted)
        try:
            dangling = {(id_, one.uuid) for one in self.nodes.dangling() for id_ in one.nodes}
        except (RequestRejected, ClusterUnavailable):
            dangling = set()  # that this cannot be told is an open item by itself
        return {
            id_: frozenset(u for u in uuids if u in unused.get(id_, ()) or (id_, u) in dangling)
            for id_, uuids in left.items()
        }

    def _memory(self) -> CopiesMemory | None:
        body = self.state.load([COPIES]).get(COPIES)
        return None if body is None else CopiesMemory.of(body)

    def _memory_if_any(self) -> CopiesMemory:
        try:
            return self._memory() or CopiesMemory()
        except Refused:
            return CopiesMemory()
