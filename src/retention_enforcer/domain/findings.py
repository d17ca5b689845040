"""Findings: what a person has to know, with the remedy. One finding a cause, under an id that survives restarts.

Which kinds there are, and what each says, is shown in `docs/findings.md`, which is made of this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, Self

from retention_enforcer.domain.instants import HOUR


class Severity(StrEnum):
    """How urgent a finding is."""

    ERROR = "error"  # a promise is broken, or cannot be proven
    WARNING = "warning"  # a promise will be broken unless somebody acts


_ERROR, _WARN = Severity.ERROR, Severity.WARNING


class FindingKind(StrEnum):
    """What a finding is about; the values are those of the API, of the ledger and of a metric's label."""

    severity: Severity
    """That of its findings; where it is an error, some may be milder."""
    meaning: str

    def __new__(cls, value: str, severity: Severity = _ERROR, meaning: str = "") -> Self:
        """Make a member; the defaults are for who looks one up by its value alone."""
        kind = str.__new__(cls, value)
        kind._value_, kind.severity, kind.meaning = value, severity, meaning
        return kind

    # What is left after a cycle.
    OVERDUE = "overdue", _ERROR, "Documents are older than the limit."
    NEVER_STORED = "never-stored", _ERROR, "An index contains documents that must never be stored."
    FORBIDDEN_FIELD = (
        "forbidden-field",
        _ERROR,
        "An index has a forbidden field (a warning if no document has a value in it).",
    )
    UNDATED = (
        "undated",
        _ERROR,
        "Documents have no plausible timestamp (a warning while their index is younger than the limit).",
    )
    TIMESTAMP_ABSENT = (
        "timestamp-absent",
        _ERROR,
        "No document of an index has the timestamp field (a warning while the index is empty).",
    )
    TIMESTAMP_TYPE = (
        "timestamp-type",
        _ERROR,
        "The timestamp field gives no age, due to its mapping or its values (a warning while the index is empty).",
    )
    # Indices that are set apart: nothing is deleted in them, and their category is not proven.
    CLOSED = "closed", _ERROR, "An index is closed, so its documents can be neither checked nor deleted."
    UNASSIGNED = "unassigned", _ERROR, "A primary shard of an index is not assigned to a node."
    PARTIAL_ANSWER = "partial-answer", _ERROR, "An index did not answer, or its answer is incomplete."
    INVISIBLE_DOCUMENTS = (
        "invisible-documents",
        _ERROR,
        "Document or field level security hides a part of an index from the enforcer.",
    )
    CLAIMED_TWICE = "claimed-twice", _ERROR, "More than one category claims an index."
    ALIAS_NAMED = (
        "alias-named",
        _ERROR,
        "The policy names an alias, whose indices can change without a change of the policy.",
    )
    BEHIND_ALIAS = (
        "behind-alias",
        _ERROR,
        "An alias matches a category, but leads to an index that does not belong to the category.",
    )
    FOLLOWER = (
        "follower",
        _ERROR,
        "An index follows a leader index in another cluster, so what is deleted here comes back.",
    )
    # Due documents that are left alone.
    HELD = "held", _WARN, "A hold keeps documents that are due."
    HELD_BUT_MANAGED = (
        "held-but-managed",
        _WARN,
        "A lifecycle that the enforcer did not create may delete a held index.",
    )
    FOREIGN_LIFECYCLE = (
        "foreign-lifecycle",
        _WARN,
        "Due documents are left to a lifecycle that the enforcer did not create.",
    )
    BLOCKED = "blocked", _WARN, "A block of an index prevents the purge."
    MOUNTED_SNAPSHOT = (
        "mounted-snapshot",
        _WARN,
        "A mounted snapshot contains due documents, and can only be deleted as a whole.",
    )
    TIME_SERIES = "time-series", _WARN, "A time series index is due, but still accepts documents."
    # Purges and rollovers.
    UNSAFE_PLAN = (
        "unsafe-plan",
        _WARN,
        "The fuse refused purges, because they would delete too many documents that were not foreseen.",
    )
    PURGE_FAILED = "purge-failed", _WARN, "A purge failed, wholly or partly."
    ROLLOVER_REFUSED = (
        "rollover-refused",
        _WARN,
        "The cluster refuses to roll over a write index, so the index keeps growing.",
    )
    ROLLOVER_FAILED = "rollover-failed", _WARN, "The rollover of a write index failed."
    DELETED_BY_OTHERS = "deleted-by-others", _WARN, "An index is gone, and the enforcer did not cause its deletion."
    # Lifecycles that do not do what they are there for. The daemon deletes at the deadline what it may.
    LIFECYCLES_STOPPED = "lifecycles-stopped", _WARN, "Index lifecycle management is stopped on this cluster."
    LIFECYCLE_MISSING = "lifecycle-missing", _WARN, "The lifecycle policy of an index does not exist."
    LIFECYCLE_STALE = (
        "lifecycle-stale",
        _WARN,
        "An index still runs under another lifecycle policy than the attached one.",
    )
    LIFECYCLE_CLOSED = "lifecycle-closed", _WARN, "An index is closed, so its lifecycle fails until somebody opens it."
    LIFECYCLE_BLOCKED = "lifecycle-blocked", _WARN, "A block of an index prevents its lifecycle from deleting it."
    LIFECYCLE_WRITE_INDEX = (
        "lifecycle-write-index",
        _WARN,
        "A lifecycle does not delete an index, because it is still the write index.",
    )
    LIFECYCLE_SNAPSHOT = "lifecycle-snapshot", _WARN, "A snapshot in progress prevents the deletion of an index."
    LIFECYCLE_ERROR = "lifecycle-error", _WARN, "A lifecycle step of an index fails."
    LIFECYCLE_LATE = "lifecycle-late", _WARN, "A lifecycle will delete an index after it is due."
    LIFECYCLE_STUCK = "lifecycle-stuck", _WARN, "A lifecycle should have deleted an index, but waits without an error."
    STREAM_NOT_ROLLED_OVER = "stream-not-rolled-over", _WARN, "The lifecycle of a data stream does not roll it over."
    LIFECYCLE_FOREIGN = (
        "lifecycle-foreign",
        _WARN,
        "A lifecycle that the enforcer did not create keeps documents past the limit, or will be replaced.",
    )
    LIFECYCLE_UNMEETABLE = "lifecycle-unmeetable", _WARN, "No lifecycle can keep the promise of a category."
    LIFECYCLE_FAILED = "lifecycle-failed", _WARN, "The lifecycle of an index could not be changed."
    LIFECYCLE_ACTS = (
        "lifecycle-acts",
        _WARN,
        "Lifecycles still delete indices although the enforcer currently deletes nothing.",
    )
    LIFECYCLE_NAME_TAKEN = (
        "lifecycle-name-taken",
        _WARN,
        "A lifecycle policy that the enforcer did not create has the name of one of its own.",
    )
    LIFECYCLE_ALTERED = (
        "lifecycle-altered",
        _WARN,
        "Somebody changed a lifecycle that the enforcer created or put on a data stream, or what is in force of it.",
    )
    LIFECYCLE_AUTHORITY = (
        "lifecycle-authority",
        _WARN,
        "A lifecycle policy of the enforcer would run with the privileges of another user.",
    )
    LIFECYCLE_STRAY = "lifecycle-stray", _WARN, "An index that no category claims has a lifecycle of the enforcer."
    LIFECYCLE_FORMER = "lifecycle-former", _WARN, "An index that no category claims has a lifecycle of a former policy."
    LIFECYCLES_UNUSABLE = "lifecycles-unusable", _WARN, "The cluster refuses to return or to change lifecycles."
    UNSAFE_LIFECYCLES = (
        "unsafe-lifecycles",
        _WARN,
        "The fuse refused lifecycles, because they would soon delete too many documents.",
    )
    # What no promise reaches.
    UNCLAIMED = "unclaimed", _WARN, "No category claims these indices."
    SUSPECTED_COPY = "suspected-copy", _WARN, "Indices outside the policy seem to contain documents of a category."
    NOT_LOOKED_INTO = "not-looked-into", _WARN, "It is unknown whether there are copies outside the policy."
    MATCHES_NOTHING = "matches-nothing", _WARN, "A category has matched no index for a day."
    DANGLING_INDEX = "dangling-index", _WARN, "A deleted index is on the disk of a node again (a dangling index)."
    # Snapshots.
    SNAPSHOT_EXPIRED = "snapshot-expired", _WARN, "Snapshots contain data that is older than its limit."
    SNAPSHOT_POLICY = "snapshot-policy", _WARN, "A snapshot policy keeps copies for longer than the limit."
    REPOSITORY_UNREADABLE = (
        "repository-unreadable",
        _WARN,
        "Some snapshots, or how long snapshots are kept, could not be read.",
    )
    # Holds.
    HOLD_ENDS = "hold-ends", _WARN, "A hold ends within a day, and what it kept past its limit is then deleted."
    HOLD_COVERS_LESS = (
        "hold-covers-less",
        _WARN,
        "The name of a hold covers less than it once did, but what the hold covered stays held.",
    )
    # Terminations and requests.
    TERMINATION_WAITING = "termination-waiting", _WARN, "Terminations wait for approval while their deadlines run."
    TERMINATION_LATE = "termination-late", _ERROR, "A termination or erasure request is past its limit."
    PURGE_UNPROVEN = (
        "purge-unproven",
        _WARN,
        "It is unknown whether everything is purged for some terminations or erasure requests.",
    )
    OWNER_UNDECIDED = "owner-undecided", _WARN, "It is unknown which applications belong to a terminated account."
    BLOCK_NOT_RESTORED = "block-not-restored", _WARN, "A write block that was removed for a deletion is not restored."
    RETURNED = "returned", _WARN, "Documents of a subject came back after its termination was closed."
    REINSTATEMENT_REFUSED = (
        "reinstatement-refused",
        _WARN,
        "A reinstatement is refused, because its data is purged with that of another subject.",
    )
    REQUEST_REFUSED = "request-refused", _WARN, "A request is refused, because it is invalid or was changed."


