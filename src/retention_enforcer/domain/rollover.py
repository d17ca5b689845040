"""Which write indices can be rolled over, and to what name."""

from __future__ import annotations

import re

from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.policy import Category

FAILURES = "::failures"
"""The suffix by which Elasticsearch names a stream's failure store."""

_NUMBERED = re.compile(r"(.*-)([0-9]+)", re.DOTALL)


def rollover_target(index: IndexFacts, category: Category) -> str | None:
    """Return the stream or alias whose rollover makes a write index an ordinary one, or None where there is none.

    An alias only where it is the one alias that writes to the index, and the next index's name belongs to the same
    category: data must not roll out of the policy.
    """
    if index.stream is not None:
        return index.stream + (FAILURES if index.failure_store else "")
    if len(index.write_aliases) != 1:
        return None
    following = next_name(index.name)
    return index.write_aliases[0] if following and category.claims(following) else None


def next_name(name: str) -> str | None:
    """Return the name that a rollover of an alias gives the next index, or None if the name has no number.

    Elasticsearch pads the number to six digits (`logs-000002`).
    """
    match = _NUMBERED.fullmatch(name)
    return f"{match[1]}{int(match[2]) + 1:06d}" if match else None
