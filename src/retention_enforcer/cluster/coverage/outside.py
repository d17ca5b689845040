"""Looks past the policy: whose every index of the cluster is, and which of those outside hold what seem to be copies.

Copies are known by content, since metadata forgets: a clone loses the name of its source once its shards have
recovered, and a reindexed copy never had one. In few requests, for any number of indices: what there is, the types
of the fields by which categories know their documents, and one search.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Cause, Refusals
from retention_enforcer.cluster.changes import ATTEMPTS, GONE
from retention_enforcer.cluster.errors import SECURITY
from retention_enforcer.cluster.expressions import by_fields
from retention_enforcer.cluster.indices.ages import mapped_as
from retention_enforcer.cluster.indices.contents import Answer, DocumentsSeen, Search, search_documents
from retention_enforcer.cluster.indices.identities import IndexIdentities, read_identities
from retention_enforcer.cluster.indices.metadata import IndexMetadata
from retention_enforcer.cluster.indices.statistics import FieldTypes, read_types
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.coverage.findings import CoverageFacts, IndexSeen, SuspectedCopy
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.policy.claims import IndexOwner, claimants_by_name
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.timestamps import Mapped

_UNREAD = Cause("the enforcer is not allowed to read it")


class Coverage:
    """Reads the whole cluster; changes nothing."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities, own: OwnIndices) -> None:
        self._client = client
        self._capabilities = capabilities
        self._own = own

    def read(self, policy: Policy, now: int) -> CoverageFacts:
        """Return whose each index is, and which of those outside the policy seem to be copies.

        Needs the cluster privilege `monitor`, and `read` on the indices outside the policy: one that may not be read
        is among the unseen, and so is each that cannot be looked into, with its cause. Raises ClusterUnavailable or
        RequestRejected where the cluster does not answer at all.
        """
        identities = read_identities(self._client, self._capabilities, policy, self._own)
        seen, unseen, copies = self._look_into(policy, identities, now)
        for _ in range(ATTEMPTS - 1):
            if GONE not in unseen.values():
                break
            identities = read_identities(self._client, self._capabilities, policy, self._own)
            seen, unseen, copies = self._look_into(policy, identities, now)
        return CoverageFacts(
            as_of=now,
            indices=tuple(
                _index_seen(identities, name, seen[name].documents if name in seen else None)
                for name in sorted(identities.metadata)
            ),
            copies=copies,
            unseen=unseen,
        )

    def whereabouts(self, policy: Policy) -> tuple[IndexSeen, ...]:
        """Return whose each index is, without looking into any."""
        identities = read_identities(self._client, self._capabilities, policy, self._own)
        return tuple(_index_seen(identities, name) for name in sorted(identities.metadata))

    def _look_into(
        self, policy: Policy, identities: IndexIdentities, now: int
    ) -> tuple[dict[str, DocumentsSeen], dict[str, str], tuple[SuspectedCopy, ...]]:
        """Return the documents of the indices outside, why some cannot be seen, and the suspected copies."""
        metadata = identities.metadata
        outside = {
            n: i for n, i in identities.outside().items() if identities.claims[n].standing is not IndexOwner.IGNORED
        }
        readable = {name: index for name, index in outside.items() if index.why_unreadable is None}
        unseen = {name: index.why_unreadable for name, index in outside.items() if index.why_unreadable is not None}
        refusals = Refusals()
        types = self._types(policy, readable, identities, refusals)
        unseen |= {n: refusals.causes.get(n, _UNREAD).text for n in readable if n not in types.indices}
        suspects = {
            name: suspicion
            for name, index in readable.items()
            if name in types.indices and (suspicion := _suspicion(policy, index, types)) is not None
        }
        searches = list(_searches(readable.keys() & types.indices, suspects, metadata))
        try:
            answer = search_documents(self._client, policy, searches, now, self._capabilities.limits())
        except RequestRejected as error:
            if error.kind != SECURITY:
                raise
            # The types of fields can be had with fewer privileges than documents; it does not say of which index.
            answer = Answer(
                seen={}, unknown=dict.fromkeys((n for s in searches for n in s.shards), Cause(error.message))
            )
        unseen |= {**{name: cause.text for name, cause in answer.unknown.items()}, **dict.fromkeys(answer.gone, GONE)}
        seen = {name: DocumentsSeen() for search in searches for name in search.shards if name not in unseen}
        seen |= answer.seen
        copies = tuple(
            _copy(readable[name], suspicion, seen[name])
            for name, suspicion in sorted(suspects.items())
            if name in seen and seen[name].documents
        )
        return seen, unseen, copies

    def _types(
        self, policy: Policy, readable: Mapping[str, IndexMetadata], identities: IndexIdentities, refusals: Refusals
    ) -> FieldTypes:
        """Return the types of the fields by which the categories know their documents, in the readable indices."""
        fields = {field for category in policy.categories for field in _known_by(category)}
        if not readable:
            return FieldTypes(indices=frozenset(), types={})
        metadata = identities.metadata
        avoid = {name for name, index in metadata.items() if index.system or index.why_unreadable is not None}
        pages = by_fields(dict.fromkeys(readable, fields), list)
        asked = ((identities.covering(names, avoid), some) for names, some in pages)
        return read_types(self._client, asked, refusals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suspicion:
    """Whose documents an index outside the policy seems to hold."""

    categories: tuple[Category, ...]
    origin: str | None
    timestamp: Mapped | None
    """That of the first category as it is mapped there; None where it has no times by which anything can be told."""


def _suspicion(policy: Policy, index: IndexMetadata, types: FieldTypes) -> _Suspicion | None:
    """Return whose an index seems to be: the category of its origin, else those with the most fields in common."""
    origin = index.origin if index.origin and claimants_by_name(policy, index.origin) else None
    if origin is not None:
        categories = [policy.category(id_) for id_ in claimants_by_name(policy, origin)]
    else:
        alike = [c for c in policy.categories if _has_all_fields(c, index.name, types)]
        most = max((len(c.subjects.kinds) for c in alike), default=0)
        categories = [c for c in alike if len(c.subjects.kinds) == most]
    if not categories:
        return None
    timestamp = categories[0].timestamp
    mapped = mapped_as(timestamp, types.of(timestamp.field, index.name)) if timestamp is not None else None
    return _Suspicion(categories=tuple(categories), origin=origin, timestamp=mapped)


def _has_all_fields(category: Category, name: str, types: FieldTypes) -> bool:
    """Whether an index has the timestamp of a category, and names all its kinds of subjects in one of their places.

    A timestamp alone says nothing.
    """

    def has(*fields: str) -> bool:
        return all(types.of(field, name) is not None for field in fields)

    timestamp = category.timestamp
    named = all(any(has(*place.fields) for place in places) for places in category.subjects.kinds)
    return bool(category.subjects) and named and (timestamp is None or has(timestamp.field))


def _known_by(category: Category) -> tuple[str, ...]:
    """Return the fields by which the documents of a category are known."""
    times = () if category.timestamp is None else (category.timestamp.field,)
    return (*times, *category.subjects.fields)


def _searches(
    readable: Collection[str], suspects: Mapping[str, _Suspicion], metadata: Mapping[str, IndexMetadata]
) -> Iterator[Search]:
    """Yield one search for each category whose documents are suspected, and one that only counts the others."""
    groups: dict[tuple[str, Mapped | None], list[str]] = {}
    first = {suspicion.categories[0].id: suspicion.categories[0] for suspicion in suspects.values()}
    for name in sorted(readable):
        suspicion = suspects.get(name)
        timestamp = suspicion.timestamp if suspicion else None
        category = suspicion.categories[0].id if suspicion and timestamp else ""
        groups.setdefault((category, timestamp), []).append(name)
    for (id_, timestamp), names in groups.items():
        yield Search(
            category=first.get(id_),
            shards={name: metadata[name].shards for name in names},
            timestamp=timestamp,
        )


def _copy(index: IndexMetadata, suspicion: _Suspicion, seen: DocumentsSeen) -> SuspectedCopy:
    return SuspectedCopy(
        name=index.name,
        uuid=index.uuid,
        created=index.created,
        categories=tuple(category.id for category in suspicion.categories),
        origin=suspicion.origin,
        documents=seen.documents,
        oldest=_at_the_earliest(seen, suspicion.timestamp),
        overdue=seen.overdue,
    )


def _at_the_earliest(seen: DocumentsSeen, timestamp: Mapped | None) -> int | None:
    """Return from when the oldest document may be."""
    return None if seen.oldest is None or timestamp is None else seen.oldest - timestamp.timestamp.width + 1


def _index_seen(identities: IndexIdentities, name: str, documents: int | None = None) -> IndexSeen:
    index, identity = identities.metadata[name], identities.identities[name]
    return IndexSeen(
        name=name,
        uuid=index.uuid,
        claim=identities.claims[name],
        created=index.created,
        documents=documents,
        names=tuple(dict.fromkeys((*identity.names, *identity.aliases, *identity.taken_over))),
        origin=index.origin,
    )
