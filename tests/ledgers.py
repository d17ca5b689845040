"""A ledger in memory, the seam of the appender without a server, and one on a server as somebody may tamper with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.domain.ledger.records import Head, Record
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor

NO_IDS = Redactor(Pseudonyms(None), ())
"""Of a policy under which no name of an index has an id in it."""


class MemoryLedger:
    """Keeps records; one whose sequence is taken is refused, as the index refuses it."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.begins: list[int] = []
        """Of each record, the first that was stored together with it."""

    def uuid(self) -> str:
        return "ledger"

    def create(self, records: Sequence[Record]) -> bool:
        if records[0]["sequence"] in self.begins:
            return False
        assert records[0]["sequence"] == len(self.records) + 1, (
            "between records that were stored together, or after a gap"
        )
        self.records += records
        self.begins += [records[0]["sequence"]] * len(records)
        return True

    def get(self, sequence: int) -> Record | None:
        return self.records[sequence - 1] if 0 < sequence <= len(self.records) else None

    def standing(self, sequence: int) -> Sequence[Record]:
        together = self.begins[sequence - 1 : sequence]
        return [record for record, begin in zip(self.records, self.begins, strict=True) if begin in together]

    def read(self, after: int = 0) -> Iterator[Record]:
        yield from self.records[after:]

    def head(self) -> Head:
        return Head(len(self.records), self.records[-1]["hash"]) if self.records else Head()

    def about(self, uuids: Collection[str], action: str) -> list[Record]:
        asked = (r for r in self.records if r.get("action") == action)
        return [r for r in asked if r.get("target", {}).get("uuid") in uuids]


def records_in(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of one stored document: several that were written together, or itself."""
    return list(document.get("records") or [document])


class StoredLedger:
    """A ledger on a server, past the product: for those who change what nobody may change."""

    def __init__(self, es: Elasticsearch, index: str) -> None:
        self._es = es
        self._index = index

    def documents(self) -> dict[str, dict[str, Any]]:
        self._es.indices.refresh(index=self._index)
        answer = self._es.search(index=self._index, size=10_000, sort=[{"sequence": "asc"}])
        return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}

    def records(self) -> list[dict[str, Any]]:
        return [record for document in self.documents().values() for record in records_in(document)]

    def put(self, place: int, record: Mapping[str, Any]) -> None:
        """Put a record in a place, whichever was there."""
        holding = self._holding(place)
        if holding is None or "records" not in holding[1]:
            self._es.index(index=self._index, id=f"{place:012d}", document=dict(record), refresh=True)
            return
        id_, document = holding
        together = list(document["records"])
        together[place - int(id_)] = dict(record)
        self._es.index(index=self._index, id=id_, document={**document, "records": together}, refresh=True)

    def take(self, place: int) -> None:
        """Take a record out of its place, as unnoticed as can be."""
        holding = self._holding(place)
        assert holding is not None
        id_, document = holding
        left = [record for record in records_in(document) if record["sequence"] != place]
        if left:
            changed = {**document, "records": left, "sequence": left[-1]["sequence"]}
            self._es.index(index=self._index, id=id_, document=changed, refresh=True)
        else:
            self._es.delete(index=self._index, id=id_, refresh=True)

    def empty(self) -> None:
        for id_ in self.documents():
            self._es.delete(index=self._index, id=id_, refresh=True)

    def _holding(self, place: int) -> tuple[str, dict[str, Any]] | None:
        for id_, document in self.documents().items():
            if int(id_) <= place < int(id_) + len(records_in(document)):
                return id_, document
        return None
