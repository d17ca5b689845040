"""A cluster's state that is not the cluster's: answers recorded on 8.10.4 right after its start, and afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders
from elastic_transport._node import NodeApiResponse
from elasticsearch import Elasticsearch

from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.indices.metadata import read_metadata
from retention_enforcer.domain.errors import ClusterUnavailable

UUID = "aaIMJpZBT8uDndrYC3duLw"
NOT_RECOVERED: dict[str, Any] = {
    "cluster_uuid": UUID,
    "blocks": {"global": {"1": {"description": "state not recovered / initialized", "levels": ["read", "write"]}}},
}
NO_MASTER: dict[str, Any] = {"cluster_uuid": UUID, "blocks": {"global": {"2": {"description": "no master"}}}}


def client_that_hears(answer: dict[str, Any]) -> Elasticsearch:
    class Node(BaseNode):
        def perform_request(self, *_: Any, **__: Any) -> NodeApiResponse:
            headers = HttpHeaders({"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
            meta = ApiResponseMeta(status=200, http_version="1.1", headers=headers, duration=0.0, node=self.config)
            return NodeApiResponse(meta, json.dumps(answer).encode())

        def close(self) -> None:
            """There is nothing to close."""

    return Elasticsearch("http://127.0.0.1:1", node_class=Node)


@pytest.mark.parametrize("answer", [NOT_RECOVERED, NO_MASTER, {}], ids=["not recovered", "no master", "empty"])
def test_a_state_without_its_content_says_of_no_index_that_it_is_gone(answer: dict[str, Any]) -> None:
    client = client_that_hears(answer)
    with pytest.raises(ClusterUnavailable):
        Deletion(client).existing(["a-uuid"])
    with pytest.raises(ClusterUnavailable):
        read_metadata(client, ["logs-*"])


def test_a_recovered_state_without_the_index_says_that_it_is_gone() -> None:
    client = client_that_hears({"cluster_uuid": UUID})
    assert Deletion(client).existing(["a-uuid"]) == {}
    assert read_metadata(client, ["logs-*"]) == {}
