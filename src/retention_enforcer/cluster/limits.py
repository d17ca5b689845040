"""Limits of the cluster that can be lower than the enforcer's own: they are read, and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.instants import MINUTE
from retention_enforcer.domain.lifecycles.foreign import milliseconds
from retention_enforcer.domain.selection import MOST_TERMS

_SHARDS = "action.search.shard_count.limit"
_BUCKETS = "search.max_buckets"
_KEEP_ALIVE = "search.max_keep_alive"
_LEVELS = ("transient", "persistent", "defaults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may ask for."""

    indices: int = 2_000
    """Indices in one search. Each is a bucket, and Elasticsearch gives up at 65,536 buckets."""
    shards: int = 1_000_000
    buckets: int = 10_000
    keep_alive: int = 2 * MINUTE
    """How long a point in time may stay unused, in milliseconds."""
    body: int = 1_000_000
    """Bytes in the body of a request."""


OWN = Limits()
"""Those that hold where the cluster has none that is lower."""


def read_limits(client: Elasticsearch) -> Limits:
    """Return what holds on this cluster, in two requests. Needs the cluster privilege `monitor`."""
    with translated():
        settings = client.cluster.get_settings(
            include_defaults=True,
            filter_path=[f"*.{name}" for name in (_SHARDS, _BUCKETS, _KEEP_ALIVE)],
        ).body
        nodes = client.nodes.info(metric="http", filter_path="nodes.*.http.max_content_length_in_bytes").body
    buckets = min(OWN.buckets, int(_setting(settings, _BUCKETS) or OWN.buckets))
    keep_alive = milliseconds(_setting(settings, _KEEP_ALIVE) or "") or OWN.keep_alive
    lengths = [int(node["http"]["max_content_length_in_bytes"]) for node in nodes.get("nodes", {}).values()]
    return Limits(
        indices=max(1, min(OWN.indices, buckets)),
        shards=int(_setting(settings, _SHARDS) or OWN.shards),
        buckets=max(1, buckets),
        keep_alive=min(OWN.keep_alive, keep_alive),
        # What the client adds to a body is little, but nobody counts it here.
        body=min([OWN.body, *(length // 2 for length in lengths)]),
    )


def most_terms(client: Elasticsearch, names: Iterable[str]) -> int:
    """Return how many values one `terms` query of these indices may have: their own settings say so."""
    field = "metadata.indices.*.settings.index.max_terms_count"
    most = MOST_TERMS
    for some in packed(names):
        found = read_state(client, metric=["metadata"], fields=[field], index=some)
        indices = found.get("metadata", {}).get("indices", {}).values()
        most = min([most, *(terms_in(index["settings"]["index"]) for index in indices)])
    return most


def terms_in(settings: Mapping[str, Any]) -> int:
    """Return how many values one `terms` query may have, by the settings of an index."""
    return max(1, min(MOST_TERMS, int(settings.get("max_terms_count", MOST_TERMS))))


def _setting(settings: Mapping[str, Any], name: str) -> str | None:
    for level in _LEVELS:
        here: Any = settings.get(level, {})
        for part in name.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        if here is not None:
            return str(here)
    return None
