"""The requests as they are stored: written by anybody entitled, read in the order in which they were written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.deletion import primary_numbers
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.flood_stage import write_own
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.requests import Mailbox, Written
from retention_enforcer.domain.subjects import Subject

_PAGE = 1_000


class RequestsIndex:
    """Reads, writes and forgets requests."""

    def __init__(self, client: Elasticsearch, index: str) -> None:
        self._client = client
        self._index = index

    def mailbox(self) -> Mailbox:
        """Return how far requests can be read, and make them visible. Raises Refused if the index is missing.

        A request that is being written has a number already, and may become visible after one with a higher number:
        only up to the checkpoint none is still to come.
        """
        try:
            with translated():
                answer = self._client.indices.stats(
                    index=self._index,
                    metric="docs",
                    level="shards",
                    filter_path=[
                        "indices.*.uuid",
                        "indices.*.shards.*.routing.primary",
                        "indices.*.shards.*.seq_no.max_seq_no",
                        "indices.*.shards.*.seq_no.local_checkpoint",
                    ],
                ).body
                refreshed = self._client.indices.refresh(index=self._index).body
        except RequestRejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise self._missing() from None
        if set(answer.get("indices", {})) != {self._index} or refreshed["_shards"]["failed"]:
            raise ClusterUnavailable(f"{self._index} does not say how far it goes", "see the cluster's health")
        index = answer["indices"][self._index]
        copies = [copy for copies in index["shards"].values() for copy in copies if copy["routing"]["primary"]]
        if len(primary_numbers(index)) != 1:
            raise ClusterUnavailable(f"{self._index} has no primary shard that answers", "see the cluster's health")
        return Mailbox(uuid=str(index["uuid"]), until=int(copies[0]["seq_no"]["local_checkpoint"]))

    def read(self, after: int, until: int) -> list[Written]:
        """Return the requests written after one place and up to another, in their order."""
        found: list[Written] = []
        while True:
            with translated():
                answer = self._client.search(
                    index=self._index,
                    query={"range": {"_seq_no": {"gt": found[-1].sequence if found else after, "lte": until}}},
                    sort=[{"_seq_no": "asc"}],
                    size=_PAGE,
                    seq_no_primary_term=True,
                    allow_partial_search_results=False,
                    track_total_hits=False,
                )
            if answer["timed_out"]:
                raise ClusterUnavailable(f"{self._index} answered in part only", "see the cluster's health")
            hits = answer["hits"]["hits"]
            found += [Written(id=hit["_id"], sequence=int(hit["_seq_no"]), body=dict(hit["_source"])) for hit in hits]
            if len(hits) < _PAGE:
                return found

    def existing(self, ids: Collection[str]) -> frozenset[str]:
        """Return those of these requests that are still there."""
        if not ids:
            return frozenset()
        with translated():
            answer = self._client.mget(index=self._index, ids=sorted(ids), source=False)
        return frozenset(document["_id"] for document in answer["docs"] if document.get("found"))

    def write(self, id_: str, body: Mapping[str, Any]) -> None:
        """Store a request under an id that nobody used."""

        def create() -> None:
            with translated(destructive=True):
                if not self._client.indices.exists(index=self._index):
                    raise self._missing()
                self._client.options(max_retries=0).create(index=self._index, id=id_, document=dict(body), refresh=True)

        write_own(self._client, self._index, create)

    def forget(self, subject: Subject, until: int) -> int:
        """Delete all requests about a subject that were written up to a place; return how many went."""
        conditions = {"kind": subject.kind.value, "id": subject.id}
        if subject.application is not None:
            conditions["application"] = subject.application
        about = [{"term": {name: value}} for name, value in conditions.items()]
        with translated():
            answer = self._client.search(
                index=self._index,
                query={"bool": {"filter": [*about, {"range": {"_seq_no": {"lte": until}}}]}},
                size=_PAGE,
                source=False,
                seq_no_primary_term=True,
                allow_partial_search_results=False,
            )
        for hit in answer["hits"]["hits"]:
            with translated(destructive=True):
                self._client.options(max_retries=0).delete(
                    index=self._index,
                    id=hit["_id"],
                    if_seq_no=hit["_seq_no"],
                    if_primary_term=hit["_primary_term"],
                    refresh=True,
                )
        return len(answer["hits"]["hits"])

    def _missing(self) -> Refused:
        return Refused(f"{self._index} is missing or unreadable: nothing is deleted", "retention-enforcer setup")
