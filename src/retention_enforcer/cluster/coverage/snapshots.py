"""Which snapshots hold governed data, and the policies by which the cluster takes and ends them. Only read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import cause_of, kind_of, translated
from retention_enforcer.cluster.expressions import packed
from retention_enforcer.cluster.preflight import Capabilities, Part
from retention_enforcer.domain.coverage.snapshots import (
    ALL_REPOSITORIES,
    Repository,
    Snapshot,
    SnapshotLifecycle,
    SnapshotsSeen,
    claimants_of,
)
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected, RetentionError
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.wording import counted

_LISTED = ["snapshots.snapshot", "snapshots.uuid", "failures"]
_DETAILS = [
    *_LISTED,
    "snapshots.state",
    "snapshots.start_time_in_millis",
    "snapshots.metadata.policy",
    "snapshots.indices",
]
_LIFECYCLES = ["*.policy.repository", "*.policy.config.indices", "*.policy.retention"]

_UNFINISHED = "IN_PROGRESS"
_REPOSITORY_GONE = "repository_missing_exception"

_NANOSECONDS = {
    "d": DAY * 1_000_000,
    "h": HOUR * 1_000_000,
    "m": MINUTE * 1_000_000,
    "s": SECOND * 1_000_000,
    "ms": 1_000_000,
    "micros": 1_000,
    "nanos": 1,
}
_DURATION = re.compile(r"([0-9]+)(d|h|m|s|ms|micros|nanos)")


class Snapshots:
    """Reads snapshots; changes nothing. What a finished one holds never changes: it is read once, and remembered."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities) -> None:
        self._client = client
        self._capabilities = capabilities
        self._policy: Policy | None = None
        self._finished: dict[str, dict[str, Snapshot]] = {}
        """By repository, then by uuid; their indices are those that `_policy` claims."""

    def read(self, policy: Policy) -> SnapshotsSeen:
        """Return all snapshots with those of their indices that the policy claims, and all snapshot policies.

        One request for the repositories, one for the snapshot policies, one a repository, and one for each fifty or
        so snapshots that were not seen finished before. A repository that cannot be read says so, and disturbs no
        other; what was known of it before stays. Raises ClusterUnavailable where the cluster itself gives no answer.
        """
        if policy != self._policy:
            self._policy, self._finished = policy, {}
        try:
            names = self._repositories()
        except RequestRejected as error:
            unknown = Repository(name=ALL_REPOSITORIES, snapshots=(), problem=_line(error))
            return self._with_lifecycles([unknown])
        self._finished = {name: self._finished.get(name, {}) for name in names}
        found = (self._repository(name, policy) for name in names)
        return self._with_lifecycles([repository for repository in found if repository is not None])

    def _repositories(self) -> list[str]:
        with translated():
            return sorted(self._client.snapshot.get_repository(filter_path="*.type").body)

    def _with_lifecycles(self, repositories: Collection[Repository]) -> SnapshotsSeen:
        try:
            request = partial(self._client.slm.get_lifecycle, filter_path=_LIFECYCLES)
            answer = self._capabilities.ask(Part.SNAPSHOT_LIFECYCLES, request)
        except RequestRejected as error:
            return SnapshotsSeen(repositories=tuple(repositories), lifecycles_problem=_line(error))
        found = sorted(answer.body.items()) if answer is not None else []
        lifecycles = tuple(lifecycle_of(id_, entry["policy"]) for id_, entry in found)
        return SnapshotsSeen(repositories=tuple(repositories), lifecycles=lifecycles)

    def _repository(self, name: str, policy: Policy) -> Repository | None:
        """Return what one repository holds, or None where it is registered no more."""
        known = self._finished[name]
        problem: str | None = None
        try:
            listed = self._list(name)
            known = {uuid: known[uuid] for uuid in listed if uuid in known}
            self._finished[name] = dict(known)
            for snapshot in self._details(name, [listed[uuid] for uuid in listed if uuid not in known], policy):
                known[snapshot.uuid] = snapshot
            problem = self._lost(name, listed.keys() - known.keys())
        except (ClusterUnavailable, RequestRejected) as error:
            if isinstance(error, RequestRejected) and error.kind == _REPOSITORY_GONE:
                return None
            problem = _line(error)
        return Repository(name=name, snapshots=tuple(known.values()), problem=problem)

    def _list(self, repository: str) -> dict[str, str]:
        """Return the names of a repository's snapshots by their uuid; the server reads no snapshot for it."""
        with translated():
            answer = self._client.snapshot.get(
                repository=repository, snapshot="_all", verbose=False, filter_path=_LISTED
            )
        _raise_if_failed(answer.body)
        return {str(found["uuid"]): str(found["snapshot"]) for found in answer.body.get("snapshots", [])}

    def _details(self, repository: str, names: Collection[str], policy: Policy) -> Iterator[Snapshot]:
        """Yield these snapshots; without those that are gone, or of which the server finds no description."""
        for some in packed(names):
            with translated():
                answer = self._client.snapshot.get(
                    repository=repository, snapshot=some, ignore_unavailable=True, filter_path=_DETAILS
                )
            _raise_if_failed(answer.body)
            page = [found for found in answer.body.get("snapshots", []) if "start_time_in_millis" in found]
            names_in_it = {str(index) for found in page for index in found.get("indices", ())}
            claimed = {index for index in names_in_it if claimants_of(policy, index)}
            for found in page:
                snapshot = _snapshot(repository, found, claimed)
                if found.get("state") != _UNFINISHED:
                    self._finished[repository][snapshot.uuid] = snapshot
                yield snapshot

    def _lost(self, repository: str, missing: Collection[str]) -> str | None:
        """Return what to say of snapshots that were listed and not described: some may just have been deleted."""
        lost = set(missing) & self._list(repository).keys() if missing else set()
        return f"only the names of {counted(len(lost), 'snapshot')} can be read" if lost else None


