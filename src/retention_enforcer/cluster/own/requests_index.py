"""The requests as they are stored: written by anybody entitled, read in the order in which they were written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import parts
from retention_enforcer.cluster.errors import raise_if_partial, translated
from retention_enforcer.cluster.own.flood_stage import write_own
from retention_enforcer.cluster.own.position import missing, read_position
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.terminations.requests import Written

_PAGE = 1_000


class RequestsIndex:
    """Reads, writes and forgets requests."""

    def __init__(self, client: Elasticsearch, index: str) -> None:
        self._client = client
        self._index = index

    def position(self) -> IndexPosition:
        """Return how far requests can be read, and make them visible. Raises Refused if the index is missing."""
        return read_position(self._client, self._index)

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
                    version=True,
                    allow_partial_search_results=False,
                    track_total_hits=False,
                )
            raise_if_partial(answer.body)
            hits = answer["hits"]["hits"]
            found += [
                Written(
                    id=hit["_id"],
                    sequence=int(hit["_seq_no"]),
                    body=dict(hit["_source"]),
                    rewritten=int(hit["_version"]) > 1,
                )
                for hit in hits
            ]
            if len(hits) < _PAGE:
                return found

    def existing(self, sequences: Collection[int]) -> frozenset[int]:
        """Return those of these places in which there is still a request: not deleted, not written anew."""
        found: list[int] = []
        for some in parts(sorted(sequences), _PAGE):
            found += [int(hit["_seq_no"]) for hit in self._page({"terms": {"_seq_no": some}})]
        return frozenset(found)

    def reinstatements(self, after: int) -> bool:
        """Whether any reinstatement was asked for after a place; what was written within a second may be missing."""
        conditions = [{"range": {"_seq_no": {"gt": after}}}, {"term": {"action": "reinstate"}}]
        return bool(self._page({"bool": {"filter": conditions}}, size=1))

    def was_reinstated(self, subject: Subject, before: int) -> bool:
        """Whether a reinstatement of a subject, written before a place, is there still."""
        conditions = [{"term": {"action": "reinstate"}}, {"range": {"_seq_no": {"lt": before}}}]
        return bool(self._page({"bool": {"filter": [*_about(subject), *conditions]}}, size=1))

    def reinstated(self, applications: Collection[str], users_of: Collection[str], after: int) -> list[int]:
        """Return the places, after one, of reinstatements of these applications, and of users of those."""
        found: list[int] = []
        for kind, field, ids in (("application", "id", applications), ("user", "application", users_of)):
            for some in parts(sorted(ids), _PAGE):
                about = [{"term": {"kind": kind}}, {"terms": {field: some}}]
                conditions = [{"term": {"action": "reinstate"}}, {"range": {"_seq_no": {"gt": after}}}]
                hits = self._page({"bool": {"filter": [*about, *conditions]}})
                found += [int(hit["_seq_no"]) for hit in hits]
        return sorted(found)

    def write(self, id_: str, body: Mapping[str, Any]) -> None:
        """Store a request under an id that nobody used."""

        def create() -> None:
            with translated(destructive=True):
                if not self._client.indices.exists(index=self._index):
                    raise missing(self._index)
                self._client.options(max_retries=0).create(index=self._index, id=id_, document=dict(body), refresh=True)

        write_own(self._client, self._index, create)

    def forget(self, subject: Subject, until: int) -> int:
        """Delete all requests about a subject that were written up to a place; return how many went."""
        query = {"bool": {"filter": [*_about(subject), {"range": {"_seq_no": {"lte": until}}}]}}
        gone = 0
        while hits := self._page(query):
            for hit in hits:
                self._delete(hit)
            with translated():
                self._client.indices.refresh(index=self._index)
            gone += len(hits)
        return gone

    def _page(self, query: Mapping[str, Any], size: int = _PAGE) -> list[dict[str, Any]]:
        with translated():
            answer = self._client.search(
                index=self._index,
                query=query,
                size=size,
                source=False,
                seq_no_primary_term=True,
                allow_partial_search_results=False,
            )
        raise_if_partial(answer.body)
        return list(answer["hits"]["hits"])

    def _delete(self, hit: Mapping[str, Any]) -> None:
        with translated(destructive=True):
            self._client.options(max_retries=0).delete(
                index=self._index, id=hit["_id"], if_seq_no=hit["_seq_no"], if_primary_term=hit["_primary_term"]
            )


def _about(subject: Subject) -> list[dict[str, Any]]:
    conditions = {"kind": subject.kind.value, "id": subject.id}
    if subject.application is not None:
        conditions["application"] = subject.application
    return [{"term": {name: value}} for name, value in conditions.items()]
