"""A census: every document of every index of a cluster, asked of Elasticsearch itself, by uuid and `_id`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan

from ledgers import records_in
from shapes.world import Doc, World, now

Key = tuple[str, str]
"""A document: its index's uuid, and its `_id`."""

PAGE = 5_000
"""Documents of one request."""


@dataclass(frozen=True)
class Seen:
    """One index, as Elasticsearch describes it."""

    name: str
    uuid: str
    open: bool
    red: bool
    aliases: frozenset[str]
    stream: str | None
    source: str | None
    """What it was made from, by what its settings say: resized, mounted, downsampled."""
    lifecycle: str | None
    stream_lifecycle: bool
    blocks: frozenset[str]
    created: int
    mounted: bool
    window: int
    """How many documents one request may have of it."""


@dataclass
class Census:
    """What was there at one moment."""

    at: int
    indices: dict[str, Seen] = field(default_factory=dict)
    """By uuid."""
    documents: dict[Key, None] = field(default_factory=dict)
    guessed: set[str] = field(default_factory=set)
    """Uuids of indices that nobody can look into: their documents are those that were there last."""
    ledger: list[dict[str, Any]] = field(default_factory=list)

    def of(self, uuid: str) -> Iterator[Key]:
        return (key for key in self.documents if key[0] == uuid)

    def named(self, name: str) -> list[Seen]:
        """The indices behind a name: an index, an alias, a stream."""
        return [one for one in self.indices.values() if name in {one.name, one.stream} | one.aliases]


def take(world: World, before: Census | None = None, *, opening: bool = False) -> Census:
    """Take a census. `opening` opens closed indices and lifts blocks for it: at the very end alone."""
    es = world.es
    if opening:
        _open(world)
    made = Census(now(), _indices(es, world))
    dark = {one.uuid for one in made.indices.values() if not one.open or one.red or "read" in one.blocks}
    _documents(es, world, made, dark)
    _learn(es, world, made)
    if before is not None:
        for key in before.documents:
            if key[0] in dark and key[0] in made.indices:
                made.documents[key] = None
                made.guessed.add(key[0])
    made.ledger = ledger_of(es, world.prefix)
    return made


def ledger_of(es: Elasticsearch, prefix: str) -> list[dict[str, Any]]:
    """Every record of the ledger, in order, as it stands in the index."""
    index = f"{prefix}retention-ledger-000001"
    quiet = es.options(ignore_status=[404])
    if quiet.indices.refresh(index=index).meta.status != 200:
        return []
    hits = scan(es, index=index, query={"query": {"match_all": {}}}, size=2_000)
    records = (record for hit in hits for record in records_in(hit["_source"]))
    return sorted(records, key=lambda record: int(record["sequence"]))


def _indices(es: Elasticsearch, world: World) -> dict[str, Seen]:
    prefix = world.prefix
    parts = ["state", "aliases", "settings.index"]
    answer = es.cluster.state(
        metric="metadata",
        index=f"*{prefix}*",
        expand_wildcards="all",
        filter_path=",".join(f"metadata.indices.*.{part}" for part in parts),
    )
    found = answer.body.get("metadata", {}).get("indices", {})
    health = es.cluster.health(
        index=f"*{prefix}*", level="indices", expand_wildcards="all", filter_path="indices.*.status"
    ).body.get("indices", {})
    streams, managed = {}, {}
    if "streams" in world.able.names:
        for stream in es.indices.get_data_stream(name="*", expand_wildcards="all").body["data_streams"]:
            failures = stream.get("failure_store", {}).get("indices", [])
            for one in [*stream["indices"], *failures]:
                streams[one["index_name"]] = stream["name"]
                managed[one["index_name"]] = "lifecycle" in stream
    indices = {}
    for name, body in found.items():
        index = body["settings"]["index"]
        store = index.get("store", {}).get("snapshot", {})
        source = index.get("resize", {}).get("source", {}).get("name")
        source = store.get("index_name") or index.get("downsample", {}).get("source", {}).get("name") or source
        blocks = frozenset(b for b, on in index.get("blocks", {}).items() if str(on) == "true")
        indices[index["uuid"]] = Seen(
            name=name,
            uuid=index["uuid"],
            open=body["state"] == "open",
            red=health.get(name, {}).get("status") == "red",
            aliases=frozenset(body.get("aliases", [])),
            stream=streams.get(name),
            source=source,
            lifecycle=index.get("lifecycle", {}).get("name"),
            stream_lifecycle=managed.get(name, False),
            blocks=blocks,
            created=int(index["creation_date"]),
            mounted=index.get("store", {}).get("type") == "snapshot",
            window=int(index.get("max_result_window", PAGE)),
        )
    return indices