TRIED_AGAIN = (
    "wait for the next cycle, which tries again; if it keeps failing, check what the cluster reports for this index"
)
"""The remedy where an act on an index did not succeed."""


class NamedIndex(Protocol):
    """An index, by name and, as far as it is known, by uuid."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def uuid(self) -> str | None:
        """The uuid."""


def abbreviated(names: Collection[str], most: int = 5) -> str:
    """Return the first of these names in words, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join([*names][:most]) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    `index` is None where it concerns more than one index, `category` where it concerns no single category.
    """

    kind: FindingKind
    category: str | None
    text: str
    remedy: str
    milder: bool = False
    """Whether it is a warning although its kind is an error."""
    index: str | None = None
    uuid: str | None = None
    about: str | None = None
    """What it concerns where that is no index: a repository, a hold."""
    first_seen: int | None = None
    """Epoch milliseconds; None until it was stored."""
    last_seen: int | None = None

    @classmethod
    def of(
        cls,
        kind: FindingKind,
        category: str | None,
        text: str,
        remedy: str,
        *,
        index: NamedIndex | None = None,
        about: str | None = None,
        milder: bool = False,
    ) -> Self:
        """Return the finding about an index, about something else, or about neither."""
        return cls(
            kind=kind,
            category=category,
            text=text,
            remedy=remedy,
            milder=milder,
            index=index.name if index else None,
            uuid=index.uuid if index else None,
            about=about,
        )

    @property
    def severity(self) -> Severity:
        """How urgent it is."""
        return Severity.WARNING if self.milder else self.kind.severity

    @property
    def id(self) -> str:
        """The same for the same cause in the same place, whatever its text says today."""
        place = "|".join((self.kind, self.category or "", self.uuid or self.index or self.about or ""))
        return hashlib.sha256(place.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """When an open finding was first and last seen, in epoch milliseconds."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsChange:
    """The findings of now, with their first and last sight, and what is new or gone since the last cycle."""

    current: tuple[Finding, ...]
    opened: tuple[Finding, ...]
    closed: tuple[str, ...]
    """Ids of findings whose cause is gone."""

    @property
    def sightings(self) -> dict[str, Sighting]:
        """What is to be remembered of the findings of now, by their ids."""
        return {f.id: Sighting(first=f.first_seen or 0, last=f.last_seen or 0) for f in self.current}


def compare_findings(known: Mapping[str, Sighting], seen: Iterable[Finding], now: int) -> FindingsChange:
    """Return what changed against the known findings, by their ids."""
    current = {f.id: f for f in sighted(known, seen, now)}
    return FindingsChange(
        current=tuple(current.values()),
        opened=tuple(f for f in current.values() if f.id not in known),
        closed=tuple(sorted(id_ for id_ in known if id_ not in current)),
    )


def sighted(known: Mapping[str, Sighting], seen: Iterable[Finding], now: int) -> Iterator[Finding]:
    """Yield the findings of now with their first sight, if it is known, and their last."""
    for finding in seen:
        first = known[finding.id].first if finding.id in known else now
        yield replace(finding, first_seen=first, last_seen=now)


def refreshed(stored: Mapping[str, Sighting], current: Mapping[str, Sighting]) -> Mapping[str, Sighting]:
    """Return what is to be stored of the findings: the stored sightings while they say nearly the same.

    When a finding was last seen is no reason to write by itself, but once an hour.
    """
    same = stored.keys() == current.keys()
    if same and all(current[id_].last - sighting.last < HOUR for id_, sighting in stored.items()):
        return stored
    return current
