"""A plan: what goes, what stays and what may not be touched, each with its reason. Made by `expiry.build_plan`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from retention_enforcer.domain.facts import FORBID_DOCUMENT_DELETION, FORBID_INDEX_DELETION, IndexFacts
from retention_enforcer.domain.findings import FindingKind
from retention_enforcer.domain.foresight import Gap
from retention_enforcer.domain.selection import Every, HasField, OfSubjects
from retention_enforcer.domain.subjects.identity import Match


class Action(StrEnum):
    """What a purge does; the names are those of the ledger."""

    DELETE_INDEX = "delete_index"
    DELETE_DOCUMENTS = "delete_documents"


class SkipKind(StrEnum):
    """Why an index that may hold due documents is left alone."""

    HELD = FindingKind.HELD
    FOREIGN_LIFECYCLE = FindingKind.FOREIGN_LIFECYCLE
    BLOCKED = FindingKind.BLOCKED
    MOUNTED = FindingKind.MOUNTED_SNAPSHOT
    TIME_SERIES = FindingKind.TIME_SERIES
    SET_APART = "set-apart"  # the one that is no finding's kind: why it is set apart is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """One index that has to go, or to lose its due documents."""

    facts: IndexFacts
    action: Action
    documents: int
    """How many documents it destroys."""
    due: int
    reason: str
    cut: int
    """A trim deletes the dated documents older than this."""
    takes: HasField | Every | OfSubjects | None = None
    """What a trim takes instead: by an operator's order, not by age."""
    spare: tuple[Match, ...] = ()
    """What the documents look like that a trim does not take, since they are held."""
    ordered: bool = False
    """Whether an operator ordered exactly this, so that it is no surprise."""
    rollover: str | None = None
    """The stream or alias to roll over first, since the index is its write index."""
    foreseen: int = 0
    """How many of its documents an earlier cycle knew before they were due."""

    @property
    def pair(self) -> tuple[str, str]:
        """What an approval covers: the index's uuid and the action."""
        return (self.facts.uuid, self.action.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """One index in which nothing is due, or nothing to be done yet."""

    facts: IndexFacts
    due: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """One index that is left alone although it may hold due documents."""

    name: str
    uuid: str | None
    kind: SkipKind
    reason: str
    remedy: str
    facts: IndexFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one cycle of a category does, as of one instant; every observed index stands in it exactly once."""

    category: str
    as_of: int
    limit: int | None
    documents: int
    purge: tuple[Purge, ...] = ()
    keep: tuple[Keep, ...] = ()
    skip: tuple[Skip, ...] = ()
    excluded: tuple[str, ...] = ()
    """Indices that the policy's `ignore` takes out of the category: nothing is planned for them."""
    gap: Gap | None = None
    """That the look before was too long ago to have foreseen anything."""

    @property
    def hash(self) -> str:
        """What `plan approve` takes; empty for no purge.

        The hash of the category and, for each purge, uuid, action and the number of documents that were not foreseen:
        what is foreseen becomes due while somebody reads, and changes nothing about what has to be looked at.
        """
        if not self.purge:
            return ""
        covered = [self.category, sorted((*purge.pair, purge.documents - purge.foreseen) for purge in self.purge)]
        return hashlib.sha256(json.dumps(covered, separators=(",", ":")).encode()).hexdigest()


def is_blocked(purge: Purge) -> bool:
    """Whether a block of the index forbids a purge."""
    forbidden = FORBID_INDEX_DELETION if purge.action is Action.DELETE_INDEX else FORBID_DOCUMENT_DELETION
    return bool(purge.facts.blocks & forbidden)


def skip_as_held(index: IndexFacts, why: str) -> Skip:
    """Return the skip of an index that a hold keeps."""
    return skip(
        index, SkipKind.HELD, f"held: {why}", "run `retention-enforcer hold remove` when the hold is no longer needed"
    )


def blocked(index: IndexFacts, reason: str) -> Skip:
    """Return the skip of an index whose blocks forbid what the reason asks for."""
    names = ", ".join(sorted(f"index.blocks.{block}" for block in index.blocks))
    return skip(index, SkipKind.BLOCKED, f"{reason}; blocked by {names}", f"remove {names} from the index")


def skip(index: IndexFacts, kind: SkipKind, reason: str, remedy: str) -> Skip:
    """Return the skip of an index that was observed."""
    return Skip(name=index.name, uuid=index.uuid, kind=kind, reason=reason, remedy=remedy, facts=index)
