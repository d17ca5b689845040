"""The lifecycles that belong to streams (8.11 and newer): read whole, switched off and put again.

They have no version and no owner: what is put replaces all that was there. So what is put is what was read, but for
what Elasticsearch computes, and each is read again afterwards. A stream is named by its own name: a wildcard passes
hidden ones over and is acknowledged all the same (measured on 8.17).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import of_those_there
from retention_enforcer.cluster.client import once, patience
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import concrete_name, packed
from retention_enforcer.cluster.preflight import Capabilities, Part
from retention_enforcer.domain.errors import OutcomeUnknown, RequestRejected
from retention_enforcer.domain.lifecycles.foreign import milliseconds
from retention_enforcer.domain.lifecycles.stream_watch import StreamError
from retention_enforcer.domain.lifecycles.streams import (
    StreamLifecycle,
    StreamRollover,
    automatic_rollover,
    same_lifecycle,
)
from retention_enforcer.domain.policy.promises import Policy

_COMPUTED = frozenset({"effective_retention", "retention_determined_by", "rollover"})
"""What an answer says beside what was put."""

_LONGEST_REASON = 200
MANAGED_BY_STREAM = "Data stream lifecycle"
"""How the cluster names the lifecycle of a stream, where it says what manages an index."""
_DESCRIBED = [
    "data_streams.name",
    "data_streams.lifecycle",
    "data_streams.next_generation_managed_by",
    "data_streams.indices.index_name",
    "data_streams.indices.managed_by",
    "data_streams.failure_store.indices.index_name",
    "data_streams.failure_store.indices.managed_by",
    "data_streams.failure_store.lifecycle",
]


def read_stream_lifecycles(
    client: Elasticsearch, streams: Collection[str], expressions: Collection[str] = ()
) -> tuple[StreamLifecycle, ...]:
    """Return the lifecycles of those of these streams that are there and have one, with what is in force of them.

    The expressions reach most of them, in few requests.
    """
    found = _described_by(client, streams, [text if "*" in text else f"{text}*" for text in expressions])
    left = {name for name in streams if name not in found}
    found |= _described_by(client, left, [f"{concrete_name(name)}*" for name in left])  # a gone name alone is a 404
    return tuple(lifecycle for those in found.values() for lifecycle in those)


def _described_by(
    client: Elasticsearch, streams: Collection[str], wildcards: Collection[str]
) -> dict[str, list[StreamLifecycle]]:
    found: dict[str, list[StreamLifecycle]] = {}
    for names in packed(sorted(wildcards)):
        with translated():
            answer = client.indices.get_data_stream(
                name=names, expand_wildcards="all", include_defaults=True, filter_path=_DESCRIBED
            ).body
        there = answer.get("data_streams", [])
        found |= {str(one["name"]): list(described(one)) for one in there if one["name"] in streams}
    return found


def described(stream: Mapping[str, Any]) -> Iterator[StreamLifecycle]:
    """Yield the lifecycles of a stream from an answer that has the defaults too.

    In newer versions than 8.17 the failure store has one of its own, also where the stream has none.
    """
    data, failures = stream.get("lifecycle"), stream.get("failure_store", {}).get("lifecycle")
    backing, failed = stream.get("indices", ()), stream.get("failure_store", {}).get("indices", ())
    rules_the_next = stream.get("next_generation_managed_by") == MANAGED_BY_STREAM
    if data is not None:
        alone = None if failures is None else False
        members = backing if failures is not None else (*backing, *failed)
        yield _lifecycle(stream, data, members, failure_store=alone, rules_the_next=rules_the_next)
    if failures is not None:
        # Where the answer has no rollover for it, it is that of the cluster, whose age may follow the retention.
        said = {"rollover": (data or {}).get("rollover", {"max_age": "1d [automatic]"}), **failures}
        found = _lifecycle(stream, said, failed, failure_store=True, rules_the_next=bool(failed))
        if found.rollover.automatic:
            age = automatic_rollover(found.retention)
            found = replace(found, rollover=replace(found.rollover, max_age=age))
        yield found


def _lifecycle(
    stream: Mapping[str, Any],
    said: Mapping[str, Any],
    members: Iterable[Mapping[str, Any]],
    *,
    failure_store: bool | None,
    rules_the_next: bool,
) -> StreamLifecycle:
    retention = said.get("effective_retention", said.get("data_retention"))
    asked = said.get("data_retention")
    return StreamLifecycle(
        stream=str(stream["name"]),
        body={key: value for key, value in said.items() if key not in _COMPUTED},
        asked=milliseconds(str(asked)) if asked is not None else None,
        enabled=bool(said.get("enabled", False)),
        retention=milliseconds(str(retention)) if retention is not None else None,
        determined_by=said.get("retention_determined_by"),
        rollover=_rollover(said.get("rollover", {})),
        members=frozenset(str(one["index_name"]) for one in members if one.get("managed_by") == MANAGED_BY_STREAM),
        rules_the_next=rules_the_next,
        failure_store=failure_store,
    )


def read_stream_errors(
    client: Elasticsearch, names: Collection[str], expressions: Collection[str] = ()
) -> dict[str, StreamError]:
    """Return what the last run of the lifecycles could not do with the indices of these streams, or with these indices.

    None of them, and nothing that the expressions reach, may be an index with a metadata block, or have one: then the
    whole answer is refused (403).
    """

    def explain(some: Iterable[str]) -> dict[str, StreamError]:
        found: dict[str, StreamError] = {}
        for expression in packed(some):
            with translated():
                answer: Any = client.perform_request(
                    "GET",
                    f"/{quote(expression, safe='*,')}/_lifecycle/explain",
                    params={"expand_wildcards": "all", "filter_path": "indices.*.error.message"},
                    headers={"accept": "application/json"},
                ).body
            entries = answer.get("indices", {})
            found |= {str(name): stream_error(str(entry["error"]["message"])) for name, entry in entries.items()}
        return found

    found = explain(sorted(text for text in expressions if "*" in text))
    return found | of_those_there(sorted(map(concrete_name, names)), explain) if names else found


def stream_error(message: str) -> StreamError:
    """Return what an error of a stream's lifecycle says: it is the text of a JSON object, or of anything."""
    try:
        said = json.loads(message)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return StreamError(type="", reason=message[:_LONGEST_REASON])
    return StreamError(type=str(said.get("type", "")), reason=str(said.get("reason", ""))[:_LONGEST_REASON])


