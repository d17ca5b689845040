"""The cluster's state, as far as it is the cluster's: one that has not recovered yet has no indices, and says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.domain.errors import ClusterUnavailable

_NO_STATE = ("1", "2")
"""Ids of the global blocks under which a state is not the cluster's: not recovered yet, and no master."""


def read_state(
    client: Elasticsearch, *, metric: Sequence[str], fields: Sequence[str], index: str | None = None
) -> Mapping[str, Any]:
    """Return these fields of the cluster's state, for all indices that an expression reaches, closed and hidden too.

    Needs the cluster privilege `monitor`, and none on the indices: nothing is left out for lack of privileges. Raises
    ClusterUnavailable for a state without its content. A server that has just started answers with the cluster's
    uuid and no index at all until it has recovered its state (measured on 8.10; 8.17 answers 503): taken as it is,
    every index would be gone.
    """
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
