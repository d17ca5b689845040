"""What the cluster's state says of indices. It answers whatever blocks an index carries, and for closed ones too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.limits import terms_in
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.instants import parse_instant
from retention_enforcer.domain.lifecycles.exemption import Exemption, exemption_in
from retention_enforcer.domain.policy.names import former_names, is_shrunk

_SETTINGS = (
    "uuid",
    "creation_date",
    "hidden",
    "blocks",
    "lifecycle.name",
    "lifecycle.origination_date",
    "store.type",
    "time_series.end_time",
    "xpack.ccr.following_index",
    "provided_name",
    "resize.source.name",
    "store.snapshot.index_name",
    "downsample.source.name",
    "downsample.origin.name",
    "max_terms_count",
)
_STREAMS = "metadata.data_stream.data_stream.*"
_PLACES = ("indices.", "failure_*.", "failure_*.*.")
_STREAM_ALIASES = "metadata.data_stream.data_stream_aliases.*.data_streams"
_FIELDS = [
    "metadata.indices.*.state",
    "metadata.indices.*.aliases",
    "metadata.indices.*.system",
    "metadata.indices.*.ilm.shrink_index_name",
    "metadata.indices.*.rollover_info.*.time",
    *(f"metadata.indices.*.settings.index.{setting}" for setting in _SETTINGS),
    "routing_table.indices.*.shards.*.state",
    "routing_table.indices.*.shards.*.primary",
]
_ACTIVE = frozenset({"STARTED", "RELOCATING"})
_READ_BLOCK = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMetadata:
    """One index as the cluster's state describes it. Instants in milliseconds."""

    name: str
    uuid: str
    created: int
    open: bool
    assigned: bool
    """Whether each of its primary shards is active."""
    shards: int
    active_copies: int
    """Active copies of its shards, primaries and replicas."""
    aliases: tuple[str, ...]
    hidden: bool
    blocks: frozenset[Block]
    read_blocked: bool
    lifecycle: str | None
    exemption: Exemption | None
    """What keeps it from the lifecycle of its stream."""
    mounted: bool
    follower: bool
    most_terms: int
    """Values that one `terms` query may have."""
    end_time: int | None
    system: bool = False
    """Whether Elasticsearch flags it as its own."""
    origin: str | None = None
    """The index it was made from, as far as its settings tell: restored under another name, or (until its shards have
    recovered) cloned, split or shrunk."""
    made_from: tuple[str, ...] = ()
    """The indices it was certainly made from: mounted, downsampled, or shrunk by a lifecycle."""
    resized_from: str | None = None
    """The index it was cloned, split or shrunk from. By hand the settings say so only until its shards have recovered;
    what a lifecycle has shrunk keeps the name (8.17)."""
    rollovers: Mapping[str, int] = field(default_factory=dict)
    """By the stream or alias that was rolled over, when that left the index behind."""
    resized: bool = False
    """Whether it was certainly cloned, split or shrunk: it was created then, and its documents were there before."""

    @property
    def why_unreadable(self) -> str | None:
        """Why no search can look into it, where the state tells; None where nothing stands against it."""
        if not self.open:
            return "it is closed"
        if not self.assigned:
            return "one of its primary shards is not assigned"
        return "index.blocks.read is set" if self.read_blocked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMetadata:
    """All indices of the cluster, and the streams as the cluster's state has them, whoever may see them."""

    indices: dict[str, IndexMetadata]
    streams: dict[str, str]
    """By the names of indices, of which stream each is a part."""
    stream_aliases: dict[str, tuple[str, ...]]
    """By the names of streams."""


def read_everything(client: Elasticsearch) -> ClusterMetadata:
    """Return every index of the cluster, those of failure stores too: a name or wildcard leaves them out (8.17)."""
    fields = [*_FIELDS, *(f"{_STREAMS}.{place}index_name" for place in _PLACES), _STREAM_ALIASES]
    state = read_state(client, metric=["metadata", "routing_table"], fields=fields)
    routing = state.get("routing_table", {}).get("indices", {})
    metadata = state.get("metadata", {})
    streams_ = metadata.get("data_stream", {})
    aliases: dict[str, list[str]] = {}
    for alias, what in streams_.get("data_stream_aliases", {}).items():
        for stream in what["data_streams"]:
            aliases.setdefault(str(stream), []).append(str(alias))
    return ClusterMetadata(
        indices={
            name: described(name, index, routing.get(name, {}).get("shards", {}))
            for name, index in metadata.get("indices", {}).items()
        },
        streams={
            index: str(stream)
            for stream, what in streams_.get("data_stream", {}).items()
            for index in _index_names(what)
        },
        stream_aliases={stream: tuple(sorted(those)) for stream, those in aliases.items()},
    )


