"""Streams with a lifecycle of their own (8.11 and newer), and whoever else manages their indices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from lifecycle_bench import LifecycleBench
from retention_enforcer.domain.instants import DAY, format_instant
from workbench import Ran

MARK = 4_102_444_800_000
"""2100-01-01: what keeps an index from its stream's lifecycle."""

FITTING = "1115997s"
"""What is put for a limit of 14 days: less margin 1h, lateness 1h, rollover after 1d, and 3 polls of 1s."""

_ADOPT = "    foreign_lifecycle: adopt\n"

NO_DELETION = {"phases": {"hot": {"actions": {"set_priority": {"priority": 1}}}}}
"""A lifecycle of somebody else's that deletes nothing."""


@dataclass(frozen=True)
class Kind:
    """How a stream is managed."""

    ilm: bool = False
    """Whether its template names a lifecycle policy."""
    lifecycle: bool | None = True
    """Whether its own lifecycle is enabled; None where it has none."""
    prefer_ilm: bool = True

    def __str__(self) -> str:
        own = {None: "none", True: "enabled", False: "disabled"}[self.lifecycle]
        return f"{'ilm' if self.ilm else 'no-ilm'}-{own}-{'prefer-ilm' if self.prefer_ilm else 'prefer-stream'}"

    @property
    def ruled_by_its_stream(self) -> bool:
        """Whether its own lifecycle deletes its indices as long as nobody does anything."""
        return self.lifecycle is True and not (self.ilm and self.prefer_ilm)


KINDS = [Kind(*one) for one in product((True, False), (None, True, False), (True, False))]
"""All twelve."""


def poll_of(es: Elasticsearch) -> int:
    """The seconds between two looks at the lifecycles of streams; skips where there are none, or they are too slow."""
    path = "*.data_streams.lifecycle.poll_interval"
    try:
        settings = es.cluster.get_settings(include_defaults=True, filter_path=path).body
    except ApiError as error:
        pytest.skip(f"this server does not tell its settings ({error.meta.status})")
    found = [level["data_streams"]["lifecycle"]["poll_interval"] for level in settings.values()]
    if found not in (["1s"], ["2s"], ["3s"]):
        pytest.skip(f"this server has no lifecycles of streams, or looks at them too seldom ({found})")
    return int(found[0].removesuffix("s"))


