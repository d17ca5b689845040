"""The facts of categories, read in a number of requests that does not grow with the number of indices.

    what there is      streams, the cluster's state, aliases     -> whose each index is, and which cannot be read
    make it visible    refresh
    what it holds      counts, types of the timestamps, one search
    what is in doubt   an index of which anything is missing or does not fit is set apart, alone

Nothing is changed but that what was written becomes visible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Cause, Refusals
from retention_enforcer.cluster.changes import ATTEMPTS, IndicesChanged
from retention_enforcer.cluster.expressions import Batch, by_fields
from retention_enforcer.cluster.indices import doubts
from retention_enforcer.cluster.indices.ages import ages_unknown, mapped_as
from retention_enforcer.cluster.indices.contents import Answer, DocumentsSeen, Search, search_documents
from retention_enforcer.cluster.indices.forbidden import Expressions, read_forbidden
from retention_enforcer.cluster.indices.statistics import (
    FieldTypes,
    IndexStatistics,
    count,
    read_computed,
    read_types,
    read_write_aliases,
    refresh,
)
from retention_enforcer.cluster.indices.survey import Governed, Survey, by_category, sort_out, survey
from retention_enforcer.cluster.preflight import Capabilities, cluster_facts
from retention_enforcer.cluster.subjects.matches import (
    DocumentMatches,
    match_documents,
    tell_pairs_apart,
    tell_spellings,
)
from retention_enforcer.domain.deadlines import due_before, overdue_before
from retention_enforcer.domain.expiry.own_age import own_age, quiet_since
from retention_enforcer.domain.facts import (
    Ageless,
    Block,
    CategoryFacts,
    ClusterFacts,
    Evidence,
    ForbiddenField,
    IndexFacts,
)
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.query import SubjectQuery
from retention_enforcer.domain.timestamps import Mapped


class Inventory:
    """Reads facts; changes nothing (but refreshes, so that what was written is seen)."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities | None = None, horizon: int = 0) -> None:
        """Make one that counts, too, what becomes due within `horizon` (milliseconds)."""
        self._client = client
        self._capabilities = capabilities or Capabilities(client)
        self._horizon = horizon

    def cluster(self) -> ClusterFacts:
        """Return who the cluster is and what time it has."""
        return cluster_facts(self._client)

    def observe(
        self,
        policy: Policy,
        categories: Sequence[Category],
        now: int,
        evidence: Mapping[str, Evidence],
        queries: Sequence[SubjectQuery] = (),
        looks: Mapping[str, int] | None = None,
    ) -> dict[str, CategoryFacts]:
        """Return the facts of each category, by its id; `evidence` is by the index's uuid.

        `looks` says when each category was looked at before, under the same policy, as far as it was.

        At most eight requests, and four a minute for what security hides and which limits hold, for any number of
        indices in categories with a wildcard each; more only where names or fields do not fit into one URL, or an index
        cannot be kept out of a wildcard otherwise (see `expressions`), two for indices that hold more documents than
        can be seen, and one for those with documents of which none has the timestamp. A category that forbids fields
        costs up to four more; subjects that are asked for five; lifecycles that are not those of this policy for one.
        An index that cannot be looked into is set apart, by itself, and changes nothing for the others: halves of a
        request that is refused cost two more for each doubling. Raises ClusterUnavailable or RequestRejected where the
        cluster does not answer at all.
        """
        silent: frozenset[str] = frozenset()
        ahead = _Ahead(horizon=self._horizon, now=now, looks=looks or {})
        for attempt in range(ATTEMPTS):
            observation = _Observation(
                client=self._client,
                capabilities=self._capabilities,
                policy=policy,
                now=now,
                silent=silent if attempt < ATTEMPTS - 1 else None,
                queries=queries,
                ahead=ahead,
            )
            try:
                return observation.of(categories, evidence)
            except IndicesChanged as changed:
                silent |= changed.uuids
        raise AssertionError("the last attempt sets apart what changes")


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of all governed indices."""

    counts: Mapping[str, IndexStatistics]
    answer: Answer
    subjects: DocumentMatches
    write_aliases: Mapping[str, tuple[str, ...]]
    evidence: Mapping[str, Evidence]
    ageless: Mapping[str, Ageless]
    types: FieldTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ahead:
    """What is counted so that the next look knows what was foreseen."""

    horizon: int
    now: int
    looks: Mapping[str, int]

    def since(self, category: str) -> int | None:
        """Return since when it is counted what became due: from the look before, where that is near."""
        at = self.looks.get(category)
        return at if at is not None and 0 <= self.now - at <= self.horizon else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observation:
    """One attempt. `silent` are the uuids of indices that did not answer in an earlier one; None for the last."""

    client: Elasticsearch
    capabilities: Capabilities
    policy: Policy
    now: int
    silent: frozenset[str] | None
    queries: Sequence[SubjectQuery]
    ahead: _Ahead

    def of(self, categories: Sequence[Category], evidence: Mapping[str, Evidence]) -> dict[str, CategoryFacts]:
        found = survey(self.client, self.capabilities, self.policy, categories)
        self._raise_if_new(found.not_shown)
        doubtful = doubts.Doubts(found)
        doubtful.of_restrictions(self.capabilities.restrictions())
        write_aliases = self._write_aliases(found)
        # Counted before the refresh: what is written from here on has a higher sequence number than the one that is
        # planned with, whether or not the search below sees it. A count that is too high is taken again.
        counts = self._counts(found, doubtful)
        self._refresh(found, doubtful)
        types = self._types(found, doubtful)
        computed = self._computed(found, doubtful)
        subjects = self._match_documents(found, doubtful.none_about(found.governed))
        answer = self._search(found, doubtful, types, computed, subjects)
        tell_pairs_apart(self.client, subjects, answer)
        tell_spellings(self.client, subjects, answer)
        doubtful.of_invisible_documents(self.client, counts, answer)
        ageless = ages_unknown(self.client, doubtful.none_about(found.governed), types, computed, answer, evidence)
        forbidden = self._forbidden(categories, found)
        return {
            category.id: CategoryFacts(
                category=category.id,
                as_of=self.now,
                indices=tuple(
                    self._facts(index, _Read(counts, answer, subjects, write_aliases, evidence, ageless, types))
                    for index in by_category(doubtful.none_about(found.governed)).get(category.id, [])
                ),
                set_apart=doubtful.about(category.id),
                indistinguishable={
                    n: those
                    for n, those in subjects.indistinguishable.items()
                    if found.governed[n].category.id == category.id
                },
                forbidden=forbidden.get(category.id, ()),
                taken_over=found.taken_over[category.id],
                excluded=tuple(sorted(n for n, c in found.identities.claims.items() if category.id in c.excluded_from)),
                looked_at=self.ahead.looks.get(category.id),
                horizon=self.ahead.horizon,
            )
            for category in categories
        }

    def _write_aliases(self, found: Survey) -> Mapping[str, tuple[str, ...]]:
        """Return which aliases write to which index; one of which that is refused counts as written to."""
        having = {name: g for name, g in found.governed.items() if g.metadata.aliases and not _counts_blocked(g)}
        asked = self._expressions(found, having, _metadata_blocked(found))
        return read_write_aliases(self.client, asked, Refusals())

    def _counts(self, found: Survey, doubtful: doubts.Doubts) -> dict[str, IndexStatistics]:
        """Return the counts of all governed indices but those with a metadata block, which give none."""
        refusals = Refusals()
        wanted = {name: g for name, g in found.governed.items() if not _counts_blocked(g)}
        counts = count(self.client, self._expressions(found, wanted, _metadata_blocked(found)), refusals)
        missing = {n: g for n, g in wanted.items() if n not in counts or counts[n].uuid != g.metadata.uuid}
        missing = {n: g for n, g in missing.items() if n not in refusals.causes}
        doubtful.of_causes(refusals.causes)
        self._raise_if_new(g.metadata.uuid for g in missing.values())
        doubtful.of_counts(missing, counts)
        return counts

    def _refresh(self, found: Survey, doubtful: doubts.Doubts) -> None:
        refusals = Refusals()
        refresh(self.client, self._expressions(found, _live(found), _not_to_refresh(found)), found.metadata, refusals)
        doubtful.of_causes(refusals.causes)

    def _types(self, found: Survey, doubtful: doubts.Doubts) -> FieldTypes:
        refusals = Refusals()
        dated = {name: g.category.timestamp for name, g in found.governed.items() if g.category.timestamp is not None}
        wanted = {name: (timestamp.field,) for name, timestamp in dated.items()}
        asked = (
            (self._expressions(found, names, _unsearchable(found)), fields) for names, fields in by_fields(wanted, list)
        )
        types = read_types(self.client, asked, refusals)
        doubtful.of_causes(refusals.causes)
        # Also where it is in doubt already: what went meanwhile is in doubt for what it did not answer before.
        silent = {n: t.field for n, t in dated.items() if n not in types.indices and n not in refusals.causes}
        self._raise_if_new(found.governed[name].metadata.uuid for name in silent)
        doubtful.of_causes({n: Cause(f"the type of {field} is unknown") for n, field in silent.items()})
        return types

    def _computed(self, found: Survey, doubtful: doubts.Doubts) -> dict[str, dict[str, str]]:
        """Return why timestamps are not the mapped ones; what a metadata block hides is not known of."""
        refusals = Refusals()
        blocked = _metadata_blocked(found)
        unreadable = _unsearchable(found) | blocked
        readable = {name: governed for name, governed in found.governed.items() if name not in unreadable}
        asked = self._expressions(found, readable, blocked)
        computed = read_computed(self.client, asked, _timestamp_fields(readable), refusals)
        doubtful.of_causes(refusals.causes)
        return computed

    def _raise_if_new(self, missing: Iterable[str]) -> None:
        """Look again where an index does not answer that did, or might have, in an earlier attempt: it may be gone."""
        missing = frozenset(missing)
        if self.silent is not None and not missing <= self.silent:
            raise IndicesChanged(missing)

    def _match_documents(self, found: Survey, clear: Mapping[str, Governed]) -> DocumentMatches:
        """Return the documents of the subjects asked for; an index with a hidden mapping cannot tell them apart."""
        avoid = _unsearchable(found) | _metadata_blocked(found)

        def reach(names: Collection[str]) -> Iterator[Batch]:
            return self._expressions(found, set(names) - avoid, avoid)

        return match_documents(self.client, self.queries, clear, reach, self.capabilities.limits())

    def _search(
        self,
        found: Survey,
        doubtful: doubts.Doubts,
        types: FieldTypes,
        computed: Mapping[str, Mapping[str, str]],
        subjects: DocumentMatches,
    ) -> Answer:
        searches = []
        clear = doubtful.none_about(found.governed)
        for indices in by_category(clear).values():
            category = indices[0].category
            groups: dict[tuple[Any, ...], dict[str, int]] = {}
            for index in (g.metadata for g in indices):
                asked = (
                    _told_by(category, index.name, types, computed),
                    subjects.matches.get(index.name, ()),
                    subjects.spelled.get(index.name, ()),
                    index.most_terms,
                )
                groups.setdefault(asked, {})[index.name] = index.shards
            for (timestamp, matches, spelled, most_terms), shards in groups.items():
                searches.append(
                    Search(
                        category=category,
                        shards=shards,
                        timestamp=timestamp,
                        matches=matches,
                        spelled=spelled,
                        horizon=self.ahead.horizon,
                        since=self.ahead.since(category.id),
                        most_terms=most_terms,
                    )
                )
        answer = search_documents(self.client, self.policy, searches, self.now, self.capabilities.limits())
        self._raise_if_new(found.governed[name].metadata.uuid for name in answer.gone)
        failed = answer.unknown.items()
        doubtful.of_causes({name: Cause(f"the search failed: {why.text}", why.remedy) for name, why in failed})
        doubtful.of_causes(dict.fromkeys(answer.gone, Cause("each time it was read, it was gone or closed")))
        return answer

    def _forbidden(self, categories: Sequence[Category], found: Survey) -> dict[str, tuple[ForbiddenField, ...]]:
        """Return what the categories that forbid fields forbid, in the indices of all categories.

        An index in doubt is left to the category that it belongs to: nothing in it is proven anyway.
        """
        forbidding = [category for category in categories if category.forbids_fields]
        if not forbidding:
            return {}
        every = self.policy.categories
        if len(categories) < len(every):
            found = sort_out(self.client, self.policy, every, found.identities)
        reach = Expressions(
            searchable=list(self._expressions(found, found.governed, _unsearchable(found))),
            mappings=list(self._expressions(found, _mapping_readable(found), _metadata_blocked(found))),
        )
        limits = self.capabilities.limits()
        return read_forbidden(self.client, self.policy, forbidding, found.governed, reach, now=self.now, limits=limits)

    def _expressions(self, found: Survey, wanted: Collection[str], avoid: Collection[str]) -> Iterator[Batch]:
        return found.identities.covering(wanted, avoid, found.expressions)

    def _facts(self, governed: Governed, read: _Read) -> IndexFacts:
        counts, answer, subjects, evidence = read.counts, read.answer, read.subjects, read.evidence
        ageless = read.ageless.get(governed.metadata.name)
        index, member = governed.metadata, governed.member
        seen, counted = answer.seen.get(index.name, DocumentsSeen()), counts.get(index.name)
        written_by = read.write_aliases.get(index.name)
        # Where it cannot be told which aliases write to it, it is taken for a write index: it is not deleted whole.
        written = bool(index.aliases) if written_by is None else bool(written_by)
        facts = replace(
            governed.facts(seen.documents),
            bytes=counted.bytes if counted else 0,
            sequence_numbers=counted.sequence_numbers if counted else (),
            failure_store=member.failure_store if member else False,
            write_index=written or (member is not None and member.write_index),
            write_aliases=written_by or (),
            hidden=index.hidden,
            end_time=index.end_time,
            lifecycle=governed.foreign_lifecycle,
            exempt=index.exemption is not None,
            matches=subjects.matches.get(index.name, ()),
            matching_documents=seen.matching,
            matching_labels=seen.matching_labels,
            ageless=ageless,
            evidence=evidence.get(index.uuid),
            origin=index.origin,
            resized=index.resized,
        )
        if governed.category.timestamp is None:
            return self._of_own_age(governed, facts)
        timestamp = mapped_as(governed.category.timestamp, read.types.of(governed.category.timestamp.field, index.name))
        if ageless is not None or timestamp is None:
            return facts
        imprecision = timestamp.timestamp.width - 1
        return replace(
            facts,
            timestamp=timestamp,
            imprecision=imprecision,
            oldest=None if seen.oldest is None else seen.oldest - imprecision,
            newest=seen.newest,
            due=seen.due,
            overdue=seen.overdue,
            undated=seen.documents - seen.dated,
            matching_due=seen.matching_due,
            coming=seen.coming,
            lately=seen.lately,
            still=seen.still,
        )

    def _of_own_age(self, governed: Governed, facts: IndexFacts) -> IndexFacts:
        """Return the facts of an index whose documents have no timestamp, on purpose."""
        category, index = governed.category, governed.metadata
        stream = facts.stream if not facts.write_index else None
        rolled_over = index.rollovers.get(stream) if stream is not None else None
        quiet = quiet_since(
            facts.evidence, facts.sequence_numbers, facts.documents, rolled_over=rolled_over, now=self.now
        )
        facts = replace(facts, quiet_since=quiet, undated=0)
        if category.max_age is None or not facts.documents:
            return facts
        age = own_age(category, index.created, quiet, self.now)
        cut, horizon = due_before(category, self.policy.margin, self.now), self.ahead.horizon
        since = self.ahead.since(category.id)
        passed = None if since is None else self.now - since
        due = age.counts_from < cut

        def all_if(yes: bool) -> int:
            return facts.documents if yes else 0

        return replace(
            facts,
            oldest=age.created,
            newest=age.newest,
            imprecision=age.counts_from - age.created,
            due=all_if(due),
            overdue=all_if(age.created < overdue_before(category, self.now)),
            matching_due=facts.matching_documents if due else 0,
            coming=all_if(age.within(cut, cut + horizon)),
            lately=all_if(passed is not None and age.within(cut - passed, cut)),
            still=all_if(passed is not None and age.within(cut, cut + horizon - passed)),
        )


def _timestamp_fields(governed: Mapping[str, Governed]) -> set[str]:
    return {g.category.timestamp.field for g in governed.values() if g.category.timestamp is not None}


def _told_by(
    category: Category, name: str, types: FieldTypes, computed: Mapping[str, Mapping[str, str]]
) -> Mapped | None:
    """Return by what an index tells when its documents are from; None where nothing does, or is meant to."""
    timestamp = category.timestamp
    if timestamp is None or timestamp.field in computed.get(name, {}):
        return None
    return mapped_as(timestamp, types.of(timestamp.field, name))


def _counts_blocked(governed: Governed) -> bool:
    return Block.METADATA in governed.metadata.blocks


def _metadata_blocked(found: Survey) -> set[str]:
    """Return the indices for which statistics and aliases of all would be refused."""
    return {name for name, index in found.metadata.items() if Block.METADATA in index.blocks}


def _mapping_readable(found: Survey) -> set[str]:
    return found.governed.keys() - _metadata_blocked(found)


def _unassigned(found: Survey) -> set[str]:
    """Return the indices on which a refresh would wait for a minute."""
    return {name for name, index in found.metadata.items() if index.open and not index.assigned}


def _live(found: Survey) -> set[str]:
    """Return the governed indices that can be refreshed: a mounted one cannot, and never changes."""
    return {name for name, governed in found.governed.items() if not governed.metadata.mounted}


def _not_to_refresh(found: Survey) -> set[str]:
    """Return what must not be refreshed with them: how many copies of shards took part is held against theirs."""
    return _unassigned(found) | (found.metadata.keys() - _live(found))


def _unsearchable(found: Survey) -> set[str]:
    """Return the indices for which the types of all would be refused.

    A closed one is not reached by a wildcard, but by its stream's or alias's name: refused with 403 (seen on 8.10).
    """
    closed = {name for name, i in found.metadata.items() if not i.open and found.identities.other_names(name)}
    return _unassigned(found) | closed | {name for name, index in found.metadata.items() if index.read_blocked}
