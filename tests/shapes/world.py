"""A cluster under construction: what shapes need to make indices, and what is remembered of each document."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from elasticsearch import ApiError, Elasticsearch, TransportError

from shapes.promises import DAY, HOUR, Subject

STATES = ("expired", "young", "both", "undated", "held", "subject")
FIELDS = {
    "@timestamp": {"type": "date"},
    "sdkappid": {"type": "keyword"},
    "user_id": {"type": "keyword"},
    "uin": {"type": "keyword"},
    "note": {"type": "keyword"},
}
Rounds = Iterator[None]
"""A shape in its making: at each `yield` the documents that all shapes have asked for so far are written."""


def now() -> int:
    return int(time.time() * 1_000)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A document to be written: when it says it is from (None: it does not), and whom it names."""

    at: int | None
    application: str = "neighbour"
    user: str = "u1"
    account: str | None = None

    def source(self) -> dict[str, Any]:
        """It, as an ordinary document."""
        source: dict[str, Any] = {"sdkappid": self.application, "user_id": self.user}
        if self.at is not None:
            source["@timestamp"] = self.at
        if self.account is not None:
            source["uin"] = self.account
        return source


@dataclass(frozen=True, kw_only=True)
class Doc:
    """What is true of a document, whatever a mapping makes of it. Known by its `_id`, which copies share."""

    times: tuple[int, ...]
    """Epoch milliseconds; none: it has no age."""
    applications: tuple[str, ...]
    users: tuple[str, ...]
    accounts: tuple[str, ...]
    nested: bool = False
    """Whether whom it names stands inside nested documents: a pair of fields says nothing there."""
    dated: bool = True
    """Whether the policy's timestamp field says its times: else nothing goes by them; they may be past all the same."""


@dataclass(frozen=True)
class Ability:
    """What the server can make."""

    names: frozenset[str]

    def lacks(self, needs: Iterable[str]) -> list[str]:
        return sorted(set(needs) - self.names)


def abilities(es: Elasticsearch) -> Ability:
    """Find out what the server can make: each by asking it, as builds of one version differ."""
    quiet, found = es.options(ignore_status=[400, 403, 404, 405, 500]), set()

    def answers(method: str, path: str) -> bool:
        with suppress(ApiError, TransportError):
            return bool(es.perform_request(method, path, headers={"accept": "application/json"}).meta.status == 200)
        return False

    if answers("GET", "/_data_stream"):
        found |= {"streams", "stream lifecycle"}
    if answers("GET", "/_ilm/status"):
        found.add("lifecycles")
    licence = quiet.perform_request("GET", "/_license", headers={"accept": "application/json"}).body
    if isinstance(licence, dict) and licence.get("license", {}).get("type") in {"trial", "enterprise"}:
        found |= {"licence"}
    nodes = es.nodes.info(
        filter_path="nodes.*.modules.name,nodes.*.settings.path.repo,nodes.*.settings.xpack"
    ).body.get("nodes", {})
    modules = {m["name"] for node in nodes.values() for m in node.get("modules", [])}
    named = {
        "percolator": "percolator",
        "parent-join": "joins",
        "x-pack-async-search": "async search",
        "x-pack-enrich": "enrich",
        "x-pack-downsample": "time series",
        "logsdb": "logsdb",
        "runtime-fields-common": "runtime fields",
        "unsigned-long": "unsigned_long",
        "searchable-snapshots": "mounts",
        "ingest-common": "pipelines",
        "lang-painless": "scripts",
    }
    found |= {ability for module, ability in named.items() if module in modules}
    if any(node.get("settings", {}).get("path", {}).get("repo") for node in nodes.values()):
        found.add("snapshots")
    cached = (node.get("settings", {}).get("xpack", {}).get("searchable", {}) for node in nodes.values())
    if any("shared_cache" in one.get("snapshot", {}) for one in cached):
        found.add("shared cache")
    if "licence" not in found:
        found -= {"mounts"}
    return Ability(frozenset(found))


