"""What the ledger says about terminations: enough to tell which were open when a registry was lost."""

from __future__ import annotations

import re
from collections.abc import Iterable

from retention_enforcer.domain.ledger import Kind, Record
from retention_enforcer.domain.terminations import Termination

_ENDED = frozenset({"cancelled", "watch-ended", "closed"})
_WHO = re.compile(r"(?:terminate|erase) of (?:account|application|user) \S+?(?=: |$)")


def who_of(termination: Termination) -> str:
    """Return how the records name a termination: what was asked for whom, under the pseudonym."""
    return f"{termination.ask} of {termination.kind} {termination.pseudonym}"


def open_in_ledger(records: Iterable[Record]) -> frozenset[str]:
    """Return which terminations were registered and have not ended, as far as the ledger goes, by `who_of`.

    Of the same subject and kind at most one is open at a time.
    """
    found: set[str] = set()
    for record in records:
        if record.get("kind") != Kind.TERMINATION:
            continue
        named = _WHO.match(str(record.get("reason", "")))
        if named is not None and record.get("action") == "registered":
            found.add(named.group())
        elif named is not None and record.get("action") in _ENDED:
            found.discard(named.group())
    return frozenset(found)
