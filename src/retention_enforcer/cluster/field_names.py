"""Names of fields."""

from __future__ import annotations


def parents(name: str) -> list[str]:
    """Return the objects that a dotted name goes through, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
