"""Erases from an index's files what was deleted from it, in short requests that may each be repeated."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.client import PRODUCT, Permission, once, patience
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import concrete_name
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.erasure.facts import (
    Expunge,
    Gone,
    IndexGone,
    LeaseBehind,
    Mark,
    MergeRefused,
    Remains,
    ShardCopy,
)
from retention_enforcer.domain.erasure.steps import Act, ErasureProgress
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, RequestRejected
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.wording import counted

_ALLOWED = "index.merge.policy.expunge_deletes_allowed"
_EVERY_DELETION = "0"
"""The share of deleted documents, in per cent, above which a segment is rewritten; 10 by default."""

_MERGES = "indices:admin/forcemerge*"
_BEGUN_WITHIN = 1.0
"""Seconds after which a force merge is left to itself."""

_STATE = [
    "nodes.*.name",
    "metadata.indices.*.state",
    "metadata.indices.*.in_sync_allocations",
    "metadata.indices.*.settings.index.uuid",
    "metadata.indices.*.settings.index.blocks",
    "metadata.indices.*.settings.index.merge.policy.expunge_deletes_allowed",
    "routing_table.indices.*.shards.*.state",
    "routing_table.indices.*.shards.*.primary",
    "routing_table.indices.*.shards.*.node",
    "routing_table.indices.*.shards.*.allocation_id.id",
    "routing_table.indices.*.shards.*.unassigned_info.reason",
    "snapshots.snapshots.indices.name",
]
_STATS = [
    "indices.*.uuid",
    *(
        f"indices.*.shards.*.{part}"
        for part in (
            "routing.node",
            "docs.deleted",
            "seq_no",
            "retention_leases.leases",
            "merges.current",
            "search.open_contexts",
            "recovery.current_as_source",
            "translog.operations",
            "commit.user_data.local_checkpoint",
            "commit.user_data.max_seq_no",
        )
    ),
]
_NEVER_ASSIGNED = frozenset({"INDEX_CREATED", "REPLICA_ADDED", "NEW_INDEX_RESTORED"})
"""Why a replica is unassigned that has not been assigned since it was configured."""

_FORGOTTEN = frozenset({"CLUSTER_RECOVERED", "INDEX_REOPENED", "INDEX_CLOSED"})
"""Why one is unassigned after a restart of the whole cluster, or after the index was opened or closed.

What it was before is told by the copies in sync alone: an absent one is among them until something is written.
"""

_STARTED, _UNASSIGNED = "STARTED", "UNASSIGNED"

_Place = tuple[int, str]
"""Shard and node: no node has two copies of one shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What the cluster's state says of one index."""

    open: bool
    allowed: str | None
    blocks: frozenset[Block]
    shards: int
    started: Mapping[_Place, str]
    """Allocation ids of the copies that have started."""
    configured: int
    away: tuple[str, ...]
    unsettled: tuple[str, ...]
    nodes: Mapping[str, str]
    snapshot: bool