def _rollover(conditions: Mapping[str, Any]) -> StreamRollover:
    age, _, automatic = str(conditions.get("max_age", "")).partition(" ")
    waits = {name for name in conditions if name.startswith("min_")} - {"min_docs"}
    return StreamRollover(
        max_age=milliseconds(age),
        automatic=bool(automatic),
        may_wait=bool(waits) or int(conditions.get("min_docs", 1)) > 1,
    )


class StreamLifecycles:
    """The lifecycles of the streams that a policy governs."""

    def __init__(
        self, client: Elasticsearch, capabilities: Capabilities, policy: Policy, timeout: float = 30.0
    ) -> None:
        self._reading = client
        self._once = once(client)
        self._capabilities = capabilities
        self._policy = policy
        self._patience = patience(timeout)

    def enabled(self) -> dict[str, dict[str, Any]]:
        """Return the governed streams whose own lifecycle is enabled, hidden ones too, and what it says."""
        expressions = {pattern.expression for pattern in self._policy.patterns}
        wildcards = sorted({text if "*" in text else f"{text}*" for text in expressions})
        return {name: body for name, body in self._read(wildcards).items() if body.get("enabled")}

    def of(self, streams: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return what the lifecycles of these streams say, as far as there are such; empty where one has none."""
        found = self._read(sorted({f"{concrete_name(name)}*" for name in streams}), governed=False)
        return {name: found[name] for name in streams if name in found}

    def put(self, stream: str, body: Mapping[str, Any]) -> str | None:
        """Replace the lifecycle of one stream; return why a look shows another one, None where it is as put."""
        failure = "the lifecycle was written, but the cluster returns a different one"
        try:
            with translated(destructive=True):
                self._once.perform_request(
                    "PUT",
                    f"/_data_stream/{quote(concrete_name(stream), safe='')}/_lifecycle",
                    params={"master_timeout": self._patience, "timeout": self._patience},
                    headers={"accept": "application/json", "content-type": "application/json"},
                    body=dict(body),
                )
        except (OutcomeUnknown, RequestRejected) as error:
            failure = error.message
        return None if same_lifecycle(self.of([stream]).get(stream), body) else failure

    def _read(self, wildcards: Collection[str], *, governed: bool = True) -> dict[str, dict[str, Any]]:
        fields = ["data_streams.name", "data_streams.lifecycle"]
        found = {}
        for names in packed(wildcards):
            request = partial(
                self._reading.indices.get_data_stream, name=names, expand_wildcards="all", filter_path=fields
            )
            answer = self._capabilities.ask(Part.STREAMS, request)
            for stream in answer.body.get("data_streams", []) if answer is not None else []:
                if not governed or self._policy.claimants(stream["name"]):
                    lifecycle = stream.get("lifecycle", {})
                    found[str(stream["name"])] = {k: v for k, v in lifecycle.items() if k not in _COMPUTED}
        return found
