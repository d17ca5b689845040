"""The ledger as it is stored: one document a record, created once, never changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import parts
from retention_enforcer.cluster.errors import forbidden_in, raise_if_partial, translated
from retention_enforcer.cluster.own.flood_stage import write_own
from retention_enforcer.cluster.own.position import lasting, missing, missing_is_refused
from retention_enforcer.domain.errors import ClusterUnavailable, LedgerBroken, Refused, RequestRejected
from retention_enforcer.domain.ledger.records import Head, Record
from retention_enforcer.domain.policy.names import OWN

_PAGE = 1_000
_TERMS = 1_000


class LedgerIndex:
    """Reads and appends records; there is no way here to change or delete one."""

    def __init__(self, client: Elasticsearch, alias: str = OWN.ledger) -> None:
        self._client = client
        self._alias = alias

    def uuid(self) -> str:
        """Return the uuid of the index behind the alias."""
        with missing_is_refused(OWN.ledger), translated():
            answer = self._client.indices.get_settings(index=self._alias, name="index.uuid", flat_settings=True)
        if len(answer.body) != 1 or self._alias in answer.body:
            raise Refused(
                "retention-ledger is not an alias of exactly one index: nothing is deleted",
                "remove what has its name, then run retention-enforcer setup",
            )
        (settings,) = answer.body.values()
        return str(settings["settings"]["index.uuid"])

    def create(self, record: Record) -> bool:
        """Store a record under its sequence; False if that place is taken."""
        return write_own(self._client, self._alias, lambda: self._create(record))

    def _create(self, record: Record) -> bool:
        try:
            with missing_is_refused(OWN.ledger), translated(destructive=True):
                self._client.options(max_retries=0).create(
                    index=self._alias,
                    id=_document_id(int(record["sequence"])),
                    document=dict(record),
                    require_alias=True,
                )
        except RequestRejected as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def get(self, sequence: int) -> Record | None:
        """Return a record as it is now, or None."""
        document = self._document(sequence)
        return dict(document["_source"]) if document["found"] else None

    def standing(self, sequence: int) -> Record | None:
        """Return a record that every copy of the ledger has, or None where there is none to be seen.

        A primary that is cut off from its copies answers with what it wrote and nobody acknowledged, and takes its
        place for taken. Only up to its global checkpoint has every copy what it has. Raises ClusterUnavailable for a
        record past that: it may still be lost.
        """
        with missing_is_refused(OWN.ledger):
            node, until = lasting(self._client, self._alias)
        document = self._document(sequence, preference=f"_only_nodes:{node}")
        if not document["found"]:
            return None
        if int(document["_seq_no"]) > until:
            raise ClusterUnavailable(
                f"record {sequence} of the ledger is not yet on all shard copies and may still be lost",
                "check the cluster's health; the record is not used until it is safe",
            )
        return dict(document["_source"])

    def _document(self, sequence: int, preference: str | None = None) -> Mapping[str, Any]:
        with missing_is_refused(OWN.ledger), translated():
            answer = self._client.mget(index=self._alias, ids=[_document_id(sequence)], preference=preference)
        document: Mapping[str, Any] = answer["docs"][0]
        if "error" in document:
            raise forbidden_in(document) or missing(OWN.ledger)
        return document

    def head(self) -> Head:
        """Return the place and hash of the last record."""
        self._refresh()
        hits = self._search(after=0, size=1, order="desc")
        head = Head(int(hits[0][1]["sequence"]), str(hits[0][1]["hash"])) if hits else Head()
        while (following := self.get(head.sequence + 1)) is not None:
            head = Head(head.sequence + 1, str(following["hash"]))
        return head

    def last_epoch(self) -> int:
        """Return the epoch under which the last record was written; 0 without one, or without a ledger."""
        try:
            record = self.get(self.head().sequence)
        except Refused:
            return 0
        return int(record["epoch"]) if record else 0

    def read(self, after: int = 0) -> Iterator[Record]:
        """Yield all records with a higher sequence, in their order. Raises LedgerBroken for one in a wrong place."""
        self._refresh()
        while hits := self._search(after=after, size=_PAGE, order="asc"):
            for document_id, record in hits:
                after = int(record["sequence"])
                if document_id != _document_id(after):
                    raise LedgerBroken(
                        f"record {after}: it is in the place of record {document_id.lstrip('0') or document_id}",
                        "compare it with an export or with the same record in the log",
                    )
                yield record
            if len(hits) < _PAGE:
                return

    def about(self, uuids: Collection[str], action: str) -> list[Record]:
        """Return all records of an action on these indices, in their order."""
        self._refresh()
        found: list[Record] = []
        for some in parts(sorted(uuids), _TERMS):
            query = {"bool": {"filter": [{"terms": {"target.uuid": some}}, {"term": {"action": action}}]}}
            after = 0
            while hits := self._search(after=after, size=_PAGE, order="asc", query=query):
                found += [record for _, record in hits]
                after = int(hits[-1][1]["sequence"])
        return sorted(found, key=lambda record: int(record["sequence"]))

    def strangers(self) -> int:
        """Return how many documents in the ledger are no records."""
        with translated():
            counted = self._client.count(
                index=self._alias, query={"bool": {"must_not": {"exists": {"field": "sequence"}}}}
            )
        return int(counted["count"])

    def _refresh(self) -> None:
        """Make all records visible on every copy. Raises ClusterUnavailable where one does not take part.

        A copy that is cut off from the others would answer with an older ledger.
        """
        with missing_is_refused(OWN.ledger), translated():
            answer = self._client.indices.refresh(index=self._alias)
        if answer["_shards"]["failed"]:
            raise ClusterUnavailable("not every shard copy of the ledger answered", "check the cluster's health")

    def _search(
        self, *, after: int, size: int, order: str, query: Mapping[str, Any] | None = None
    ) -> list[tuple[str, Record]]:
        asked = [{"range": {"sequence": {"gt": after}}}, *([query] if query is not None else [])]
        with translated():
            answer = self._client.search(
                index=self._alias,
                query={"bool": {"filter": asked}},
                sort=[{"sequence": order}],
                size=size,
                allow_partial_search_results=False,
            )
        raise_if_partial(answer.body)
        return [(hit["_id"], hit["_source"]) for hit in answer["hits"]["hits"]]


def _document_id(sequence: int) -> str:
    return f"{sequence:012d}"
