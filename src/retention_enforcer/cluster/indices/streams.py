"""Data streams and the indices behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.lifecycles.streams import MANAGED_BY_STREAM
from retention_enforcer.cluster.preflight import Capabilities, Part

_FIELDS = [
    "data_streams.name",
    "data_streams.hidden",
    "data_streams.system",
    "data_streams._meta.managed",
    "data_streams.lifecycle.enabled",
    "data_streams.next_generation_managed_by",
    "data_streams.indices.index_name",
    "data_streams.indices.managed_by",
    "data_streams.failure_store.indices.index_name",
    "data_streams.failure_store.indices.managed_by",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The place of an index in a stream."""

    stream: str
    failure_store: bool
    write_index: bool
    stream_lifecycle: bool
    """Whether the stream's own lifecycle manages the index now (it exists since 8.11): not where ILM does."""
    system: bool = False
    """Whether the stream is Elasticsearch's own: flagged so, or hidden and made from a template of its own."""


def read_all_streams(client: Elasticsearch, capabilities: Capabilities) -> dict[str, Membership]:
    """Return the indices behind every stream of the cluster, by name; none where there are no streams."""
    request = partial(client.indices.get_data_stream, name="*", expand_wildcards="all", filter_path=_FIELDS)
    answer = capabilities.ask(Part.STREAMS, request)
    streams = answer.body.get("data_streams", []) if answer is not None else []
    return {name: member for stream in streams for name, member in members_of(stream)}


def members_of(stream: Mapping[str, Any]) -> Iterator[tuple[str, Membership]]:
    """Yield the backing and failure indices in the description of one stream; the last of each is written to."""
    failures = stream.get("failure_store", {}).get("indices", [])
    for failure_store, indices in ((False, stream.get("indices", [])), (True, failures)):
        for number, index in enumerate(indices, start=1):
            yield (
                str(index["index_name"]),
                Membership(
                    stream=str(stream["name"]),
                    failure_store=failure_store,
                    write_index=number == len(indices),
                    stream_lifecycle=_under_stream_lifecycle(stream, index),
                    system=_is_system(stream),
                ),
            )


def _is_system(stream: Mapping[str, Any]) -> bool:
    """Tell streams such as ilm-history-5 from those that people make from the templates that come with the stack."""
    managed = bool(stream.get("_meta", {}).get("managed", False))
    return bool(stream.get("system", False)) or (managed and bool(stream.get("hidden", False)))


def _under_stream_lifecycle(stream: Mapping[str, Any], index: Mapping[str, Any]) -> bool:
    by = index.get("managed_by", stream.get("next_generation_managed_by", MANAGED_BY_STREAM))
    return bool(stream.get("lifecycle", {}).get("enabled", False)) and by == MANAGED_BY_STREAM
