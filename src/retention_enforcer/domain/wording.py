"""How numbers are put into sentences."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 document`, `2,000 documents`; `many` is the plural if it is not `one` and s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def verb(number: int, one: str, many: str) -> str:
    """Return the form of a verb, or of a pronoun, that goes with a number."""
    return one if number == 1 else many