class Erasure:
    """The steps of an erasure. What changes anything is sent once, under a permission of its own."""

    def __init__(self, client: Elasticsearch, timeout: float = 30.0) -> None:
        self._client = client
        self._patience = patience(timeout)
        self._once = once(client)

    def advance(self, progress: ErasureProgress, now: int, permit: Permission) -> ErasureProgress:
        """Carry out the act that is next, once, and return the progress after it, which is to be stored.

        Raises what the act raises: then nothing has to be stored, and the same act is tried again.
        """
        try:
            return self._advance(progress, now, permit)
        except IndexGone:
            return progress.lost(now)

    def _advance(self, progress: ErasureProgress, now: int, permit: Permission) -> ErasureProgress:
        index, mark, expunge = progress.index, progress.mark, progress.expunge
        if mark is None:
            return progress.marked(self.mark(index, progress.uuid), now)
        match progress.act:
            case Act.WAIT:
                return progress.waited(self.leases_behind(index, mark), now)
            case Act.EXPUNGE:
                try:
                    return progress.begun(self.begin_expunge(index, mark, permit), now)
                except MergeRefused as error:
                    # As if it had failed later: the index's own setting is to be put back.
                    return progress.begun(error.expunge, now).watched(finished=True, now=now, failure=error.message)
            case Act.WATCH if expunge is not None:
                return self._watch(progress, expunge, now)
            case Act.RESTORE if expunge is not None:
                self.end_expunge(index, expunge, permit)
                return progress.restored(now)
            case Act.CHECK:
                return progress.checked(self.remains(index, mark), now)
        return progress

    def _watch(self, progress: ErasureProgress, expunge: Expunge, now: int) -> ErasureProgress:
        try:
            return progress.watched(finished=self.finished(expunge), now=now)
        except RequestRejected as error:
            # Whatever became of it: the index's own setting is to be put back.
            return progress.watched(finished=True, now=now, failure=error.message)

    def mark(self, index: str, uuid: str) -> Mark:
        """Make all that was deleted durable on every copy, and return where that is.

        Raises IndexGone, or ClusterUnavailable where a copy that was assigned once does not take part.
        """
        state = self._state(index, uuid)
        _raise_if_absent(index, state)
        self._refresh(index, state)
        self._flush(index, state)
        copies = self._copies(index, uuid, state)
        return Mark(
            uuid=uuid,
            sequence_numbers=tuple(
                max(int(copy["seq_no"]["max_seq_no"]) for (number, _), copy in copies.items() if number == shard)
                for shard in range(state.shards)
            ),
            copies=len(state.started),
            configured=state.configured,
            nodes={node: state.nodes.get(node, node) for _, node in state.started},
            allowed=state.allowed,
        )

    def leases_behind(self, index: str, mark: Mark) -> tuple[LeaseBehind, ...]:
        """Return the leases that are not past the mark, each once for its shard: none is what is waited for."""
        state = self._state(index, mark.uuid)
        _raise_if_absent(index, state)
        behind: dict[tuple[int, str], LeaseBehind] = {}
        for (shard, _), copy in self._copies(index, mark.uuid, state).items():
            for lease in copy["retention_leases"]["leases"]:
                missing = mark.sequence_numbers[shard] + 1 - int(lease["retaining_seq_no"])
                known = behind.get((shard, str(lease["id"])))
                if missing > 0 and (known is None or known.behind < missing):
                    one = LeaseBehind(id=str(lease["id"]), source=str(lease["source"]), shard=shard, behind=missing)
                    behind[shard, one.id] = one
        return tuple(behind[key] for key in sorted(behind))

    def begin_expunge(self, index: str, mark: Mark, permit: Permission) -> Expunge:
        """Let every segment with a deleted document be rewritten, and start that, as a task of the cluster.

        Only once no lease is behind: else it may do nothing, and nothing says so. What it is to put back comes from
        the mark, so that a second beginning does not take the first one's setting for the index's own.
        Raises MergeRefused where the setting is changed, and the rewrite does not come about.
        """
        state = self._state(index, mark.uuid)
        _raise_if_absent(index, state)
        # Before the refresh, so that what such a merge has written is seen by it.
        idle = [place for place, copy in self._copies(index, mark.uuid, state).items() if not copy["merges"]["current"]]
        self._refresh(index, state)
        segments = self._segments(index, state)
        held = {state.started[place]: segments[place] for place in idle}
        self._set_allowed(index, _EVERY_DELETION, permit)
        task = f"{PRODUCT}/expunge-{secrets.token_hex(8)}"
        expunge = Expunge(uuid=mark.uuid, task=task, allowed=mark.allowed, held=held)
        try:
            self._start_merge(index, task, permit)
        except RequestRejected as error:
            raise MergeRefused(expunge, error) from error
        return expunge

    def finished(self, expunge: Expunge) -> bool:
        """Whether no node is at it any more; whether it did what it should the segments say.

        Raises ClusterUnavailable where a node did not say.
        """
        with translated():
            # The client's own method warns, for every call, that this part of Elasticsearch is not final.
            answer = self._client.perform_request(
                "GET",
                "/_tasks",
                params={"actions": _MERGES, "filter_path": "node_failures,task_failures,nodes.*.tasks.*.headers"},
                headers={"accept": "application/json"},
            ).body
        if answer.get("node_failures") or answer.get("task_failures"):
            raise ClusterUnavailable("a node did not report its tasks", "check the cluster's health; it is asked again")
        tasks = (task for node in answer.get("nodes", {}).values() for task in node["tasks"].values())
        return not any(task.get("headers", {}).get("X-Opaque-Id") == expunge.task for task in tasks)

    def end_expunge(self, index: str, expunge: Expunge, permit: Permission) -> None:
        """Put the index's own setting back, and make the rewrite the only thing that is kept."""
        state = self._state(index, expunge.uuid)
        if state.allowed != expunge.allowed:
            self._set_allowed(index, expunge.allowed, permit)
        if not state.open:
            return
        self._refresh(index, state)
        self._flush(index, state)

    def remains(self, index: str, mark: Mark) -> Remains | Gone:
        """Return what every copy of an index shows now; whether that is nothing is for `judge` to say."""
        try:
            state = self._state(index, mark.uuid)
            copies = tuple(self._seen(index, mark.uuid, state)) if state.open and state.started else ()
            # What was read before and after belongs together only if no copy was moved in between.
            if self._state(index, mark.uuid).started != state.started:
                raise ClusterUnavailable(
                    f"shard copies of {index} moved while they were read", "no action needed: they are read again"
                )
        except IndexGone:
            return Gone()
        return Remains(
            copies=copies,
            open=state.open,
            away=state.away,
            unsettled=state.unsettled,
            unused=self._unused(index, state) if state.open else (),
            nodes=frozenset(state.nodes),
            snapshot=state.snapshot,
            blocks=state.blocks,
        )

    def _seen(self, index: str, uuid: str, state: _State) -> Iterator[ShardCopy]:
        stats, segments = self._copies(index, uuid, state), self._segments(index, state)
        for place, copy in sorted(stats.items()):
            commit = copy["commit"]["user_data"]
            safe = int(copy["seq_no"]["global_checkpoint"]) >= int(commit["max_seq_no"])
            yield ShardCopy(
                shard=place[0],
                allocation=state.started[place],
                node=state.nodes.get(place[1], place[1]),
                deleted=int(copy["docs"]["deleted"]),
                segments=segments[place],
                merging=int(copy["merges"]["current"]),
                contexts=int(copy["search"]["open_contexts"]),
                recoveries=int(copy["recovery"]["current_as_source"]),
                logged=int(copy["translog"]["operations"]),
                committed=int(commit["local_checkpoint"]) if safe else -1,
            )

    def _state(self, index: str, uuid: str) -> _State:
        """Return what the cluster's state says; raise IndexGone if there is no index of this name and uuid."""
        metric = ("metadata", "routing_table", "nodes", "customs")
        state = read_state(self._client, metric=metric, fields=_STATE, index=concrete_name(index))
        metadata = state.get("metadata", {}).get("indices", {}).get(index)
        if metadata is None or metadata["settings"]["index"]["uuid"] != uuid:
            raise IndexGone(f"{index} is gone, or another index has its name now", status=HTTPStatus.NOT_FOUND)
        shards = state["routing_table"]["indices"][index]["shards"]
        snapshots = state.get("snapshots", {}).get("snapshots", ())
        return _described(
            metadata,
            {int(shard): copies for shard, copies in shards.items()},
            {id_: str(node["name"]) for id_, node in state["nodes"].items()},
            snapshot=any(one["name"] == index for snapshot in snapshots for one in snapshot.get("indices", ())),
        )

    def _copies(self, index: str, uuid: str, state: _State) -> dict[_Place, Mapping[str, Any]]:
        """Return the statistics of every copy that has started; raise ClusterUnavailable if one is missing."""
        with translated():
            answer = self._client.indices.stats(
                index=concrete_name(index),
                metric=["docs", "merge", "search", "recovery", "translog"],
                level="shards",
                filter_path=_STATS,
            ).body
        found = answer.get("indices", {}).get(index, {})
        if found.get("uuid") != uuid:
            raise ClusterUnavailable(f"{index} returned no statistics", "check the cluster's health")
        return _by_place(index, found["shards"], state)

    def _segments(self, index: str, state: _State) -> dict[_Place, tuple[str, ...]]:
        """Return, for every copy that has started, its segments with deleted documents."""
        with translated():
            answer = self._client.indices.segments(
                index=concrete_name(index),
                filter_path=[
                    "indices.*.shards.*.routing.node",
                    "indices.*.shards.*.num_search_segments",
                    "indices.*.shards.*.segments.*.deleted_docs",
                ],
            ).body
        copies = _by_place(index, answer.get("indices", {}).get(index, {}).get("shards", {}), state)
        return {
            place: tuple(sorted(name for name, one in copy.get("segments", {}).items() if one["deleted_docs"]))
            for place, copy in copies.items()
        }

    def _unused(self, index: str, state: _State) -> tuple[str, ...]:
        """Return the files on nodes of the cluster that belong to no copy: a copy leaves them where it was moved.

        They go by themselves, but not while a replica is unassigned.
        """
        with translated():
            answer = self._client.indices.shard_stores(index=concrete_name(index), status="all").body
        return tuple(
            f"shard {shard} on {state.nodes.get(node, node)}"
            for shard, found in sorted(answer.get("indices", {}).get(index, {}).get("shards", {}).items())
            for store in found["stores"]
            if store["allocation"] == "unused"
            for node in store.keys() & state.nodes.keys()
        )

    def _refresh(self, index: str, state: _State) -> None:
        with translated():
            answer = self._client.indices.refresh(index=concrete_name(index), filter_path="_shards").body
        _raise_if_not_on_all_copies(index, answer, state)

    def _flush(self, index: str, state: _State) -> None:
        with translated():
            answer = self._client.indices.flush(
                index=concrete_name(index), force=True, wait_if_ongoing=True, filter_path="_shards"
            ).body
        _raise_if_not_on_all_copies(index, answer, state)

    def _set_allowed(self, index: str, value: str | None, permit: Permission) -> None:
        with permit(), translated(destructive=True):
            self._once.indices.put_settings(
                index=concrete_name(index),
                settings={_ALLOWED: value},
                master_timeout=self._patience,
                timeout=self._patience,
            )

    def _start_merge(self, index: str, task: str, permit: Permission) -> None:
        """Start it, known by what the task is called. Raises RequestRejected where it was refused, or failed at once.

        Its answer is not waited for: Elasticsearch goes on when nobody listens any more. Were it told that nobody will
        (`wait_for_completion=false`), it would keep the index's name, and with it a tenant's id, in `.tasks` for ever.
        """
        hurried = self._once.options(opaque_id=task, request_timeout=_BEGUN_WITHIN)
        try:
            with permit(), translated(destructive=True):
                answer = hurried.indices.forcemerge(index=concrete_name(index), only_expunge_deletes=True).body
        except OutcomeUnknown:
            return
        if failed := int(answer["_shards"]["failed"]):
            raise RequestRejected(
                f"the force merge failed on {counted(failed, 'shard copy', 'shard copies')}", "check the cluster's log"
            )


