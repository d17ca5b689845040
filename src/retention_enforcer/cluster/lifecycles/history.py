"""What the cluster itself has written down of deletions.

`ilm-history` names the lifecycle. It knows no uuid, is written some seconds late, and may be switched off. The state of
the cluster has the uuid and the instant of the last 500 deletions, whoever made them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from http import HTTPStatus

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.lifecycles.vanished import HistoryEntry

_HISTORY = "ilm-history-*"
_MOST = 10_000  # index.max_result_window
_FORBIDDEN = (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED)


class LifecycleHistory:
    """Reads which deletions were carried out, and by which lifecycles."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client

    def deletions(self, since: int, shown: Callable[[str], str], names: Collection[str]) -> list[HistoryEntry] | None:
        """Return the deletions since an instant of indices with these names as `shown`, the oldest first.

        None where there is no history, or none that may be read.
        """
        terms = [
            {"term": {"state.phase": "delete"}},
            {"term": {"state.action": "delete"}},
            {"term": {"state.step": "complete"}},
            {"term": {"success": True}},
            {"range": {"@timestamp": {"gte": since, "format": "epoch_millis"}}},
        ]
        try:
            with translated():
                answer = self._client.search(
                    index=_HISTORY,
                    expand_wildcards="all",
                    ignore_unavailable=True,
                    allow_partial_search_results=False,
                    query={"bool": {"filter": terms}},
                    source_includes=["index", "policy"],
                    sort=[{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
                    size=_MOST,
                )
        except RequestRejected as error:
            if error.status in _FORBIDDEN:
                return None
            raise
        if not answer["_shards"]["total"]:
            return None
        entries = [
            HistoryEntry(
                index=shown(str(hit["_source"]["index"])),
                policy=str(hit["_source"]["policy"]),
                at=int(hit["sort"][0]),
            )
            for hit in answer["hits"]["hits"]
        ]
        return [entry for entry in reversed(entries) if entry.index in names]

    def deleted_at(self, uuids: Collection[str]) -> dict[str, int]:
        """Return when those of these indices were deleted that are among the last 500 that were, by uuid."""
        state = read_state(self._client, metric=["metadata"], fields=["metadata.index-graveyard.tombstones"])
        stones = state.get("metadata", {}).get("index-graveyard", {}).get("tombstones", [])
        instants = {str(stone["index"]["index_uuid"]): int(stone["delete_date_in_millis"]) for stone in stones}
        return {uuid: at for uuid, at in instants.items() if uuid in uuids}