@dataclass
class World:
    """One cluster: everything in it has `prefix` in its name."""

    es: Elasticsearch
    prefix: str
    able: Ability
    docs: dict[str, Doc] = field(default_factory=dict)
    holds: list[tuple[str, Any]] = field(default_factory=list)
    """What shapes want held before anything runs: ("index", name) or ("subject", Subject)."""
    elsewhere: dict[str, tuple[str, Callable[[], bool]]] = field(default_factory=dict)
    """Copies that are no index (snapshots, async searches): whose application, and whether they are still there."""
    blocked: set[str] = field(default_factory=set)
    """Indices with a block that cleaning up must lift."""
    repository: str | None = None
    searches: list[str] = field(default_factory=list)
    """Stored async searches, by their ids: each keeps the certificates of the whole cluster open."""
    left_out: list[str] = field(default_factory=list)
    aged: dict[str, int] = field(default_factory=dict)
    _queue: list[tuple[dict[str, Any], dict[str, Any], Doc, bool]] = field(default_factory=list)
    _count: int = 0

    # --- names, times, people ---

    @property
    def token(self) -> str:
        return self.prefix.strip("-")

    @property
    def gone(self) -> Subject:
        """The application that is erased in the course of things."""
        return Subject("application", f"{self.token}_gone")

    @property
    def kept(self) -> Subject:
        """The application that is held."""
        return Subject("application", f"{self.token}_kept")

    def drafts(self, state: str, limit: int = 14 * DAY) -> list[Draft]:
        """The documents of a state, for a category with this limit."""
        old, fresh = now() - limit - 6 * DAY, now() - HOUR
        other = f"{self.token}_other"

        def of(*times: int | None, application: str = other) -> list[Draft]:
            return [Draft(at=at, application=application) for at in times]

        expired, young = (old, old + HOUR, old + 2 * HOUR), (fresh, fresh - HOUR)
        return {
            "expired": of(*expired),
            "young": of(*young),
            "both": of(*expired, *young),
            "undated": of(None, *expired),
            "held": of(*expired, *young) + of(old, fresh, application=self.kept.id),
            "subject": of(*expired, *young) + of(old, fresh, application=self.gone.id),
        }[state]

    # --- making ---

    def index(
        self,
        name: str,
        drafts: Iterable[Draft] = (),
        *,
        fields: Mapping[str, Any] | None = None,
        mapping: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        aliases: Mapping[str, Any] | None = None,
        render: Callable[[Draft], dict[str, Any]] = Draft.source,
        facts: Callable[[Draft], Doc] | None = None,
        routing: str | None = None,
    ) -> str:
        """Create an index with these documents, which are written at the next `yield`."""
        self.es.indices.create(
            index=name,
            settings={"number_of_shards": 1, "number_of_replicas": 0, **(settings or {})},
            mappings={"properties": {**FIELDS, **(fields or {})}, **(mapping or {})},
            aliases=dict(aliases or {}),
        )
        self.write(name, drafts, render=render, facts=facts, routing=routing)
        return name

    def write(
        self,
        name: str,
        drafts: Iterable[Draft],
        *,
        render: Callable[[Draft], dict[str, Any]] = Draft.source,
        facts: Callable[[Draft], Doc] | None = None,
        routing: str | None = None,
        own_ids: bool = True,
    ) -> None:
        """Ask for documents in an index, an alias or a stream."""
        for draft in drafts:
            self._count += 1
            action: dict[str, Any] = {"_index": name}
            if own_ids:
                action["_id"] = f"{self.token}.{self._count}"
            if routing:
                action["routing"] = routing
            self._queue.append((action, render(draft), (facts or true_of)(draft), own_ids))

    def copy(self, source: str, target: str, *, mappings: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Re-index by hand: the same documents under the same ids; what `mappings` does not say is left to chance."""
        self.es.indices.create(
            index=target,
            settings={"number_of_shards": 1, "number_of_replicas": 0, **settings},
            mappings={"properties": {**FIELDS, **(mappings or {})}},
        )
        self.es.indices.refresh(index=source)
        hits = self.es.search(index=source, size=1_000)["hits"]["hits"]
        operations: list[dict[str, Any]] = []
        for hit in hits:
            operations += [{"index": {"_index": target, "_id": hit["_id"]}}, hit["_source"]]
        if operations:
            answer = self.es.bulk(operations=operations, refresh=True)
            assert not answer["errors"], answer

    def flush(self) -> None:
        """Write what was asked for, in as few requests as there are thousands of documents."""
        queue, self._queue = self._queue, []
        for start in range(0, len(queue), 2_000):
            part = queue[start : start + 2_000]
            operations: list[dict[str, Any]] = []
            for action, source, _, _ in part:
                operations += [{"create": action}, source]
            answer = self.es.bulk(operations=operations, refresh=True)
            for (_, _, doc, _), item in zip(part, answer["items"], strict=True):
                done = item["create"]
                assert done["status"] in {200, 201}, done
                self.docs[done["_id"]] = doc

    def build(self, *shapes: Rounds) -> None:
        """Make shapes together: each goes on to its next `yield`, then the documents of all are written."""
        going = list(shapes)
        while going:
            going = [one for one in going if next(one, self) is not self]
            self.flush()

    def settings(self, name: str, **settings: Any) -> None:
        self.es.indices.put_settings(index=name, settings=settings)

    def block(self, name: str, block: str) -> None:
        self.blocked.add(name)
        self.settings(name, **{f"index.blocks.{block}": True})

    def stream(self, name: str, settings: Mapping[str, Any] | None = None, **template: Any) -> str:
        body = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, **(settings or {})},
            "mappings": template.pop("mappings", {"properties": FIELDS}),
            **template,
        }
        self.es.indices.put_index_template(
            name=name, index_patterns=[name], data_stream={}, template=body, priority=500 + len(name)
        )
        self.es.indices.create_data_stream(name=name)
        return name

    def backing(self, stream: str) -> list[str]:
        (found,) = self.es.indices.get_data_stream(name=stream)["data_streams"]
        return [one["index_name"] for one in found["indices"]]

    def snapshots(self) -> str:
        """The cluster's repository, made when it is first asked for."""
        if self.repository is None:
            self.repository = f"{self.prefix}backups"
            body = {"type": "fs", "settings": {"location": self.repository}}
            self.es.snapshot.create_repository(name=self.repository, repository=body, verify=False)
        return self.repository

    def take(self, name: str, *indices: str) -> str:
        """Take a snapshot of some indices."""
        repository = self.snapshots()
        self.es.snapshot.create(
            repository=repository,
            snapshot=name,
            indices=",".join(indices),
            include_global_state=False,
            wait_for_completion=True,
        )
        return name

    def restore(self, snapshot: str, *indices: str, **options: Any) -> None:
        self.es.snapshot.restore(
            repository=self.snapshots(),
            snapshot=snapshot,
            indices=",".join(indices),
            include_global_state=False,
            include_aliases=False,
            wait_for_completion=True,
            **options,
        )

    def lifecycle(self, name: str, policy: Mapping[str, Any]) -> str:
        """A lifecycle policy of somebody else."""
        full = f"{self.prefix}{name}"
        with suppress(ApiError):
            self.es.ilm.get_lifecycle(name=full)
            return full
        self.es.ilm.put_lifecycle(name=full, policy=dict(policy))
        return full

    # --- taking away ---

    def remove(self) -> None:
        """Remove everything that has the prefix in its name."""
        es = self.es.options(ignore_status=[400, 403, 404, 405, 500])
        if "streams" in self.able.names:
            for stream in es.indices.get_data_stream(name="*", expand_wildcards="all").body.get("data_streams", []):
                if self.prefix in stream["name"]:
                    es.indices.delete_data_stream(name=stream["name"], expand_wildcards="all")
        names = list_indices(self.es, self.prefix)
        for name, blocks in names.items():
            for block in blocks:
                es.indices.put_settings(index=name, settings={f"index.blocks.{block}": None}, expand_wildcards="all")
        for start in range(0, len(names), 12):
            some = list(names)[start : start + 12]
            if es.indices.delete(index=some, expand_wildcards="all").meta.status != 200:
                for name in some:
                    es.indices.delete(index=name, expand_wildcards="all")
        self._remove_the_rest(es)

    def _remove_the_rest(self, es: Elasticsearch) -> None:
        for search in self.searches:
            es.async_search.delete(id=search)
        if self.repository:
            es.snapshot.delete(repository=self.repository, snapshot="*")
            es.snapshot.delete_repository(name=self.repository)
        if "streams" in self.able.names:
            for made in es.indices.get_index_template(name=f"{self.prefix}*").body.get("index_templates", []):
                es.indices.delete_index_template(name=made["name"])
        if "lifecycles" in self.able.names:
            for name in es.ilm.get_lifecycle().body:
                if name.startswith((self.prefix, f"retention-{self.prefix}")):
                    es.ilm.delete_lifecycle(name=name)
        for name in (self.prefix + "enrich", *[n for n in self.elsewhere if n.startswith("enrich ")]):
            if "enrich" in self.able.names:
                es.enrich.delete_policy(name=name.removeprefix("enrich "))


def list_indices(es: Elasticsearch, prefix: str) -> dict[str, list[str]]:
    """Every index that has the prefix in its name, with its blocks."""
    answer = es.cluster.state(
        metric="metadata",
        index=f"*{prefix}*",
        expand_wildcards="all",
        filter_path="metadata.indices.*.settings.index.uuid,metadata.indices.*.settings.index.blocks",
    )
    found = answer.body.get("metadata", {}).get("indices", {})
    return {name: list(one["settings"]["index"].get("blocks", {})) for name, one in found.items()}


def true_of(draft: Draft) -> Doc:
    """What is true of an ordinary document."""
    return Doc(
        times=() if draft.at is None else (draft.at,),
        applications=(draft.application,),
        users=(draft.user,),
        accounts=() if draft.account is None else (draft.account,),
    )


def day_of(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y.%m.%d")
