"""Stores the demo's sample data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from retention_enforcer.cluster.errors import translated


def store_index(
    client: Elasticsearch, name: str, documents: Iterable[Mapping[str, Any]], fields: Mapping[str, str]
) -> int:
    """Create an index whose fields have these types, store the documents, and return how many there are."""
    properties = {field: {"type": kind} for field, kind in fields.items()}
    with translated(destructive=True):
        client.indices.create(
            index=name,
            settings={"number_of_shards": 1, "number_of_replicas": 0},
            mappings={"dynamic": "strict", "properties": properties},
        )
        stored, _ = bulk(client, ({"_index": name, "_source": dict(d)} for d in documents), refresh=True)
    return int(stored)


def count_documents(client: Elasticsearch, pattern: str) -> dict[str, int]:
    """Return how many documents each index has that a pattern matches."""
    with translated():
        client.indices.refresh(index=pattern)
        stats = client.indices.stats(index=pattern, metric="docs", filter_path="indices.*.primaries.docs.count")
    indices = stats.body.get("indices", {})
    return {name: int(index["primaries"]["docs"]["count"]) for name, index in indices.items()}
