"""Reads how far an own index of one primary goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.shards import primary_numbers
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.own.position import RESTORE, IndexPosition


def read_position(client: Elasticsearch, index: str) -> IndexPosition:
    """Return how far an index goes, and make what is in it visible. Raises Refused if it is missing.

    A document that is being written has a number already, and may become visible after one with a higher number:
    only up to the checkpoint none is still to come.
    """
    with missing_is_refused(index), translated():
        answer = _stats(client, index, "seq_no.max_seq_no", "seq_no.local_checkpoint")
        refreshed = client.indices.refresh(index=index).body
    if set(answer.get("indices", {})) != {index} or refreshed["_shards"]["failed"]:
        raise ClusterUnavailable(f"the sequence numbers of {index} could not be read", "check the cluster's health")
    found = answer["indices"][index]
    copies = [copy for copies in found["shards"].values() for copy in copies if copy["routing"]["primary"]]
    if len(primary_numbers(found)) != 1:
        raise ClusterUnavailable(f"no primary shard of {index} answered", "check the cluster's health")
    return IndexPosition(uuid=str(found["uuid"]), until=int(copies[0]["seq_no"]["local_checkpoint"]))


def lasting(client: Elasticsearch, index: str) -> tuple[str, int]:
    """Return the node of an index's one primary shard, and up to which sequence number every copy has what it has.

    What the same node shows afterwards with a number up to this one is never lost, whatever becomes of that node.
    """
    with translated():
        answer = _stats(client, index, "routing.state", "routing.node", "seq_no.global_checkpoint")
    primaries = [
        copy
        for found in answer.get("indices", {}).values()
        for copies in found["shards"].values()
        for copy in copies
        if copy["routing"]["primary"] and copy["routing"]["state"] == "STARTED" and "seq_no" in copy
    ]
    if len(primaries) != 1:
        raise ClusterUnavailable(f"no primary shard of {index} answered", "check the cluster's health")
    return str(primaries[0]["routing"]["node"]), int(primaries[0]["seq_no"]["global_checkpoint"])


def _stats(client: Elasticsearch, index: str, *said: str) -> Mapping[str, Any]:
    """Return what the copies of shards of an index say of themselves, and which are primaries."""
    of_copies = [f"indices.*.shards.*.{what}" for what in ("routing.primary", *said)]
    answer = client.indices.stats(
        index=index, metric="docs", level="shards", filter_path=["indices.*.uuid", *of_copies]
    )
    return dict(answer.body)


@contextmanager
def missing_is_refused(index: str) -> Iterator[None]:
    """Raise Refused where the cluster says of an own index that it is not there."""
    try:
        yield
    except RequestRejected as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise missing(index) from None


def missing(index: str) -> Refused:
    """Return the refusal where an own index is not there."""
    return Refused(f"{index} is missing or unreadable: nothing is deleted", RESTORE)
