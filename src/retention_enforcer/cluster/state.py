"""The cluster's state, as far as it is the cluster's: one that has not recovered yet has no indices, and says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.domain.errors import ClusterUnavailable

_NO_STATE = ("1", "2")
"""Ids of the global blocks under which a state is not the cluster's: not recovered yet, and no master."""

_FAILURE_STORES = "metadata.data_stream.data_stream.*.failure_indices.index_name"
_IN_FAILURE_STORE = ".fs-"
"""How the names of the indices begin that Elasticsearch makes for failure stores; any other can be put into one."""


def read_state(
    client: Elasticsearch, *, metric: Sequence[str], fields: Sequence[str], index: str | None = None
) -> Mapping[str, Any]:
    """Return these fields of the cluster's state, for all indices that an expression reaches, closed and hidden too.

    Needs the cluster privilege `monitor`, and none on the indices: nothing is left out for lack of privileges. Raises
    ClusterUnavailable for a state without its content. A server that has just started answers with the cluster's
    uuid and no index at all until it has recovered its state (measured on 8.10; 8.17 answers 503): taken as it is,
    every index would be gone.

    An index of a failure store is shown where it is named. The cluster itself leaves it out then, as if it were gone
    (measured on 8.17), so all are read. A wildcard or the name of its stream does not reach it.
    """
    if index is None:
        return _read(client, metric, fields, None)
    names = frozenset(index.split(","))
    state = _read(client, metric, [*fields, _FAILURE_STORES], index)
    failed = {name for stream in _streams(state).values() for name in _failures(stream)}
    if failed & names or any(name.startswith(_IN_FAILURE_STORE) for name in names):
        everything = _read(client, metric, [*fields, _FAILURE_STORES], None)
        return _part(everything, _indices(state).keys() | names, _streams(state).keys(), names)
    return state


def _indices(state: Mapping[str, Any], of: str = "metadata") -> Mapping[str, Any]:
    indices: Mapping[str, Any] = state.get(of, {}).get("indices", {})
    return indices


def _streams(state: Mapping[str, Any]) -> Mapping[str, Any]:
    streams: Mapping[str, Any] = state.get("metadata", {}).get("data_stream", {}).get("data_stream", {})
    return streams


def _failures(stream: Mapping[str, Any]) -> set[str]:
    return {str(index["index_name"]) for index in stream.get("failure_indices", ())}


def _part(
    state: Mapping[str, Any], indices: Collection[str], streams: Collection[str], failed: Collection[str]
) -> Mapping[str, Any]:
    """Return a state without what it says of other indices, and of other streams than theirs."""
    of_streams = {
        stream: described
        for stream, described in _streams(state).items()
        if stream in streams or _failures(described).intersection(failed)
    }
    metadata = {
        "indices": {name: described for name, described in _indices(state).items() if name in indices},
        "data_stream": {**state.get("metadata", {}).get("data_stream", {}), "data_stream": of_streams},
    }
    routing = {name: described for name, described in _indices(state, "routing_table").items() if name in indices}
    return {
        **state,
        "metadata": {**state.get("metadata", {}), **metadata},
        "routing_table": {**state.get("routing_table", {}), "indices": routing},
    }


def _read(client: Elasticsearch, metric: Sequence[str], fields: Sequence[str], index: str | None) -> Mapping[str, Any]:
    with translated():
        state = client.cluster.state(
            metric=",".join([*metric, "blocks"]),
            index=index,
            expand_wildcards="all",
            ignore_unavailable=True,
            allow_no_indices=True,
            filter_path=["cluster_uuid", *(f"blocks.global.{block}" for block in _NO_STATE), *fields],
        ).body
    if "cluster_uuid" not in state or state.get("blocks", {}).get("global"):
        raise ClusterUnavailable("the cluster state came without its content", "check the cluster's health")
    return dict(state)
