"""What a deletion names, what must still be true before it, and what a look afterwards shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retention_enforcer.domain.subjects.identity import ExactField, Match, Values
from retention_enforcer.domain.timestamps import Mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersion:
    """What must be unchanged between plan and deletion: the index and what was written to it."""

    uuid: str
    sequence_numbers: tuple[int, ...]


MOST_HITS = 10_000
"""`index.max_result_window` where nobody has changed it."""
MOST_TERMS = 10_000
"""Values in one `terms` query. Elasticsearch refuses more than 65,536; 10,000 took 15-140 ms (measured)."""
MOST_VALUES = 100
"""`index.max_docvalue_fields_search` where nobody has changed it."""

MOST_OBJECTS = 100
"""`index.max_inner_result_window` where nobody has changed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """An index that is there, whether it was rolled over at some time, and which lifecycle it has."""

    name: str
    rolled_over: bool
    lifecycle: str | None = None
    """The one that is attached, or else that of its stream where that may delete it."""
    most_hits: int = MOST_HITS
    """Its `index.max_result_window`: documents in one answer of a search."""
    most_terms: int = MOST_TERMS
    """Values in one `terms` query: its `index.max_terms_count`, where that is lower than what is asked anyhow."""
    most_values: int = MOST_VALUES
    """Its `index.max_docvalue_fields_search`: fields of which one search gives the values."""
    most_objects: int = MOST_OBJECTS
    """Its `index.max_inner_result_window`: nested objects of one document in an answer."""
    write_blocked: bool = False
    """Whether it has `index.blocks.write`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Documents that are from `earliest` on, and certainly from before `cut` (epoch milliseconds)."""

    timestamp: Mapped
    earliest: int
    cut: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HasField:
    """Documents that hold at least one of these fields, also with a value that was not indexed."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All documents of the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfSubjects:
    """Documents that carry one of these subjects."""

    matches: tuple[Match, ...]
    fields: tuple[ExactField, ...] = field(init=False, repr=False, compare=False, default=())
    """The places that tell whose a document is."""
    _by_value: Mapping[ExactField, Mapping[str | int, list[Match]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """Those to be looked at for a document that has this value there: of thousands few."""

    def __post_init__(self) -> None:
        found: dict[ExactField, dict[str | int, list[Match]]] = {}
        for match in self.matches:
            for last in match.parts[-1].conditions:
                found.setdefault(last.where, {}).setdefault(last.value, []).append(match)
        object.__setattr__(self, "_by_value", found)
        object.__setattr__(self, "fields", tuple(dict.fromkeys(f for match in self.matches for f in match.fields)))

    @property
    def told_by_values(self) -> bool:
        """Whether the query alone does not tell which documents are taken: their values have to be looked at."""
        return any(match.single for match in self.matches)

    def labels(self, values: Values) -> frozenset[str]:
        """Return for whom a document with these values is asked for."""
        lasts = ((those, value) for where, those in self._by_value.items() for value in values.get(where, ()))
        near = (match for those, value in lasts for match in those.get(value, ()))
        return frozenset(match.label for match in near if match.fits(values))


Selection = Due | HasField | Every | OfSubjects
"""Which documents of an index a trim takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Documents of one index that have to go, while the index stays."""

    index: str
    uuid: str
    takes: Selection
    spare: tuple[Match, ...] = ()
    """What the documents look like that it leaves although it selects them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """How a trim ended: how many documents were deleted, and how many it still selects (zero is the proof)."""

    deleted: int
    left: int
    by_label: Mapping[str, int] = field(default_factory=dict)
    """Of these, how many for each subject; one that is several subjects' counts for each."""
