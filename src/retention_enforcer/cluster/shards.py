"""What statistics say of an index's shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def primary_numbers(index: Mapping[str, Any]) -> tuple[int, ...]:
    """Return `max_seq_no` of each primary shard of an index, by shard, from `_stats?level=shards`."""
    numbers = []
    for _, copies in sorted(index.get("shards", {}).items(), key=lambda shard: int(shard[0])):
        numbers += [int(c["seq_no"]["max_seq_no"]) for c in copies if c["routing"]["primary"] and "seq_no" in c]
    return tuple(numbers)