def _described(
    metadata: Mapping[str, Any],
    shards: Mapping[int, list[Mapping[str, Any]]],
    nodes: Mapping[str, str],
    *,
    snapshot: bool,
) -> _State:
    settings = metadata["settings"]["index"]
    in_sync = metadata.get("in_sync_allocations", {})
    blocks = {block for block, value in settings.get("blocks", {}).items() if value in ("true", True)}
    return _State(
        open=metadata["state"] == "open",
        allowed=settings.get("merge", {}).get("policy", {}).get("expunge_deletes_allowed"),
        blocks=frozenset(block for block in Block if block.value in blocks),
        shards=len(shards),
        started={
            (shard, str(copy["node"])): str(copy["allocation_id"]["id"])
            for shard, copies in shards.items()
            for copy in copies
            if copy["state"] == _STARTED
        },
        configured=sum(len(copies) for copies in shards.values()),
        away=tuple(
            f"shard {shard}, {why}"
            for shard, copies in sorted(shards.items())
            for why in _away(copies, {str(id_) for id_ in in_sync.get(str(shard), ())})
        ),
        unsettled=tuple(
            f"shard {shard}, {copy['state']}"
            for shard, copies in sorted(shards.items())
            for copy in copies
            if copy["state"] not in (_STARTED, _UNASSIGNED)
        ),
        nodes=nodes,
        snapshot=snapshot,
    )


