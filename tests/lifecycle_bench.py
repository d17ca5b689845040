"""An enforcer on a server with lifecycles: what is attached, and what was written, beside all that a workbench has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from elastic_transport import Transport
from elasticsearch import Elasticsearch

from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.lifecycles import choice as lifecycle_choice
from workbench import Workbench

_ONLY_READING = ("/_search", "/_msearch", "/_count", "/_mget", "/_refresh", "/_field_caps", "/_pit", "/_has_privileges")
"""How the paths of requests end that change nothing, although they have a body."""


@dataclass
class LifecycleBench(Workbench):
    """A workbench whose policies of this test's own name are removed after it."""

    @classmethod
    def on(
        cls, server: Any, es: Elasticsearch, prefix: str, folder: Any, *, settled: bool = True
    ) -> Iterator[LifecycleBench]:
        """Make one, or skip where the server has no lifecycles; take its lifecycles away afterwards.

        Nobody can make an index of yesterday: `settled` counts those of the test as such, so that their time to be
        written to is over.
        """
        if not Capabilities(es).has_lifecycles():
            pytest.skip("this server has no lifecycles: _ilm/status does not answer")
        made = cls(
            es=es, url=server.url, username=server.username, password=server.password, prefix=prefix, folder=folder
        )
        with pytest.MonkeyPatch.context() as patch:
            if settled:
                patch.setattr(lifecycle_choice, "_may_still_be_written", lambda *_: False)
            yield made
        made.clean()

    @property
    def policy_name(self) -> str:
        return f"{self.prefix}policy"

    def lifecycle(self, category: str, variant: str) -> str:
        return f"retention-{self.policy_name}-{category}-{variant}"

    def poll(self) -> int:
        """The server's `indices.lifecycle.poll_interval`, in milliseconds."""
        return ClusterLifecycles(self.es).poll_interval()

    def now(self) -> int:
        return int(time.time() * 1_000)

    def attached(self, name: str) -> str | None:
        """The lifecycle of an index, given by its whole name or by the rest after the prefix."""
        full = name if name.startswith((self.prefix, ".ds-")) else self.prefix + name
        settings = self.es.indices.get_settings(index=full, expand_wildcards="all")[full]["settings"]["index"]
        found: str | None = settings.get("lifecycle", {}).get("name")
        return found

    def uuid(self, name: str) -> str:
        full = name if name.startswith((self.prefix, ".ds-")) else self.prefix + name
        return str(self.es.indices.get_settings(index=full)[full]["settings"]["index"]["uuid"])

    def about(self, name: str) -> list[dict[str, Any]]:
        """The records about an index, but for findings."""
        full = name if name.startswith((self.prefix, ".ds-")) else self.prefix + name
        target = [r for r in self.records() if r.get("target", {}).get("index") == full]
        return [r for r in target if r["kind"] != "finding"]

    def stream(self, name: str, **settings: Any) -> str:
        """Make a stream without documents; return its name."""
        full = self.prefix + name
        template = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, **settings},
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "sdkappid": {"type": "keyword"}}},
        }
        self.es.indices.put_index_template(
            name=full, index_patterns=[full], data_stream={}, template=template, priority=500
        )
        self.es.indices.create_data_stream(name=full)
        return full

    def backing(self, name: str) -> list[str]:
        """The backing indices of a stream, the oldest first."""
        (found,) = self.es.indices.get_data_stream(name=self.prefix + name)["data_streams"]
        return [one["index_name"] for one in found["indices"]]

    def generations(self, name: str) -> range:
        """As many as a stream has had indices."""
        (found,) = self.es.indices.get_data_stream(name=self.prefix + name)["data_streams"]
        return range(found["generation"])

    def write(self, name: str, *timestamps: int) -> None:
        """Add documents to a stream."""
        operations: list[dict[str, Any]] = []
        for timestamp in timestamps:
            operations += [{"create": {}}, {"@timestamp": timestamp}]
        answer = self.es.bulk(index=self.prefix + name, operations=operations, refresh=True)
        assert not answer["errors"], answer

    def clean(self) -> None:
        """Remove templates, streams, indices and lifecycles of this test."""
        es = self.es
        found = es.indices.resolve_index(name=f"{self.prefix}*", expand_wildcards="all")
        for index in found["indices"]:
            for block in ("metadata", "read_only", "write"):
                es.options(ignore_status=[403, 404]).indices.put_settings(
                    index=index["name"], settings={f"index.blocks.{block}": None}
                )
        for stream in found["data_streams"]:
            es.options(ignore_status=404).indices.delete_data_stream(name=stream["name"], expand_wildcards="all")
        for index in found["indices"]:
            if "data_stream" not in index:
                es.options(ignore_status=404).indices.delete(index=index["name"])
        templates = es.options(ignore_status=404).indices.get_index_template(name=f"{self.prefix}*").body
        for template in templates.get("index_templates", []):
            es.options(ignore_status=404).indices.delete_index_template(name=template["name"])
        for name in es.ilm.get_lifecycle().body:
            if name.startswith((f"retention-{self.policy_name}-", self.prefix)):
                es.options(ignore_status=404).ilm.delete_lifecycle(name=name)


def slow_repository(es: Elasticsearch, prefix: str) -> Iterator[str]:
    """Make a repository so slow that a snapshot `one` in it lasts as long as a test needs; skip without a folder."""
    nodes = es.nodes.info(filter_path="nodes.*.settings.path.repo")["nodes"].values()
    if not all(node.get("settings", {}).get("path", {}).get("repo") for node in nodes):
        pytest.skip("this server has no path.repo")
    name = f"{prefix}slow"
    settings = {"location": name, "max_snapshot_bytes_per_sec": "20kb"}
    es.snapshot.create_repository(name=name, repository={"type": "fs", "settings": settings})
    yield name
    es.options(ignore_status=404).snapshot.delete(repository=name, snapshot="one")
    es.snapshot.delete_repository(name=name)


@contextmanager
def requests_counted() -> Iterator[list[tuple[str, str]]]:
    """Count, at the transport, every request of this process that may change something: its method and path."""
    sent: list[tuple[str, str]] = []
    original = Transport.perform_request

    def counted(self: Transport, method: str, target: str, **more: Any) -> Any:
        path = target.partition("?")[0]
        if method not in {"GET", "HEAD"} and not path.endswith(_ONLY_READING):
            sent.append((method, path))
        return original(self, method, target, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "perform_request", counted)
        yield sent


@contextmanager
def daemon(bench: Workbench) -> Iterator[None]:
    """The daemon in a process of its own, ended as an orchestrator ends it."""
    running = bench.process("run")
    drain = threading.Thread(target=running.communicate)
    drain.start()
    try:
        yield
    finally:
        running.terminate()
        drain.join(30)
        assert running.returncode == 0


def eventually(what: Callable[[], bool], seconds: float = 15.0) -> float:
    """Wait until it is so; return after how many seconds it was."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.1)
    return time.monotonic() - began
