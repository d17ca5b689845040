"""Which indices of terminated tenants could not be deleted yet, so that the lifecycle `ended` has to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.facts import IndexFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedIndices:
    """What the last look for terminated subjects that came to its end says of them: nobody else's document is in any.

    An index keeps the lifecycle only while it is among them; that it is among them gives it to none.
    """

    until: int = 0
    """Epoch milliseconds. Afterwards none is among them: a tenant may be back whom nobody has heeded."""
    sequence_numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By uuid, `max_seq_no` of each primary shard: what was written since may be somebody else's."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> EndedIndices:
        """Return what was stored."""
        with readable("what retention-state remembers of ended indices", so="no index keeps its lifecycle"):
            indices = body.get("sequence_numbers", {})
            return cls(
                until=int(body.get("until", 0)),
                sequence_numbers={str(uuid): tuple(map(int, numbers)) for uuid, numbers in indices.items()},
            )

    def body(self) -> dict[str, Any]:
        """Return what is to be stored."""
        numbers = {uuid: list(numbers) for uuid, numbers in sorted(self.sequence_numbers.items())}
        return {"until": self.until, "sequence_numbers": numbers}

    def include(self, index: IndexFacts, now: int) -> bool:
        """Whether an index is among them, exactly as it was seen."""
        return now <= self.until and self.sequence_numbers.get(index.uuid) == index.sequence_numbers

    def without(self, uuids: Collection[str]) -> EndedIndices:
        """Return the others."""
        others = {uuid: numbers for uuid, numbers in self.sequence_numbers.items() if uuid not in uuids}
        return replace(self, sequence_numbers=others)
