"""Which node has a copy of which index: remembered, since a node that is away keeps what it had when it went.

What is deleted or erased meanwhile is still on its disk, and goes when the node is back: Elasticsearch removes a copy
that is none any more, and an index whose deletion it still knows of. It knows of the last 500 alone: one that was
deleted before these is dangling then, on the disk and in no list of indices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.findings import Finding, FindingKind, abbreviated
from retention_enforcer.domain.policy.claims import possible_claimants
from retention_enforcer.domain.policy.promises import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An index of which a node has, or had, a copy."""

    category: str
    name: str
    """As it may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCopies:
    """Where the copies of all indices are now."""

    nodes: Mapping[str, str]
    """Names of the nodes of the cluster, by their ids."""
    copies: Mapping[str, frozenset[str]]
    """By a node's id, the uuids of the indices of which it has a copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dangling:
    """An index that is on the disks of nodes of the cluster, and not in it."""

    uuid: str
    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesMemory:
    """What each node had of the governed indices when it was last seen."""

    indices: Mapping[str, Kept] = field(default_factory=dict)
    """By uuid."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Of the nodes, by their ids."""
    copies: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By a node's id, uuids."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> CopiesMemory:
        """Read it from its document."""
        with readable("what retention-state stores about shard copies"):
            return cls(
                indices={
                    str(uuid): Kept(category=str(category), name=str(name)) for uuid, category, name in body["indices"]
                },
                names={str(node["id"]): str(node["name"]) for node in body["nodes"]},
                copies={str(node["id"]): frozenset(map(str, node["copies"])) for node in body["nodes"]},
            )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {
            "indices": [[uuid, kept.category, kept.name] for uuid, kept in sorted(self.indices.items())],
            "nodes": [
                {"id": id_, "name": name, "copies": sorted(self.copies.get(id_, ()))}
                for id_, name in sorted(self.names.items())
            ],
        }

    def left(self, placed: NodeCopies) -> dict[str, frozenset[str]]:
        """Return, by a node's id, what it had and is not known to have now: of a node that is away, all it had."""
        left = {id_: had - placed.copies.get(id_, frozenset()) for id_, had in self.copies.items()}
        return {id_: uuids for id_, uuids in left.items() if uuids}

    def after(
        self, governed: Mapping[str, Kept], placed: NodeCopies, still: Mapping[str, Collection[str]]
    ) -> CopiesMemory:
        """Return the memory after a look; `still` says what is left on nodes that are there."""
        copies = {}
        for id_ in {*self.names, *placed.nodes}:
            if id_ not in placed.nodes:
                had = self.copies.get(id_, frozenset())
            else:
                had = (placed.copies.get(id_, frozenset()) & governed.keys()) | frozenset(still.get(id_, ()))
            if had:
                copies[id_] = had
        known = {**self.indices, **governed}
        names = {**self.names, **placed.nodes}
        return CopiesMemory(
            indices={uuid: known[uuid] for uuids in copies.values() for uuid in uuids},
            names={id_: names[id_] for id_ in copies},
            copies=copies,
        )


def copies_left(
    memory: CopiesMemory, placed: NodeCopies, *, purged: Collection[str], categories: Collection[str]
) -> list[str]:
    """Return where there may be copies of what was purged of these indices, or is gone of these categories.

    One sentence for each node, with its name.
    """
    there = {uuid for uuids in placed.copies.values() for uuid in uuids}
    texts = []
    for id_, uuids in sorted(memory.left(placed).items()):
        about = [u for u in uuids if u in purged or (memory.indices[u].category in categories and u not in there)]
        if about:
            names = sorted(f"{memory.indices[uuid].name} ({uuid})" for uuid in about)
            has = "has not yet removed its files" if id_ in placed.nodes else "left the cluster with a copy"
            texts.append(
                f"node {memory.names[id_]} {has} of {abbreviated(names)}: "
                "its disk keeps them until the node is in the cluster and has removed them"
            )
    return texts


def dangling_categories(policy: Policy, memory: CopiesMemory, dangling: Dangling) -> tuple[str, ...]:
    """Return whose an index that is only on disks was: by its uuid, or by its name."""
    known = memory.indices.get(dangling.uuid)
    return tuple(sorted({*possible_claimants(policy, dangling.name), *([known.category] if known else [])}))


def dangling_findings(
    policy: Policy, memory: CopiesMemory, dangling: Collection[Dangling] | None, why_not: str = ""
) -> tuple[Finding, ...]:
    """Return a finding for each governed index that is only on disks, or one where that cannot be told."""
    if dangling is None:
        text = f"it is unknown whether a node has brought deleted indices back: {why_not}"
        remedy = "grant the enforcer's role the privileges that `retention-enforcer setup --print` lists"
        return (Finding.of(FindingKind.NOT_LOOKED_INTO, None, text, remedy, about="dangling"),)
    return tuple(
        Finding.of(
            FindingKind.DANGLING_INDEX,
            categories[0],
            f"index {one.name} ({one.uuid}) was deleted, but is on the disk of {', '.join(one.nodes)} again",
            f"delete the dangling index: DELETE /_dangling/{one.uuid}?accept_data_loss=true",
            index=one,
        )
        for one in dangling
        if (categories := dangling_categories(policy, memory, one))
    )
