"""What a deletion names, what must still be true before it, and what a look afterwards shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What must be unchanged between plan and deletion: the index and what was written to it."""

    uuid: str
    sequence_numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """An index that is there, and whether it was rolled over at some time."""

    name: str
    rolled_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """The documents of one index whose timestamp is at least `earliest` and before `cut` (epoch milliseconds)."""

    index: str
    uuid: str
    timestamp: str
    """The name of the field."""
    earliest: int
    cut: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """How a trim ended: how many documents were deleted, and how many due ones are left (zero is the proof)."""

    deleted: int
    left: int
