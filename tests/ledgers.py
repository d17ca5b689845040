"""A ledger in memory: the seam of the appender, without a server."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from retention_enforcer.domain.ledger.records import Head, Record
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor

NO_IDS = Redactor(Pseudonyms(None), ())
"""Of a policy under which no name of an index has an id in it."""


class MemoryLedger:
    """Keeps records; one whose sequence is taken is refused, as the index refuses it."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def uuid(self) -> str:
        return "ledger"

    def create(self, record: Record) -> bool:
        if len(self.records) >= record["sequence"]:
            return False
        self.records.append(record)
        return True

    def get(self, sequence: int) -> Record | None:
        return self.records[sequence - 1] if 0 < sequence <= len(self.records) else None

    def standing(self, sequence: int) -> Record | None:
        return self.get(sequence)

    def read(self, after: int = 0) -> Iterator[Record]:
        yield from self.records[after:]

    def head(self) -> Head:
        return Head(len(self.records), self.records[-1]["hash"]) if self.records else Head()

    def about(self, uuids: Collection[str], action: str) -> list[Record]:
        asked = (r for r in self.records if r.get("action") == action)
        return [r for r in asked if r.get("target", {}).get("uuid") in uuids]
