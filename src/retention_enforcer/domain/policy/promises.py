"""The policy: what has been promised for which indices."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from retention_enforcer.domain.instants import DAY, HOUR, format_duration
from retention_enforcer.domain.policy.names import IndexPattern, overlap
from retention_enforcer.domain.policy.places import SubjectPlaces
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Timestamp

ON_REQUEST = "on-request"
"""The id under which the promise across all categories, deletion on request, is reported."""

EARLIEST = 1_420_070_400_000
"""2015-01-01, the default of `earliest`: an older timestamp is not believed (epoch seconds read as
milliseconds, the most frequent slip of a producer, land in January 1970)."""

FUTURE_TOLERANCE = HOUR
"""How far ahead of the clock a timestamp may be and still be believed."""

SPAN_TOLERANCE = 1.1
"""An index spans at most this much more than `rollover`: a lifecycle's rollover comes up to some polls late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """Where the promise is written down."""

    document: str
    section: str
    item: str
    updated: str  # ISO date

    def __str__(self) -> str:
        return f"{self.document} ({self.updated}), section {self.section}: {self.item}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One row of the promises: a kind of personal data, its indices and its limit. Durations in milliseconds."""

    id: str
    clause: Clause
    indices: tuple[IndexPattern, ...]
    timestamp: Timestamp | None = AT_TIMESTAMP
    """None: its documents have none, on purpose, and are as old as their index."""
    subjects: SubjectPlaces = field(default_factory=SubjectPlaces)
    owns: SubjectPlaces = field(default_factory=SubjectPlaces)
    max_age: int | None = None
    after_termination: int | None = None
    never_stored: bool = False
    forbidden_fields: tuple[str, ...] = ()
    rollover: int = DAY
    enforce: bool = True
    foreign_lifecycle: Literal["leave", "adopt"] = "leave"

    @property
    def limit(self) -> int | None:
        """The promise in milliseconds, counted from the document or from termination; None where never stored."""
        return self.max_age if self.max_age is not None else self.after_termination

    @property
    def forbids_fields(self) -> bool:
        """Whether it says what no governed index may hold: fields by name and, if never stored, binary ones."""
        return self.never_stored or bool(self.forbidden_fields)

    @property
    def promise(self) -> str:
        """The promise in a few words."""
        parts = []
        if self.max_age is not None:
            parts.append(f"at most {format_duration(self.max_age)} old")
        if self.after_termination is not None:
            parts.append(f"deleted within {format_duration(self.after_termination)} of termination")
        if self.never_stored:
            parts.append("never stored")
        return ", ".join(parts)

    def claims(self, name: str) -> bool:
        """Whether an index or stream of this name belongs to the category."""
        return any(pattern.matches(name) for pattern in self.indices)

    def names_literally(self, name: str) -> bool:
        """Whether the policy names it without a wildcard, which makes an index a container."""
        return any(pattern.literal and pattern.text == name for pattern in self.indices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All promises, and the margin with which they are kept. Durations and instants in milliseconds."""

    name: str
    categories: tuple[Category, ...]
    margin: int = HOUR
    on_request: int = 7 * DAY
    earliest: int = EARLIEST
    ignore: tuple[IndexPattern, ...] = ()

    @property
    def patterns(self) -> tuple[IndexPattern, ...]:
        """What all categories claim."""
        return tuple(pattern for category in self.categories for pattern in category.indices)

    def category(self, category_id: str) -> Category:
        """The category of that id; KeyError where there is none."""
        for category in self.categories:
            if category.id == category_id:
                return category
        raise KeyError(category_id)

    def ignores(self, name: str) -> bool:
        """Whether an index or stream of this name is covered by no clause, on purpose."""
        return any(pattern.matches(name) for pattern in self.ignore)

    def excluded(self, category: Category) -> tuple[IndexPattern, ...]:
        """Return what `ignore` may exclude from a category, as far as the patterns' texts tell."""
        return tuple(p for p in self.ignore if any(overlap(p, pattern) for pattern in category.indices))

    def claimants(self, name: str) -> tuple[str, ...]:
        """The ids of all categories that claim an index or stream of this name; more than one is a conflict."""
        if self.ignores(name):
            return ()
        return tuple(category.id for category in self.categories if category.claims(name))


def fingerprint(policy: Policy, *, grace: int, max_share: float, lifecycle: str) -> str:
    """The hash of all that decides deletions: the policy but for the wording of its clauses, and three settings.

    Nothing is deleted under a fingerprint that nobody accepted.
    """
    decided = asdict(policy)
    for category in decided["categories"]:
        del category["clause"]
        category["indices"] = [pattern["text"] for pattern in category["indices"]]
        if category["timestamp"] is not None and category["timestamp"]["unit"] is None:
            category["timestamp"] = category["timestamp"]["field"]  # as it stands in the file
    decided["ignore"] = [pattern["text"] for pattern in decided["ignore"]]
    decided["settings"] = {"grace": grace, "max_share": str(max_share), "lifecycle": lifecycle}
    canonical = json.dumps(decided, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
