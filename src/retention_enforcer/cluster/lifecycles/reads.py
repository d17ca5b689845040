"""Reads what the cluster knows of index lifecycles.

What is attached to an index is what the cluster's state says: that answers whatever blocks an index carries, and for
closed ones too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import of_those_there
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.lifecycles.streams import read_stream_errors, read_stream_lifecycles
from retention_enforcer.cluster.privileges import authentication
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.instants import SECOND
from retention_enforcer.domain.lifecycles.choice import Attachment
from retention_enforcer.domain.lifecycles.compiler import StoredLifecycle
from retention_enforcer.domain.lifecycles.foreign import milliseconds
from retention_enforcer.domain.lifecycles.stream_watch import StreamError
from retention_enforcer.domain.lifecycles.streams import DEFAULT_STREAM_POLL, StreamLifecycle
from retention_enforcer.domain.lifecycles.watch import Explained

STREAM_FIELDS = [
    "metadata.data_stream.data_stream.*.indices.index_name",
    "metadata.data_stream.data_stream.*.failure_indices.index_name",
    "metadata.data_stream.data_stream.*.lifecycle.enabled",
]
_EXPLAINED = [
    "indices.*.managed",
    "indices.*.policy",
    "indices.*.index_creation_date_millis",
    "indices.*.lifecycle_date_millis",
    "indices.*.phase",
    "indices.*.action",
    "indices.*.action_time_millis",
    "indices.*.step",
    "indices.*.step_time_millis",
    "indices.*.failed_step",
    "indices.*.failed_step_retry_count",
    "indices.*.step_info.type",
    "indices.*.step_info.reason",
    "indices.*.step_info.message",
    "indices.*.phase_execution.policy",
]
_ATTACHED = [
    "metadata.indices.*.state",
    "metadata.indices.*.settings.index.uuid",
    "metadata.indices.*.settings.index.lifecycle",
    "metadata.indices.*.settings.index.blocks.metadata",
    "metadata.indices.*.rollover_info",
    *STREAM_FIELDS,
]
_AUTHENTICATION = "_xpack_security_authentication"
_API_KEY_REALM = "_es_api_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterUser:
    """As whom the enforcer speaks to the cluster."""

    name: str
    """The user's name, or the id of the API key."""
    realm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A lifecycle policy as the cluster has it."""

    content: Mapping[str, Any]
    """`phases` and `_meta`."""
    authority: bytes | None
    """With whose rights it deletes: those of who put it last, as Elasticsearch encodes them; None without security."""

    def acts_as(self, identity: ClusterUser | None) -> bool:
        """Whether it deletes with the rights of this user or API key; True where there is no security.

        Elasticsearch keeps them in a form of its own, of which only this is relied upon: texts stand in it with their
        length before them, and what an API key put names its realm. Read on 8.10.
        """
        if self.authority is None or identity is None:
            return True
        key = _encoded(_API_KEY_REALM) in self.authority
        known = _encoded(identity.name) in self.authority and _encoded(identity.realm) in self.authority
        return known and key == (identity.realm == _API_KEY_REALM)


class LifecyclesSeen:
    """The lifecycles of a cluster that has them (`Capabilities.has_lifecycles`); changes nothing."""

    def __init__(self, client: Elasticsearch) -> None:
        self._reading = client
        self._identity: tuple[ClusterUser | None] | None = None

    def status(self) -> str:
        """Return `operation_mode`: RUNNING, STOPPING or STOPPED."""
        with translated():
            return str(self._reading.ilm.get_status(filter_path="operation_mode")["operation_mode"])

    def poll_interval(self) -> int:
        """Return `indices.lifecycle.poll_interval` as it is in force, in milliseconds."""
        poll = _first_duration(self._setting("indices.lifecycle.poll_interval"))
        if poll is None:
            remedy = "check that the enforcer's role has the cluster privilege monitor"
            raise ClusterUnavailable("indices.lifecycle.poll_interval could not be read", remedy)
        return poll

    def stream_poll(self) -> int:
        """Return `data_streams.lifecycle.poll_interval` as it is in force, or its default, in milliseconds."""
        poll = _first_duration(self._setting("data_streams.lifecycle.poll_interval"))
        return DEFAULT_STREAM_POLL if poll is None else poll

    def default_retention(self) -> int | None:
        """Return the retention of streams whose lifecycle says none, in milliseconds; None where that is endless."""
        said = self._setting("data_streams.lifecycle.retention.default")
        return milliseconds(said[0]) if said else None

    def _setting(self, name: str) -> list[str]:
        """Return what a setting of the cluster says on each level that has it; the first is in force."""
        with translated():
            answer = self._reading.cluster.get_settings(include_defaults=True, filter_path=f"*.{name}").body
        found = []
        for level in ("transient", "persistent", "defaults"):
            said: Any = answer.get(level)
            for part in name.split("."):
                said = said.get(part) if said is not None else None
            if said is not None:
                found.append(str(said))
        return found

    def stream_round(self) -> int:
        """Return how long it takes until the lifecycles of all streams have been looked at anew, in milliseconds.

        That is one `data_streams.lifecycle.poll_interval` and as long as the last run took.
        """
        poll = self.stream_poll()
        with translated():
            run = self._reading.perform_request(
                "GET",
                "/_lifecycle/stats",
                params={"filter_path": "last_run_duration_in_millis"},
                headers={"accept": "application/json"},
            ).body
        return poll + int(run.get("last_run_duration_in_millis", 0)) + SECOND

    def stream_lifecycles(
        self, streams: Collection[str], expressions: Collection[str] = ()
    ) -> tuple[StreamLifecycle, ...]:
        """Return the lifecycles of their own of those of these streams that are there, and of their failure stores."""
        return read_stream_lifecycles(self._reading, streams, expressions)

    def stream_errors(self, names: Collection[str], expressions: Collection[str] = ()) -> dict[str, StreamError]:
        """Return by index what the lifecycles of streams could not do at their last run."""
        return read_stream_errors(self._reading, names, expressions)

    def policies(self) -> dict[str, StoredPolicy]:
        """Return all lifecycle policies of the cluster, by name."""
        state = read_state(self._reading, metric=["metadata"], fields=["metadata.index_lifecycle.policies"])
        stored = state.get("metadata", {}).get("index_lifecycle", {}).get("policies", {})
        return {name: _stored(policy) for name, policy in stored.items()}

    def contents(self) -> dict[str, Mapping[str, Any]]:
        """Return what all lifecycle policies of the cluster do and say (`phases` and `_meta`), by name."""
        return {name: policy.content for name, policy in self.policies().items()}

    def stored(self) -> dict[str, StoredLifecycle]:
        """Return all lifecycle policies of the cluster, by name, and with whose rights each deletes."""
        if self._identity is None:
            self._identity = (self.identity(),)
        (me,) = self._identity
        return {
            name: StoredLifecycle(content=policy.content, mine=policy.acts_as(me))
            for name, policy in self.policies().items()
        }

    def identity(self) -> ClusterUser | None:
        """Return as whom the enforcer speaks, or None where the cluster has no security."""
        answer = authentication(self._reading)
        if answer is None:
            return None
        if "api_key" in answer:
            return ClusterUser(name=str(answer["api_key"]["id"]), realm=_API_KEY_REALM)
        return ClusterUser(name=str(answer["username"]), realm=str(answer["authentication_realm"]["name"]))

    def attachments(self, expressions: Iterable[str]) -> dict[str, Attachment]:
        """Return what is attached to all indices that the expressions reach, by name, closed and blocked ones too."""
        found: dict[str, Attachment] = {}
        failures: set[str] = set()
        for names in packed(expressions):
            state = read_state(self._reading, metric=["metadata"], fields=_ATTACHED, index=names)
            found |= _attachments_in(state)
            failures |= {name for name, member in stream_members(state).items() if member.failure_store}
        if hidden := failures - found.keys():
            # A failure store's index is left out, also where it is named (measured on 8.17).
            state = read_state(self._reading, metric=["metadata"], fields=_ATTACHED, index="_all")
            found |= {name: attached for name, attached in _attachments_in(state).items() if name in hidden}
        return found

    def explain(self, expressions: Iterable[str]) -> dict[str, Explained]:
        """Return how far the lifecycles of all indices are that have one, by name, closed and hidden ones too.

        One request an expression; none of them may reach an index with `index.blocks.metadata`, for which all are
        refused (403): see `expressions.covering`.
        """
        found = {}
        for names in expressions:
            # The client's own method cannot be told to reach closed indices.
            with translated():
                answer: Any = self._reading.perform_request(
                    "GET",
                    f"/{quote(names, safe='*,')}/_ilm/explain",
                    params={"only_managed": "true", "expand_wildcards": "all", "filter_path": ",".join(_EXPLAINED)},
                    headers={"accept": "application/json"},
                ).body
            found.update({name: Explained.of(name, entry) for name, entry in answer.get("indices", {}).items()})
        return found

    def explain_all(self, expressions: Sequence[str], attachments: Mapping[str, Attachment]) -> dict[str, Explained]:
        """Return how far the lifecycles are of these indices, as far as the cluster explains them.

        In one request where the expressions fit into a URL, none of which may reach an index with a metadata block: it
        is refused for itself, and would be for all. Indices that no wildcard among them reaches are asked for by name.
        """
        plain = sorted(n for n, a in attachments.items() if a.policy is not None and not a.metadata_block)
        wildcards = sorted({expression for expression in expressions if "*" in expression})
        found = self.explain(packed(wildcards)) if wildcards and plain else {}
        return found | self.explain_these([name for name in plain if name not in found])

    def snapshotting(self) -> frozenset[str]:
        """Return the indices of which a snapshot is being taken: nobody can delete them meanwhile."""
        state = read_state(self._reading, metric=["customs"], fields=["snapshots.snapshots.indices.name"])
        running = state.get("snapshots", {}).get("snapshots", [])
        return frozenset(str(index["name"]) for snapshot in running for index in snapshot.get("indices", []))

    def explain_these(self, names: Sequence[str]) -> dict[str, Explained]:
        """Return how far the lifecycles of those of these indices are that are there: they may go at any moment."""
        return of_those_there(names, lambda some: self.explain(packed(some))) if names else {}

    def attachments_of(self, names: Collection[str]) -> dict[str, Attachment]:
        """Return what is attached to those of these indices that are there.

        The state of one index of a stream comes with those of all others (measured on 8.10).
        """
        there = self.attachments(sorted(names)) if names else {}
        return {name: attached for name, attached in there.items() if name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMember:
    """An index of a stream, as the state tells."""

    stream: str
    failure_store: bool
    lifecycle: bool
    """Whether a lifecycle of the stream's own may delete it. Newer versions give each failure store one of its own, of
    which nothing stands here."""


def _first_duration(texts: Iterable[str]) -> int | None:
    return next((duration for text in texts if (duration := milliseconds(text)) is not None), None)


def stream_members(state: Mapping[str, Any]) -> dict[str, StreamMember]:
    """Return by name the indices of all streams that are described in a state that has `STREAM_FIELDS`."""
    members = {}
    for stream, described in state.get("metadata", {}).get("data_stream", {}).get("data_stream", {}).items():
        enabled = bool(described.get("lifecycle", {}).get("enabled", False))
        for field, failure_store in (("indices", False), ("failure_indices", True)):
            for index in described.get(field, ()):
                members[str(index["index_name"])] = StreamMember(
                    stream=str(stream), failure_store=failure_store, lifecycle=enabled or failure_store
                )
    return members


def _attachments_in(state: Mapping[str, Any]) -> dict[str, Attachment]:
    members = stream_members(state)
    indices = state.get("metadata", {}).get("indices", {})
    return {name: attachment_of(index, members.get(name)) for name, index in indices.items()}


def attachment_of(index: Mapping[str, Any], member: StreamMember | None) -> Attachment:
    """Return what the state's description of an index says of its lifecycle."""
    settings = index["settings"]["index"]
    lifecycle = settings.get("lifecycle", {})
    origination = int(lifecycle.get("origination_date", -1))
    rollovers = {by: int(info["time"]) for by, info in index.get("rollover_info", {}).items()}
    if member is not None:
        # Of an index that an alias left behind before it came into the stream, the age counts from its creation.
        rollovers = {by: at for by, at in rollovers.items() if by == member.stream}
    last = max(rollovers, key=lambda by: rollovers[by], default=None)
    return Attachment(
        uuid=str(settings["uuid"]),
        policy=lifecycle.get("name") or None,
        origination=origination if origination >= 0 else None,
        rollover_alias=lifecycle.get("rollover_alias") or None,
        rolled_over=rollovers[last] if last is not None else None,
        rolled_by=last,
        open=index["state"] == "open",
        metadata_block=settings.get("blocks", {}).get("metadata") in ("true", True),
        stream=member.stream if member else None,
        stream_lifecycle=member.lifecycle if member else False,
        prefers_ilm=lifecycle.get("prefer_ilm") not in ("false", False),
    )


def _stored(policy: Mapping[str, Any]) -> StoredPolicy:
    encoded = (policy.get("headers") or {}).get(_AUTHENTICATION)
    return StoredPolicy(content=policy["policy"], authority=_decoded(encoded) if encoded else None)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""  # nobody's that is known here


def _encoded(text: str) -> bytes:
    return bytes([len(text) % 128]) + text.encode()
