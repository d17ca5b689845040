"""The ledger as it is stored: documents that are created once, and never changed.

A document holds one record, or several that were written together: then all of them are stored, or none. One document
each would not do for those. Where another process took the place of one of them, the cluster would still store those
after it, and they would follow a record that does not stand.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import parts
from retention_enforcer.cluster.errors import forbidden_in, raise_if_partial, translated
from retention_enforcer.cluster.own.flood_stage import write_own
from retention_enforcer.cluster.own.position import lasting, missing, missing_is_refused
from retention_enforcer.domain.errors import ClusterUnavailable, LedgerBroken, Refused, RequestRejected
from retention_enforcer.domain.ledger.records import COMPARE, Head, Record
from retention_enforcer.domain.policy.names import OWN

_PAGE = 1_000
_TERMS = 1_000

_FEW = 50
"""Documents in one answer where each may hold as many records as can be stored together."""

_LOOKS = 5
"""How often it is looked whether every copy has a record: one that is being written just now has got there by then."""

_PAUSE = 0.2
"""Seconds between two looks."""

_TOGETHER = "records"
"""The field of a document that holds several records."""


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

    def create(self, records: Sequence[Record]) -> bool:
        """Store records that follow one another in one document; False if the place of the first is taken."""
        return write_own(self._client, self._alias, lambda: self._create(records))

    def _create(self, records: Sequence[Record]) -> bool:
        try:
            with missing_is_refused(OWN.ledger), translated(destructive=True):
                self._client.options(max_retries=0).create(
                    index=self._alias,
                    id=_document_id(int(records[0]["sequence"])),
                    document=_document(records),
                    require_alias=True,
                )
        except RequestRejected as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def get(self, sequence: int) -> Record | None:
        """Return a record as it is now, or None."""
        together = self._beginning_with(sequence)
        if not together and (first := self._first_with(sequence)) is not None:
            together = self._beginning_with(first)
        return next((record for record in together if record.get("sequence") == sequence), None)

    def standing(self, sequence: int) -> Sequence[Record]:
        """Return a record that every copy of the ledger has, and those with it; nothing where there is none to be seen.

        A primary that is cut off from its copies answers with what it wrote and nobody acknowledged, and takes its
        place for taken. Only up to its global checkpoint has every copy what it has. Raises ClusterUnavailable for a
        record that stays past that: it may still be lost.
        """
        for look in range(_LOOKS):
            if look:
                time.sleep(_PAUSE)
            with missing_is_refused(OWN.ledger):
                node, until = lasting(self._client, self._alias)
            document = self._document(sequence, preference=f"_only_nodes:{node}")
            if not document["found"] and (first := self._first_with(sequence)) is not None:
                document = self._document(first, preference=f"_only_nodes:{node}")
            if not document["found"]:
                return ()
            if int(document["_seq_no"]) <= until:
                return _records_of(document)
        raise ClusterUnavailable(
            f"record {sequence} of the ledger is not yet on all shard copies and may still be lost",
            "check the cluster's health; the record is not used until it is safe",
        )

    def _beginning_with(self, sequence: int) -> list[Record]:
        """Return the records of the document that begins with this one, as it is now."""
        document = self._document(sequence)
        return _records_of(document) if document["found"] else []

    def _first_with(self, sequence: int) -> int | None:
        """Return the first of the records that are stored together with one that does not begin a document."""
        if sequence < 1:
            return None
        self._refresh()
        for document in self._search(after=sequence - 1, size=1):
            id_ = str(document["_id"])  # what is in it, and whether that is right, is for whoever asked
            return int(id_) if id_.isdecimal() and int(id_) < sequence else None
        return None

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
        head = Head()
        for document in self._search(after=0, size=1, order="desc"):
            head = Head(int(document["sort"][0]), str(_records_of(document)[-1].get("hash")))
        while later := self._beginning_with(head.sequence + 1):
            head = Head(head.sequence + len(later), str(later[-1].get("hash")))
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
        end: int | None = None
        # By places, not by documents: a page of documents could have many times as many records. One more document
        # than there can be, so that a second one that ends in the same place is met.
        while documents := self._search(after=after, until=after + _PAGE, size=_PAGE + 1) or self._search(
            after=after, size=2
        ):
            for document in documents:
                records = _in_place(document)
                first, last = int(records[0]["sequence"]), int(records[-1]["sequence"])
                if end is not None and first <= end:
                    raise _twice(first)
                yield from records[max(0, after - first + 1) :]
                after = end = last

    def about(self, uuids: Collection[str], action: str) -> list[Record]:
        """Return all records of an action on these indices, in their order."""
        self._refresh()
        found: list[Record] = []
        for some in parts(sorted(uuids), _TERMS):
            wanted = frozenset(some)
            alone, together = (
                {"bool": {"filter": [{"terms": {f"{at}target.uuid": some}}, {"term": {f"{at}action": action}}]}}
                for at in ("", f"{_TOGETHER}.")
            )
            query = {"bool": {"should": [alone, together], "minimum_should_match": 1}}
            after = 0
            while documents := self._search(after=after, size=_FEW, query=query):
                found += [
                    record
                    for document in documents
                    for record in _records_of(document)
                    if record.get("action") == action and record.get("target", {}).get("uuid") in wanted
                ]
                after = int(documents[-1]["sort"][0])
        return sorted(found, key=lambda record: int(record["sequence"]))

    def strangers(self) -> int:
        """Return how many documents in the ledger are no records."""
        with translated():
            counted = self._client.count(
                index=self._alias, query={"bool": {"must_not": {"range": {"sequence": {"gte": 1}}}}}
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
        self,
        *,
        after: int,
        until: int | None = None,
        size: int = _PAGE,
        order: str = "asc",
        query: Mapping[str, Any] | None = None,
    ) -> list[Mapping[str, Any]]:
        """Return documents by the last of their records."""
        places = {"gt": after, **({"lte": until} if until is not None else {})}
        asked = [{"range": {"sequence": places}}, *([query] if query is not None else [])]
        with translated():
            answer = self._client.search(
                index=self._alias,
                query={"bool": {"filter": asked}},
                sort=[{"sequence": order}],
                size=size,
                allow_partial_search_results=False,
            )
        raise_if_partial(answer.body)
        return list(answer["hits"]["hits"])


def _document_id(sequence: int) -> str:
    """Return the id of the document that begins with a record."""
    return f"{sequence:012d}"


def _document(records: Sequence[Record]) -> dict[str, Any]:
    """Return records as their document: one alone is its own."""
    if len(records) == 1:
        return dict(records[0])
    last = records[-1]
    return {"sequence": last["sequence"], "time": last["time"], _TOGETHER: [dict(record) for record in records]}


def _records_of(document: Mapping[str, Any]) -> list[Record]:
    """Return the records of a document, as they are; one that does not have several as a list is its own."""
    source = document["_source"]
    together = source.get(_TOGETHER)
    if isinstance(together, list) and together and all(isinstance(record, Mapping) for record in together):
        return together
    return [source]


def _in_place(document: Mapping[str, Any]) -> list[Record]:
    """Return the records of a document. Raises LedgerBroken where it says anything else than them in their places."""
    records, id_ = _records_of(document), str(document["_id"])
    if not (id_.isdecimal() and id_ == _document_id(int(id_))):
        raise _misplaced(records[0].get("sequence"), id_)
    first, last = int(id_), document["_source"]["sequence"]
    for place, record in enumerate(records, start=first):
        if record.get("sequence") != place:
            raise _misplaced(record.get("sequence"), place)
    if last != first + len(records) - 1:
        raise _misplaced(first + len(records) - 1, last)
    if document["_source"] != _document(records):
        raise LedgerBroken(f"record {first}: its document says something else than its records", COMPARE)
    return records


def _misplaced(sequence: object, place: object) -> LedgerBroken:
    return LedgerBroken(f"record {sequence}: it is in the place of record {place}", COMPARE)


def _twice(sequence: int) -> LedgerBroken:
    return LedgerBroken(f"record {sequence}: it is there twice, in two documents", COMPARE)
