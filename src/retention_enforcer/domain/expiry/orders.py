"""What an operator orders to be erased although no age asks for it: what must never be stored.

An order names pairs of index uuid and action, those that were there when it was given; anything else is reported only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from retention_enforcer.domain.facts import FORBID_INDEX_DELETION, ForbiddenField, HeldIndex, IndexFacts
from retention_enforcer.domain.plan import Action, Purge, Skip, blocked, is_blocked, skip_as_held
from retention_enforcer.domain.selection import Every, HasField
from retention_enforcer.domain.wording import counted

Pairs = Collection[tuple[str, str]]


def ordered_purge(
    index: IndexFacts, ordered: Pairs, *, may_go_whole: bool, rollover: str | None, now: int
) -> Purge | Skip | None:
    """Return the purge of an index that must hold nothing, where an operator ordered it; else None."""
    if not index.documents:
        return None
    whole = Purge(
        facts=index,
        action=Action.DELETE_INDEX,
        documents=index.documents,
        due=index.created,
        reason=f"{counted(index.documents, 'document')} that must never be stored, erased by order of an operator",
        cut=now,
        rollover=rollover,
        ordered=True,
    )
    trim = replace(whole, action=Action.DELETE_DOCUMENTS, takes=Every(), spare=index.matches, rollover=None)
    # An order for the documents stays one for the documents, also where the index could go whole by now.
    possible = [whole, trim] if may_go_whole and not index.blocks & FORBID_INDEX_DELETION else [trim]
    purge = next((purge for purge in possible if purge.pair in ordered), None)
    if purge is None:
        return None
    if index.matching_documents:
        return skip_as_held(index, f"it has {counted(index.matching_documents, 'document')} of held subjects")
    cannot = is_blocked(purge) or (purge is trim and index.mounted)
    return blocked(index, purge.reason) if cannot else purge


def ordered_fields(
    forbidden: Collection[ForbiddenField], ordered: Pairs, holds: Mapping[str, HeldIndex], now: int
) -> Iterator[Purge | Skip]:
    """Yield the purges of documents with forbidden fields, in whatever index, where an operator ordered them.

    Such an index belongs to another category, and stands in the plan of the one that forbids the field only for that.
    """
    by_index: dict[str, list[ForbiddenField]] = {}
    for found in forbidden:
        if found.documents and (found.index.uuid, Action.DELETE_DOCUMENTS.value) in ordered:
            by_index.setdefault(found.index.uuid, []).append(found)
    for fields in by_index.values():
        index = fields[0].index
        named = ", ".join(found.field for found in fields)
        purge = Purge(
            facts=index,
            action=Action.DELETE_DOCUMENTS,
            documents=min(sum(found.documents for found in fields), index.documents),
            due=index.created,
            reason=f"documents with {named}, which must never be stored, erased by order of an operator",
            cut=now,
            takes=HasField(fields=tuple(found.field for found in fields)),
            ordered=True,
        )
        if hold := holds.get(index.name):
            yield skip_as_held(index, hold.text)
        else:
            yield blocked(index, purge.reason) if is_blocked(purge) else purge