def lifecycle_of(id_: str, described: Mapping[str, Any]) -> SnapshotLifecycle:
    """Return a snapshot policy from what the cluster says of it."""
    indices = described.get("config", {}).get("indices") or ["*"]  # none, or an empty list: all
    retention = described.get("retention", {})
    return SnapshotLifecycle(
        id=id_,
        repository=str(described["repository"]),
        indices=tuple(indices.split(",") if isinstance(indices, str) else map(str, indices)),
        expire_after=_duration(str(retention.get("expire_after", ""))),
        min_count=retention.get("min_count"),
        max_count=retention.get("max_count"),
    )


def _duration(text: str) -> int | None:
    """Return a duration in milliseconds, rounded up, as Elasticsearch writes it; None for none and for `-1`."""
    match = _DURATION.fullmatch(text.strip().lower())
    return -(-int(match[1]) * _NANOSECONDS[match[2]] // 1_000_000) if match else None


def _snapshot(repository: str, found: Mapping[str, Any], claimed: Collection[str]) -> Snapshot:
    policy = found.get("metadata", {}).get("policy")  # anybody may write something else there
    return Snapshot(
        repository=repository,
        name=str(found["snapshot"]),
        uuid=str(found["uuid"]),
        taken=int(found["start_time_in_millis"]),
        policy=policy if isinstance(policy, str) else None,
        indices=tuple(sorted(index for index in found.get("indices", ()) if index in claimed)),
    )


def _raise_if_failed(answer: Mapping[str, Any]) -> None:
    """Raise what is wrong with a repository: 8.10 says it beside an empty list, under 200; 8.17 as an error."""
    for failure in answer.get("failures", {}).values():
        body = {"error": failure}
        raise RequestRejected(f"the cluster refused: {cause_of(body)}", kind=kind_of(body))


def _line(error: RetentionError) -> str:
    return f"{error.message}; {error.remedy}" if error.remedy else error.message