def _documents(es: Elasticsearch, world: World, made: Census, dark: set[str]) -> None:
    own = {f"{world.prefix}retention-{tail}" for tail in ("control", "state", "requests", "terminations")}
    own.add(f"{world.prefix}retention-ledger-000001")
    uuids = {one.name: one.uuid for one in made.indices.values()}
    names = [name for name, uuid in uuids.items() if uuid not in dark and name not in own]
    mounted = {one.name for one in made.indices.values() if one.mounted}
    small = {one.name: one.window for one in made.indices.values() if one.window < PAGE}
    for part in [*_lines([name for name in names if name not in small]), *([name] for name in names if name in small)]:
        es.options(ignore_status=[400, 403, 404]).indices.refresh(
            index=[name for name in part if name not in mounted] or [f"{world.prefix}nothing*"], expand_wildcards="all"
        )
        query = {"query": {"match_all": {}}, "_source": False}
        for hit in scan(
            es, index=part, query=query, size=small.get(part[0], PAGE), scroll="1m", ignore_unavailable=True
        ):
            made.documents[uuids[hit["_index"]], hit["_id"]] = None


def _learn(es: Elasticsearch, world: World, made: Census) -> None:
    """Take documents that no shape wrote (downsampled, enriched) by what they say themselves."""
    strange: dict[str, None] = {}
    for uuid, id_ in made.documents:
        if id_ not in world.docs:
            strange[made.indices[uuid].name] = None
    fields = [{"field": "@timestamp", "format": "epoch_millis"}, "sdkappid", "user_id", "uin"]
    for name in strange:
        query = {"query": {"match_all": {}}, "_source": False, "fields": fields}
        for hit in scan(es, index=name, query=query, size=1_000):
            said = hit.get("fields", {})
            world.docs.setdefault(
                hit["_id"],
                Doc(
                    times=tuple(int(t) for t in said.get("@timestamp", [])),
                    applications=tuple(map(str, said.get("sdkappid", []))),
                    users=tuple(map(str, said.get("user_id", []))),
                    accounts=tuple(map(str, said.get("uin", []))),
                ),
            )


def _lines(names: list[str]) -> Iterator[list[str]]:
    """Batches that a request's line has room for."""
    part: list[str] = []
    for name in names:
        if part and sum(len(n) + 1 for n in part) + len(name) > 3_000:
            yield part
            part = []
        part.append(name)
    if part:
        yield part


def _open(world: World) -> None:
    es = world.es.options(ignore_status=[400, 403, 404, 503])
    for one in _indices(world.es, world).values():
        for block in ("read_only", "metadata", "read"):
            if block in one.blocks:
                es.indices.put_settings(
                    index=one.name, settings={f"index.blocks.{block}": None}, expand_wildcards="all"
                )
        if not one.open or one.red:
            es.indices.put_settings(
                index=one.name, settings={"index.routing.allocation.require._name": None}, expand_wildcards="all"
            )
            es.indices.open(index=one.name, wait_for_active_shards="1", expand_wildcards="all", timeout="10s")