def _index_names(described: object) -> Iterator[str]:
    """Yield all names of indices in the description of a stream, wherever a version has them."""
    match described:
        case {"index_name": name}:
            yield str(name)
        case dict():
            for part in described.values():
                yield from _index_names(part)
        case list():
            for part in described:
                yield from _index_names(part)


def read_metadata(client: Elasticsearch, expressions: Iterable[str]) -> dict[str, IndexMetadata]:
    """Return all indices that the expressions reach, by name, those behind aliases and streams too."""
    found: dict[str, IndexMetadata] = {}
    for names in packed(expressions):
        state = read_state(client, metric=["metadata", "routing_table"], fields=_FIELDS, index=names)
        routing = state.get("routing_table", {}).get("indices", {})
        for name, index in state.get("metadata", {}).get("indices", {}).items():
            found[name] = described(name, index, routing.get(name, {}).get("shards", {}))
    return found


def described(name: str, index: Mapping[str, Any], shards: Mapping[str, list[Mapping[str, Any]]]) -> IndexMetadata:
    """Return what the state's description of an index and of its shards says."""
    settings = index["settings"]["index"]
    blocks = {block for block, value in settings.get("blocks", {}).items() if _true(value)}
    primaries = [copy["state"] in _ACTIVE for copies in shards.values() for copy in copies if copy["primary"]]
    end_time = settings.get("time_series", {}).get("end_time")
    return IndexMetadata(
        name=name,
        uuid=str(settings["uuid"]),
        created=int(settings["creation_date"]),
        open=index["state"] == "open",
        assigned=bool(primaries) and all(primaries),
        shards=len(shards),
        active_copies=sum(copy["state"] in _ACTIVE for copies in shards.values() for copy in copies),
        aliases=tuple(sorted(index.get("aliases", ()))),
        hidden=_true(settings.get("hidden")),
        blocks=frozenset(block for block in Block if block.value in blocks),
        read_blocked=_READ_BLOCK in blocks,
        lifecycle=settings.get("lifecycle", {}).get("name") or None,
        exemption=exemption_in(int(settings.get("lifecycle", {}).get("origination_date", -1))),
        mounted=settings.get("store", {}).get("type") == "snapshot",
        follower=_true(settings.get("xpack", {}).get("ccr", {}).get("following_index")),
        most_terms=terms_in(settings),
        end_time=parse_instant(end_time) if end_time else None,
        system=index.get("system") is True,
        origin=_origin(name, settings),
        made_from=tuple(_made_from(name, index, settings)),
        resized_from=settings.get("resize", {}).get("source", {}).get("name"),
        rollovers={by: int(what["time"]) for by, what in index.get("rollover_info", {}).items()},
        resized=_resized(name, index, settings),
    )


def _made_from(name: str, index: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    sources = (
        settings.get("store", {}).get("snapshot", {}).get("index_name"),
        settings.get("downsample", {}).get("source", {}).get("name"),
        settings.get("downsample", {}).get("origin", {}).get("name"),
    )
    yield from (str(source) for source in sources if source)
    if index.get("ilm", {}).get("shrink_index_name") == name:
        # Also where the settings have forgotten the source: the lifecycle itself says what it has shrunk into this.
        yield from former_names(name)[:1]


def _resized(name: str, index: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    # What is mounted is as old as what was in the snapshot: that may have been shrunk.
    mounted = settings.get("store", {}).get("snapshot", {}).get("index_name")
    source = settings.get("resize", {}).get("source", {}).get("name")
    return bool(source) or index.get("ilm", {}).get("shrink_index_name") == name or is_shrunk(str(mounted or ""))


def _origin(name: str, settings: Mapping[str, Any]) -> str | None:
    provided = str(settings.get("provided_name", name))
    if provided not in (name, "") and not provided.startswith("<"):  # date math, as rollovers use it
        return provided
    source = settings.get("resize", {}).get("source", {}).get("name")
    return str(source) if source else None


def _true(setting: object) -> bool:
    return setting in ("true", True)