@dataclass
class StreamBench(LifecycleBench):
    """A bench whose streams have lifecycles of their own."""

    @classmethod
    def on(cls, server: Any, es: Elasticsearch, prefix: str, folder: Any, *, settled: bool = True) -> Iterator[Any]:
        poll_of(es)
        yield from super().on(server, es, prefix, folder, settled=settled)

    @property
    def theirs(self) -> str:
        return f"{self.prefix}theirs"

    def adopt(self) -> None:
        """Have the policy adopt the streams of the first category."""
        self.policy_text = self.policy_text.replace("    rollover: 1d\n", f"    rollover: 1d\n{_ADOPT}", 1)

    def leave(self) -> None:
        """Have it leave them."""
        self.policy_text = self.policy_text.replace(_ADOPT, "", 1)

    def hold(self, *target: str, days: int = 10) -> Ran:
        """Add a hold."""
        end = format_instant(self.now() + days * DAY)
        return self.run("hold", "add", *target, "--owner", "Anna", "--reason", "a case", "--until", end)

    def put_on(self, name: str) -> list[dict[str, Any]]:
        """The records of what was put on a stream."""
        full = self.prefix + name
        return [r for r in self.records() if r.get("action") == "set_retention" and r["target"]["index"] == full]

    def put_streams(self) -> set[str]:
        """The streams of which it is remembered what they had."""
        self.es.indices.refresh(index=self.own.state)
        found = self.es.search(index=self.own.state, query={"term": {"kind": "put-streams"}})["hits"]["hits"]
        return {stream for one in found for stream in one["_source"]["body"]}

    def retention(self, name: str) -> object:
        """What the lifecycle of a stream says."""
        return self.lifecycle_of(name).get("data_retention")

    @contextmanager
    def set_to(self, name: str, value: str) -> Iterator[None]:
        """Have a setting of the cluster for a while."""
        self.es.cluster.put_settings(persistent={name: value})
        try:
            yield
        finally:
            self.es.cluster.put_settings(persistent={name: None})

    def make_all(self, name: str = "logs-") -> None:
        """Make a stream of each kind; one that ILM rules has a lifecycle of its own that would delete at once."""
        self.es.ilm.put_lifecycle(name=self.theirs, policy=NO_DELETION)
        with ThreadPoolExecutor(len(KINDS)) as pool:  # index by index it takes long on a busy machine
            made = [
                pool.submit(self.make, f"{name}{kind}", kind, retention="1h" if kind.ruled_by_its_stream else "1s")
                for kind in KINDS
            ]
        for one in made:
            one.result()

    def make(
        self, name: str, kind: Kind, *, retention: str = "1h", hidden: bool = False, failure_store: bool = False
    ) -> str:
        """Make a stream of this kind with a rolled index of one document and an empty write index; return its name."""
        full = self.prefix + name
        template = {
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": 0,
                **({"index.lifecycle.name": self.theirs} if kind.ilm else {}),
                **({} if kind.prefer_ilm else {"index.lifecycle.prefer_ilm": False}),
            },
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "sdkappid": {"type": "keyword"}}},
            **(
                {}
                if kind.lifecycle is None
                else {"lifecycle": {"enabled": kind.lifecycle, "data_retention": retention}}
            ),
        }
        self.es.indices.put_index_template(
            name=full,
            index_patterns=[full],
            data_stream={"hidden": hidden, **({"failure_store": True} if failure_store else {})},
            template=template,
            priority=500,
        )
        self.es.index(index=full, document={"@timestamp": self.now(), "sdkappid": "1400"}, op_type="create")
        self.es.indices.rollover(alias=full)
        return full

    def time_series(self, name: str, *, retention: str) -> str:
        """Make the template of a time series with a lifecycle of its own; return the stream's name."""
        full = self.prefix + name
        properties = {
            "@timestamp": {"type": "date"},
            "host": {"type": "keyword", "time_series_dimension": True},
            "load": {"type": "double", "time_series_metric": "gauge"},
        }
        settings = {
            "index.mode": "time_series",
            "index.routing_path": ["host"],
            "index.look_ahead_time": "1m",
            "index.number_of_replicas": 0,
        }
        template = {
            "settings": settings,
            "mappings": {"properties": properties},
            "lifecycle": {"data_retention": retention},
        }
        self.es.indices.put_index_template(
            name=full, index_patterns=[full], data_stream={}, priority=500, template=template
        )
        return full

    def members(self, name: str) -> dict[str, str]:
        """The uuids of the indices behind a stream, by their names, the oldest first, then its failure store's."""
        full = self.prefix + name
        (found,) = self.es.indices.get_data_stream(name=full, expand_wildcards="all")["data_streams"]
        indices = [*found["indices"], *found.get("failure_store", {}).get("indices", [])]
        return {one["index_name"]: one["index_uuid"] for one in indices}

    def date(self, index: str) -> int | None:
        """An index's `index.lifecycle.origination_date`, from the state: also under a block, or closed."""
        fields = "metadata.indices.*.settings.index.lifecycle.origination_date"
        state = self.es.cluster.state(metric="metadata", filter_path=fields).body
        found = state.get("metadata", {}).get("indices", {}).get(index)
        return int(found["settings"]["index"]["lifecycle"]["origination_date"]) if found else None

    def lifecycle_of(self, name: str) -> dict[str, Any]:
        """What the lifecycle of a stream says."""
        full = self.prefix + name
        (found,) = self.es.indices.get_data_stream(name=full, expand_wildcards="all")["data_streams"]
        said = found.get("lifecycle", {})
        return {key: said[key] for key in ("enabled", "data_retention") if key in said}

    def put_lifecycle(self, *names: str, retention: str = "1s", enabled: bool = True) -> None:
        """Give streams a lifecycle of their own, or another one."""
        self.put_body(",".join(names), {"data_retention": retention, "enabled": enabled})

    def put_body(self, names: str, body: dict[str, Any]) -> None:
        """Give streams, whose names are a list with commas, a lifecycle of their own, or another one."""
        full = ",".join(self.prefix + name for name in names.split(","))
        self.es.perform_request(
            "PUT",
            f"/_data_stream/{full}/_lifecycle",
            headers={"accept": "application/json", "content-type": "application/json"},
            body=body,
        )

    def polls(self, count: int = 10) -> None:
        """Wait for so many looks at the lifecycles of streams."""
        time.sleep(count * poll_of(self.es))
