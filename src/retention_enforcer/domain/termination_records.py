"""What the ledger says about terminations: enough to tell what a registry that was lost does not say any more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.ledger import Kind, Record
from retention_enforcer.domain.terminations import Termination

REGISTERED, PURGED, EXPUNGED = "registered", "purged", "expunge"
ENDED = frozenset({"cancelled", "watch-ended", "closed"})
"""Actions of these records."""

_WHO = re.compile(r"(?:terminate|erase) of (?:account|application|user) \S+, request \S+?(?=: |$)")
_PURGED_OF = re.compile(r": \d+ documents of index (\S+?),")
_EXPUNGED_OF = re.compile(r"index (\S+?): ")


def who_of(termination: Termination) -> str:
    """Return how the records name a termination: what was asked for whom, under the pseudonym, and by which request."""
    return f"{termination.ask} of {termination.kind} {termination.pseudonym}, request {termination.key}"


def purged_of(documents: int, uuid: str, how: str) -> str:
    """Return how a record says what went of an index."""
    return f"{documents} documents of index {uuid}, {how}"


def expunged_of(uuid: str, how: str) -> str:
    """Return how a record says that an index is clean."""
    return f"index {uuid}: {how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the ledger tells of terminations."""

    open: frozenset[str] = frozenset()
    """Those that were registered and have not ended, by `who_of`."""
    ended: frozenset[str] = frozenset()
    unclean: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By the uuid of an index from which documents went and that was not expunged since, for whom they went."""


def told_by(records: Iterable[Record]) -> Told:
    """Return what the ledger tells of terminations, from its beginning."""
    registered, ended = set[str](), set[str]()
    unclean: dict[str, frozenset[str]] = {}
    for record in records:
        action, reason = record.get("action"), str(record.get("reason", ""))
        if record.get("kind") != Kind.TERMINATION:
            continue
        named, purged = _WHO.match(reason), _PURGED_OF.search(reason)
        if action == EXPUNGED and (expunged := _EXPUNGED_OF.match(reason)):
            unclean.pop(expunged[1], None)
        elif named is not None and action == REGISTERED:
            registered.add(named.group())
        elif named is not None and action in ENDED:
            ended.add(named.group())
        elif named is not None and action == PURGED and purged is not None:
            unclean[purged[1]] = unclean.get(purged[1], frozenset()) | {named.group()}
    return Told(open=frozenset(registered - ended), ended=frozenset(ended), unclean=unclean)
