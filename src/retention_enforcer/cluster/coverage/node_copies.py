"""Where the copies of indices are, and what is on the disks of nodes beside them. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.coverage.node_copies import Dangling, NodeCopies
from retention_enforcer.domain.errors import ClusterUnavailable

_FIELDS = [
    "nodes.*.name",
    "metadata.indices.*.settings.index.uuid",
    "routing_table.indices.*.shards.*.node",
]


class CopiesOnNodes:
    """Reads the cluster's state, the files of shards, and the dangling indices."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client

    def placed(self) -> NodeCopies:
        """Return where the copies of all indices are. Needs the cluster privilege `monitor`."""
        state = read_state(self._client, metric=["nodes", "metadata", "routing_table"], fields=_FIELDS)
        uuids = {
            name: str(index["settings"]["index"]["uuid"])
            for name, index in state.get("metadata", {}).get("indices", {}).items()
        }
        copies: dict[str, set[str]] = {}
        for name, index in state.get("routing_table", {}).get("indices", {}).items():
            for shard in index.get("shards", {}).values():
                for copy in shard:
                    if copy.get("node") and name in uuids:
                        copies.setdefault(str(copy["node"]), set()).add(uuids[name])
        return NodeCopies(
            nodes={str(id_): str(node["name"]) for id_, node in state.get("nodes", {}).items()},
            copies={id_: frozenset(found) for id_, found in copies.items()},
        )

    def unused(self, uuids: Collection[str]) -> dict[str, frozenset[str]]:
        """Return, by the nodes' ids, which of these indices have files there that belong to no copy."""
        state = read_state(self._client, metric=["metadata"], fields=["metadata.indices.*.settings.index.uuid"])
        names = {
            name: uuid
            for name, index in state.get("metadata", {}).get("indices", {}).items()
            if (uuid := str(index["settings"]["index"]["uuid"])) in uuids
        }
        found: dict[str, set[str]] = {}
        for some in packed(sorted(names)):
            with translated():
                answer = self._client.indices.shard_stores(
                    index=some, status="all", expand_wildcards="all", ignore_unavailable=True
                ).body
            for name, index in answer.get("indices", {}).items():
                for shard in index["shards"].values():
                    for store in shard["stores"]:
                        if store["allocation"] == "unused":
                            for node in _nodes_in(store):
                                found.setdefault(node, set()).add(names[name])
        return {node: frozenset(indices) for node, indices in found.items()}

    def dangling(self) -> tuple[Dangling, ...]:
        """Return the indices that are on disks and not in the cluster.

        Raises RequestRejected where that may not be asked, and ClusterUnavailable unless all nodes answer.
        """
        with translated():
            answer = self._client.dangling_indices.list_dangling_indices().body
        if answer.get("_nodes", {}).get("failed"):
            raise ClusterUnavailable("not all nodes reported what is on their disks", "check the cluster's health")
        return tuple(
            Dangling(
                uuid=str(one["index_uuid"]), name=str(one["index_name"]), nodes=tuple(sorted(map(str, one["node_ids"])))
            )
            for one in answer["dangling_indices"]
        )


def _nodes_in(store: Mapping[str, object]) -> list[str]:
    """Return the ids of the nodes in the description of a store: the one key that holds an object with a name."""
    return [id_ for id_, node in store.items() if isinstance(node, dict) and "name" in node]