def _away(copies: list[Mapping[str, Any]], in_sync: set[str]) -> Iterator[str]:
    """Yield, for each copy of a shard that is not assigned and may have been, why it is not."""
    here = {copy["allocation_id"]["id"] for copy in copies if copy.get("allocation_id")}
    missing = bool(in_sync - here)
    for copy in copies:
        reason = str(copy.get("unassigned_info", {}).get("reason", "unknown"))
        never = reason in _NEVER_ASSIGNED or reason in _FORGOTTEN
        if copy["state"] == _UNASSIGNED and (copy["primary"] or missing or not never):
            yield reason


def _by_place(
    index: str, shards: Mapping[str, list[Mapping[str, Any]]], state: _State
) -> dict[_Place, Mapping[str, Any]]:
    """Return the answers of copies by their places; raise ClusterUnavailable unless each that has started gave one."""
    found = {(int(shard), str(copy["routing"]["node"])): copy for shard, copies in shards.items() for copy in copies}
    if not found.keys() >= state.started.keys():
        missing = len(state.started.keys() - found.keys())
        raise ClusterUnavailable(
            f"{counted(missing, 'shard copy', 'shard copies')} of {index} did not answer", "check the cluster's health"
        )
    return {place: found[place] for place in state.started}


def _raise_if_absent(index: str, state: _State) -> None:
    """Raise ClusterUnavailable unless every copy that was ever assigned has started."""
    if absent := (*state.away, *state.unsettled):
        raise ClusterUnavailable(
            f"not all shard copies of {index} have started ({absent[0]})",
            "check the cluster's health; it is tried again",
        )
    if not state.open:
        raise RequestRejected(f"{index} is closed", "open the index", kind="index_closed_exception")


def _raise_if_not_on_all_copies(index: str, answer: Mapping[str, Any], state: _State) -> None:
    """Raise ClusterUnavailable unless every copy that has started took part; others are in `total` all the same."""
    shards = answer["_shards"]
    if shards["failed"] or shards["successful"] != len(state.started):
        raise ClusterUnavailable(
            f"only {shards['successful']} of {len(state.started)} shard copies of {index} carried out the request",
            "check the cluster's health; it is tried again",
        )
