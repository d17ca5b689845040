"""What was observed of a category's indices: values, read once, never guessed.

An index of which anything is in doubt is not described by `IndexFacts` at all: it is `SetApart`, with the reason.
So no rule can mistake "do not know" for "nothing there".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from retention_enforcer.domain.findings import FindingKind
from retention_enforcer.domain.subjects.identity import Match
from retention_enforcer.domain.timestamps import Mapped


class Block(StrEnum):
    """The blocks an index can carry (`index.blocks.*`), and what they forbid, as measured on 8.10."""

    READ_ONLY = "read_only"  # forbids to delete documents and the index
    METADATA = "metadata"  # forbids to delete the index
    WRITE = "write"  # forbids to delete documents
    FLOOD_STAGE = "read_only_allow_delete"  # forbids to delete documents


FORBID_INDEX_DELETION = frozenset({Block.READ_ONLY, Block.METADATA})
FORBID_SETTINGS = frozenset({Block.READ_ONLY, Block.METADATA})
"""Blocks under which an index's settings cannot be changed; detaching works under each (measured on 8.10)."""
FORBID_DOCUMENT_DELETION = frozenset({Block.READ_ONLY, Block.WRITE, Block.FLOOD_STAGE})


class Doubt(StrEnum):
    """Why an index is set apart: nothing is deleted in it, and its category is not proven. Each is a finding's kind."""

    CLOSED = FindingKind.CLOSED
    UNASSIGNED = FindingKind.UNASSIGNED
    PARTIAL = FindingKind.PARTIAL_ANSWER
    TIMESTAMP_TYPE = FindingKind.TIMESTAMP_TYPE
    TIMESTAMP_ABSENT = FindingKind.TIMESTAMP_ABSENT
    INVISIBLE = FindingKind.INVISIBLE_DOCUMENTS
    CLAIMED_TWICE = FindingKind.CLAIMED_TWICE
    ALIAS = FindingKind.ALIAS_NAMED
    BEHIND_ALIAS = FindingKind.BEHIND_ALIAS
    FOLLOWER = FindingKind.FOLLOWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How many documents of an index the look before this one counted, for what this one calls foreseen."""

    documents: int
    due: int
    """Dated ones, due then."""
    foreseen: int
    """Those of them that were foreseen."""
    coming: int
    """Dated ones that were not due yet, but would be within the horizon."""
    undated: int = 0
    undated_foreseen: int = 0
    """Those without a date that were due by the index's creation then, and foreseen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRollover:
    """That the cluster refused to roll a write index over, for a reason that lasts until somebody removes it."""

    at: int
    reason: str
    """What the cluster said, with a tenant's id replaced."""
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What earlier cycles under the same policy knew of an index. Instants in milliseconds."""

    oldest: int | None
    """The oldest document at that time."""
    first_seen: int
    """When this oldest document was first seen as the oldest."""
    documents: int | None
    """How many there were; None where that is not known under this policy."""
    last_trim: int | None = None
    """When documents were last deleted from the index by age."""
    newest: int | None = None
    name: str | None = None
    """The index's, with a tenant's id replaced."""
    lifecycle: str | None = None
    """The lifecycle that ruled it, whoever's, that of its stream too."""
    deletes_from: int | None = None
    """The earliest instant at which that lifecycle could delete it, if it is the enforcer's or its stream's."""
    sequence_numbers: tuple[int, ...] = ()
    """`max_seq_no` of each primary shard at the last look, where the index held documents without a believable
    timestamp, or of a category without any; empty where it held none, and where that was not seen."""
    quiet_since: int | None = None
    """Since when nothing new was written to it, where its category has no timestamp."""
    dated_before: bool = False
    """Whether it once had dated documents, where it has none any more: its timestamp is no mistake."""
    outlook: Outlook | None = None
    """None where the last look did not see into the index, or was under another policy."""
    refused_rollover: RefusedRollover | None = None
    """The last refusal, as long as it is a write index."""

    @property
    def ever_dated(self) -> bool:
        """Whether any document of the index was seen to have a believable timestamp."""
        return self.oldest is not None or self.dated_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageless:
    """Why nobody can tell how old the documents of an index are: nothing in it goes by age."""

    doubt: Doubt
    text: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """One index whose every document was counted. Instants in milliseconds, sizes in bytes of the primaries.

    A document is dated if its timestamp is believed: not before the policy's `earliest`, and not more than an hour
    ahead of the clock. `oldest` and `newest` speak of dated documents only, and are None where there are none. Where
    the category has no timestamp, on purpose, all documents are dated, by what is known of their index.
    """

    name: str
    uuid: str
    created: int
    documents: int
    bytes: int
    oldest: int | None
    """From when the oldest is at the earliest."""
    newest: int | None
    """From when the newest is at the latest."""
    due: int
    """Dated documents that certainly are older than limit - margin."""
    overdue: int
    """Dated documents that may be older than the limit."""
    undated: int
    sequence_numbers: tuple[int, ...]
    """`max_seq_no` of each primary shard, by shard: a write changes it."""
    timestamp: Mapped | None = None
    """By what its documents are dated; None where nothing there tells it."""
    imprecision: int = 0
    """By how much the oldest may be younger than `oldest`."""
    quiet_since: int | None = None
    """Where the category has no timestamp: since when nothing new was written to it; None where that is not certain."""
    stream: str | None = None
    failure_store: bool = False
    write_index: bool = False
    """Whether its stream, or an alias that says so, writes to it."""
    aliases: tuple[str, ...] = ()
    write_aliases: tuple[str, ...] = ()
    """The aliases that name it, explicitly, as the index to write to."""
    former_names: tuple[str, ...] = ()
    """What it was made from, by which the category claims it too; some may be among its aliases."""
    container: bool = False
    hidden: bool = False
    mounted: bool = False
    """Whether it is a mounted snapshot, which can only go whole."""
    end_time: int | None = None
    """Of a time series index: until when it accepts documents."""
    blocks: frozenset[Block] = frozenset()
    lifecycle: str | None = None
    """The lifecycle that is attached to it and is not the enforcer's."""
    exempt: bool = False
    """Whether it is kept from the lifecycle of its stream."""
    matches: tuple[Match, ...] = ()
    """What the documents of the subjects asked for look like here: whoever asked knows whether these are protected
    or to be purged."""
    matching_documents: int = 0
    """Documents of these subjects."""
    matching_labels: frozenset[str] = frozenset()
    """The labels of those of these subjects of which it has documents."""
    matching_due: int = 0
    """Those of them that are older than limit - margin."""
    ageless: Ageless | None = None
    """Why its documents have no age; then all of them are undated."""
    coming: int = 0
    """Dated documents that are not due yet, but will be within the horizon."""
    lately: int = 0
    """Due documents that were not due yet at the look before, if that is no further back than the horizon."""
    still: int = 0
    """Dated documents that are not due yet, but will be within the horizon of the look before: those it saw coming that
    have not come."""
    evidence: Evidence | None = None
    origin: str | None = None
    """The index that it was made from or restored from, as far as its settings tell."""
    resized: bool = False
    """Whether its documents are certainly older than `created`: it was shrunk, split or cloned from another index."""

    @property
    def lasting_aliases(self) -> tuple[str, ...]:
        """The aliases that must not lose their last index: not those that came when it took another index's place."""
        return tuple(alias for alias in self.aliases if alias not in self.former_names)

    @property
    def counts_from(self) -> int | None:
        """From when the oldest dated document certainly is: what goes by its age goes by this."""
        return None if self.oldest is None else self.oldest + self.imprecision

    @property
    def refused_rollover(self) -> RefusedRollover | None:
        """That the cluster would not roll it over, where it is a write index still."""
        return self.evidence.refused_rollover if self.evidence and self.write_index else None

    @property
    def unwritten(self) -> bool:
        """Whether nothing was written to it since the last look; False where that is not known."""
        known = self.evidence.sequence_numbers if self.evidence else ()
        return bool(known) and known == self.sequence_numbers

    @classmethod
    def bare(cls, name: str, uuid: str) -> IndexFacts:
        """Return an index of which nothing else is said: it is gone, or its documents were not asked for their age."""
        return cls(
            name=name,
            uuid=uuid,
            created=0,
            documents=0,
            bytes=0,
            oldest=None,
            newest=None,
            due=0,
            overdue=0,
            undated=0,
            sequence_numbers=(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldIndex:
    """Why an index is held as a whole."""

    hold: str
    """The hold's id."""
    text: str
    """The hold and its end, without its owner's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indistinguishable:
    """That an index cannot tell which of its documents carry a subject that is asked for."""

    label: str
    """For what it is asked: a hold or a termination, by its id."""
    note: str
    reason: str
    passing: bool = False
    """Whether it could be told at another time: not the index itself is why it cannot."""
    spelled_otherwise: bool = False
    """Whether documents have the id as a number in another spelling, such as 1.4e9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetApart:
    """An index, or a name in the policy, of which too little is known to delete anything."""

    name: str
    uuid: str | None
    doubt: Doubt
    text: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForbiddenField:
    """A field in the mapping of a governed index that no index may have, since what it holds must never be stored."""

    index: IndexFacts
    """Whose documents were counted, but not dated."""
    category: str
    """Whose index it is."""
    field: str
    type: str
    documents: int
    """Documents that are seen to hold it."""
    countable: bool
    """False where documents can hold it unseen: the field is neither indexed nor has doc values."""
    counted: bool = True
    """False where the index did not answer."""

    @property
    def proven_absent(self) -> bool:
        """Whether no document of the index holds it, for certain."""
        return self.counted and self.documents == 0 and (self.countable or self.index.documents == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryFacts:
    """All indices that a category claims, as of one instant; each index stands in exactly one of the two."""

    category: str
    as_of: int
    indices: tuple[IndexFacts, ...] = ()
    set_apart: tuple[SetApart, ...] = ()
    forbidden: tuple[ForbiddenField, ...] = ()
    """In the mappings of all governed indices, for a category that says what must never be stored."""
    holds: dict[str, HeldIndex] = field(default_factory=dict)
    """Names of indices that are held as a whole, and by which hold."""
    indistinguishable: dict[str, tuple[Indistinguishable, ...]] = field(default_factory=dict)
    """By the names of indices, which subjects' documents they cannot tell apart."""
    excluded: tuple[str, ...] = ()
    """Indices that the category's patterns reach and the policy's `ignore` excludes."""
    taken_over: frozenset[str] = frozenset()
    """Names of the category that lead to other indices now, or of what others were made from: who misses an index of
    such a name must not take its documents for gone."""
    looked_at: int | None = None
    """When the look before this one was, under the same policy; None where there was none."""
    horizon: int = 0
    """For how long a look foresees, in milliseconds."""
    ordered: frozenset[tuple[str, str]] = frozenset()
    """What an operator ordered to be erased although no age asks for it: pairs of index uuid and action."""

    @property
    def documents(self) -> int:
        """The documents in all indices that are known."""
        return sum(index.documents for index in self.indices)

    def is_protected(self, index: IndexFacts) -> bool:
        """Whether an index is held, at least in part, by the facts of a look for what is held."""
        return index.name in self.holds or index.matching_documents > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """Which cluster answers, and what time it has. `time` in epoch milliseconds, by the cluster's clock."""

    uuid: str
    name: str
    version: str
    """Of its nodes; in the midst of an upgrade all there are, as `8.19.4/9.0.2`."""
    time: int
