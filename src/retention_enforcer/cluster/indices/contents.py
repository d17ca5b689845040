"""What one search says of the documents in many indices: how many there are, and how old they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Cause, Refusals
from retention_enforcer.cluster.limits import Limits
from retention_enforcer.cluster.searches import Question, ask_about, count_in, counted
from retention_enforcer.cluster.subject_queries import holds, query_of_any
from retention_enforcer.cluster.timestamp_queries import between, instant_in, newest, oldest, spanning
from retention_enforcer.domain.deadlines import believable, due_before, overdue_before
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.selection import MOST_TERMS
from retention_enforcer.domain.subjects.identity import ExactField, Match
from retention_enforcer.domain.timestamps import Mapped

_MOST_LABELS = 20
"""Subjects whose documents are counted one by one; of more, every one that an index can have counts as there."""

_HOLDING = "holding-"
_MATCHING = "matching-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One question about some indices; without category and timestamp it asks for the number of documents only."""

    category: Category | None
    shards: Mapping[str, int]
    """How many shards each of its indices has, all of which must answer."""
    timestamp: Mapped | None
    fields: tuple[str, ...] = ()
    """Fields of which it is asked how many documents hold them, also with a value that was not indexed."""
    matches: tuple[Match, ...] = ()
    """What the documents of the subjects asked for look like, to be counted."""
    spelled: tuple[Match, ...] = ()
    """What those look like that have the same ids as numbers in another spelling."""
    horizon: int = 0
    """For how long ahead it is counted what becomes due, in milliseconds; 0: not at all."""
    since: int | None = None
    """The instant since which it is counted what became due; None: not at all."""
    most_terms: int = MOST_TERMS
    """Values in one `terms` query, as these indices allow."""

    @property
    def pairs(self) -> tuple[Match, ...]:
        """Those of which a document with several ids of one kind is none."""
        return tuple(match for match in self.matches if match.single)

    @property
    def labels(self) -> tuple[str, ...]:
        """Whose documents these are."""
        return tuple(sorted({match.label for match in self.matches}))


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsSeen:
    """The documents of one index. Instants in milliseconds."""

    documents: int = 0
    having: int = 0
    """Documents that have the timestamp, whatever stands in it."""
    dated: int = 0
    values: int = 0
    """Timestamps in the dated documents; more than documents where one has several."""
    oldest: int | None = None
    """The end of the period that the oldest names."""
    newest: int | None = None
    due: int = 0
    """Documents whose period has ended before they are due."""
    overdue: int = 0
    """Documents whose period began before the limit."""
    coming: int = 0
    """Documents that become due within the horizon."""
    lately: int = 0
    """Documents that became due since the look before."""
    still: int = 0
    """Documents that become due within the horizon of the look before."""
    matching: int = 0
    """Documents of the subjects asked for."""
    matching_labels: frozenset[str] = frozenset()
    """The labels of those of these subjects of which there are documents."""
    matching_due: int = 0
    several: bool = False
    """Whether any of these may name several of one kind of a pair."""
    spelled: int = 0
    """Documents with the same ids in another spelling."""
    holding: tuple[int, ...] = ()
    """Documents that hold each of the fields asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the searches said: an index stands in one of the three, an empty one in none."""

    seen: dict[str, DocumentsSeen] = field(default_factory=dict)
    unknown: dict[str, Cause] = field(default_factory=dict)
    """Why nothing is known of an index."""
    gone: set[str] = field(default_factory=set)
    """Indices that were deleted or closed meanwhile."""
    unasked: dict[str, Cause] = field(default_factory=dict)
    """Why an index was asked for everything but the times of its documents: by these it is not searched."""


def search_documents(
    client: Elasticsearch, policy: Policy, searches: Iterable[Search], now: int, limits: Limits
) -> Answer:
    """Return what all searches say. Raises as `ask_about`."""
    searches = tuple(searches)
    answer = _ask(client, policy, searches, now, limits)
    # What a cluster refuses to look at by a pattern it may tell without.
    refused = [
        replace(search, timestamp=None, shards={n: s for n, s in search.shards.items() if n in answer.unknown})
        for search in searches
        if search.timestamp is not None and search.timestamp.timestamp.is_pattern
    ]
    without = _ask(client, policy, [search for search in refused if search.shards], now, limits)
    asked = {name for search in refused for name in search.shards} - without.unknown.keys() - without.gone
    answer.unasked.update({name: answer.unknown.pop(name) for name in asked})
    answer.seen.update(without.seen)
    answer.gone.update(without.gone)
    return answer


def _ask(client: Elasticsearch, policy: Policy, searches: Iterable[Search], now: int, limits: Limits) -> Answer:
    answer, refusals = Answer(), Refusals()
    questions = (
        Question(indices=search.shards, query=None, inner=_inner(search, policy, now), about=search)
        for search in searches
    )
    for search, found in ask_about(client, questions, limits, refusals):
        answer.seen.update({name: _seen(bucket, search) for name, bucket in found.items()})
    answer.unknown.update(refusals.causes)
    answer.gone.update(refusals.gone)
    return answer


