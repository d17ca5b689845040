"""How far an index goes: by that it is known again, and that it lost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESTORE = (
    "if it was lost, restore it and run `retention-enforcer ledger adopt`; the first time, run retention-enforcer setup"
)
"""What to do where an own index is not there: one that is made anew has lost what is held and what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPosition:
    """Which index it is, and up to where every operation in it has been carried out."""

    uuid: str
    until: int
    """A sequence number; -1 where there was no operation yet."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> IndexPosition:
        """Read it from a document."""
        return cls(uuid=str(body["uuid"]), until=int(body["sequence"]))

    def body(self) -> dict[str, Any]:
        """Return it as a document."""
        return {"uuid": self.uuid, "sequence": self.until}

    def continues(self, earlier: IndexPosition) -> bool:
        """Whether this is the same index, and has all that it had earlier.

        One that was made anew, or restored beside it, has another uuid; one that an older snapshot was restored into
        keeps its uuid, and ends earlier than it did.
        """
        return self.uuid == earlier.uuid and self.until >= earlier.until
