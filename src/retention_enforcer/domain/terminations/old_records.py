"""How records of before told what they say of terminations: in the words of their reason alone.

Ledgers that were begun then are read for as long as they are kept. Nothing is written in this way any more.
"""

from __future__ import annotations

import re
from typing import Any

from retention_enforcer.domain.instants import parse_instant
from retention_enforcer.domain.ledger.records import Record

_WHO = re.compile(r"(?:terminate|erase) of (?:account|application|user) \S+, request \S+?(?=: |$)")
_PURGED_OF = re.compile(r": (\d+) documents of index (\S+?),")
_AT = re.compile(r": (?:terminated )?at (\S+Z)")
_RESOLVED_TO = re.compile(r": (\d+) applications(?:, (\S+))?")
_EXPUNGED_OF = re.compile(r"index (\S+?): ")


def fields_in_words(record: Record) -> dict[str, Any]:
    """Return what `TerminationRecord` holds, as far as the reason tells it."""
    reason = str(record.get("reason", ""))
    named = _WHO.match(reason)
    if named is None:
        expunged = _EXPUNGED_OF.match(reason)
        return {"uuid": expunged[1]} if expunged else {}
    words = reason[named.end() :]
    found: dict[str, Any] = {"who": named.group()}
    if at := _AT.match(words):
        found["at"] = parse_instant(at[1])
    if purged := _PURGED_OF.match(words):
        found |= {"documents": int(purged[1]), "uuid": purged[2]}
    elif resolved := _RESOLVED_TO.match(words):
        found |= {"applications": int(resolved[1]), "together": resolved[2] or ""}
    return found