def _inner(search: Search, policy: Policy, now: int) -> dict[str, Any]:
    inner = {f"{_HOLDING}{number}": counted(holds(field)) for number, field in enumerate(search.fields)}
    if search.timestamp is not None and search.category is not None:
        inner["having"] = counted(holds(search.timestamp.field))
        inner["dated"] = _dated(search, search.category, search.timestamp, policy, now)
    if search.matches:
        due = None
        if search.timestamp is not None and search.category is not None and search.category.max_age is not None:
            first, _ = dated_between(search.timestamp, policy, now)
            cut = due_before(search.category, policy.margin, now)
            due = {"due": counted(between(search.timestamp, gte=first, lt=cut))}
        inner["matching"] = counted(_any_of(search, search.matches), due)
        if search.pairs:
            inner["pairs"] = _pairs(search)
    if 1 < len(search.labels) <= _MOST_LABELS:
        for number, label in enumerate(search.labels):
            theirs = [match for match in search.matches if match.label == label]
            inner[f"{_MATCHING}{number}"] = counted(_any_of(search, theirs))
    if search.spelled:
        inner["spelled"] = counted(_any_of(search, search.spelled))
    return inner


def _any_of(search: Search, matches: Iterable[Match]) -> dict[str, Any]:
    return query_of_any(matches, search.most_terms)


def _dated(search: Search, category: Category, timestamp: Mapped, policy: Policy, now: int) -> dict[str, Any]:
    first, end = dated_between(timestamp, policy, now)
    values = {"value_count": {"field": timestamp.field}}
    inner = {"oldest": oldest(timestamp), "newest": newest(timestamp), "values": values}
    if category.max_age is not None:
        cut, passed_limit = due_before(category, policy.margin, now), overdue_before(category, now)
        ranges = {"due": (first, cut), "overdue": (first, passed_limit + timestamp.timestamp.width - 1)}
        if search.horizon:
            ranges["coming"] = (cut, cut + search.horizon)
        if search.since is not None:
            passed = now - search.since
            ranges["lately"] = (cut - passed, cut)
            ranges["still"] = (cut, max(cut, cut + search.horizon - passed))
        inner |= {name: counted(spanning(timestamp, gte=gte, lt=lt)) for name, (gte, lt) in ranges.items()}
    return counted(between(timestamp, gte=first, lt=end), inner)


def dated_between(timestamp: Mapped, policy: Policy, now: int) -> tuple[int, int]:
    """Return from which instant on, and before which, the end of what a value names has to lie to be believed.

    What is held against the first and the last instant that are believed is where it begins.
    """
    first, last = believable(policy, now)
    later = timestamp.timestamp.width - 1
    return first + later, last + later + 1


def _pairs(search: Search) -> dict[str, Any]:
    """Return what counts the documents of pairs, and the values in the plain fields of each kind."""
    values = {
        name: {"value_count": {"field": where.name}}
        for kind in _counted_kinds(search.pairs)
        for name, where in kind.items()
        if where.plain
    }
    return counted(_any_of(search, search.pairs), values)


def _several(pairs: Mapping[str, Any], matches: Sequence[Match]) -> bool:
    """Whether any document of a pair may name more than one of a kind.

    That is counted where each value is an id; elsewhere any may, and it is looked at closer.
    """
    documents = pairs["documents"]["value"]
    if not documents:
        return False
    return any(
        not all(where.plain for where in kind.values()) or sum(pairs[name]["value"] for name in kind) != documents
        for kind in _counted_kinds(matches)
    )


def _counted_kinds(matches: Sequence[Match]) -> list[dict[str, ExactField]]:
    """Return the places of each kind that pairs are told by, under the names of their counts."""
    kinds = dict.fromkeys(part.fields for match in matches for part in match.parts)
    return [{f"values-{k}-{n}": where for n, where in enumerate(fields)} for k, fields in enumerate(kinds)]


def _seen(bucket: Mapping[str, Any], search: Search) -> DocumentsSeen:
    dated = bucket.get("dated", {})
    return DocumentsSeen(
        documents=count_in(bucket),
        having=count_in(bucket, "having"),
        dated=count_in(bucket, "dated"),
        values=int(dated.get("values", {}).get("value") or 0),
        oldest=instant_in(search.timestamp, dated.get("oldest", {})) if search.timestamp else None,
        newest=instant_in(search.timestamp, dated.get("newest", {})) if search.timestamp else None,
        due=count_in(bucket, "dated", "due"),
        overdue=count_in(bucket, "dated", "overdue"),
        coming=count_in(bucket, "dated", "coming"),
        lately=count_in(bucket, "dated", "lately"),
        still=count_in(bucket, "dated", "still"),
        matching=count_in(bucket, "matching"),
        matching_labels=frozenset(_matching_labels(bucket, search)),
        matching_due=count_in(bucket, "matching", "due"),
        spelled=count_in(bucket, "spelled"),
        several=_several(bucket["pairs"], search.pairs) if "pairs" in bucket else False,
        holding=tuple(count_in(bucket, f"{_HOLDING}{number}") for number in range(len(search.fields))),
    )


def _matching_labels(bucket: Mapping[str, Any], search: Search) -> Iterator[str]:
    if not count_in(bucket, "matching"):
        return
    for number, label in enumerate(search.labels):
        if f"{_MATCHING}{number}" not in bucket or count_in(bucket, f"{_MATCHING}{number}"):
            yield label
