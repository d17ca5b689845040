"""Which applications belong to an account, by the documents that name both.

Two questions, with unlike answers. What a hold on an account must spare is each application that any document ever
names together with it. What an account takes along when it ends is only what certainly belongs to it now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import GONE, from_answer, raise_if_partial, translated
from retention_enforcer.cluster.expressions import batches
from retention_enforcer.cluster.indices.contents import dated_between
from retention_enforcer.cluster.inventory import Inventory
from retention_enforcer.cluster.limits import Limits, most_terms
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.cluster.searches import count_in, counted, within
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.cluster.subjects.fields import read_subject_fields
from retention_enforcer.cluster.timestamp_queries import between, instant_in, newest
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.facts import Block, CategoryFacts, IndexFacts
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.identity import (
    AnyOf,
    Condition,
    ExactField,
    Inexact,
    Match,
    Naming,
    Ownership,
    decide_owners,
    subject_of,
)
from retention_enforcer.domain.timestamps import Mapped

PAGE = 1_000
"""Pairs of account and application in one answer, where the cluster allows as many buckets."""


def applications_of(
    client: Elasticsearch,
    policy: Policy,
    accounts: Collection[str],
    now: int,
    capabilities: Capabilities | None = None,
) -> dict[str, frozenset[str]]:
    """Return, for each of these accounts, every application that a document of an `owns` category names with it.

    More than it owns, for holds: also applications that others own today, and ids as malformed as documents have
    them. Raises as `owners_of`.
    """
    reader = _Reader(client, policy, now)
    return _named_with(reader, _sources(client, policy, now, capabilities), _checked(accounts))


def owners_of(
    client: Elasticsearch,
    policy: Policy,
    accounts: Collection[str],
    now: int,
    capabilities: Capabilities | None = None,
    also: Collection[str] = (),
) -> Ownership:
    """Return what certainly belongs to each of these accounts: the applications whose newest document names it.

    Asked are all applications that are named with an account, and `also` these.

    The newest by the category's timestamp, as far as it is believed. The indices are refreshed first. Raises Refused
    where an index cannot be read, or cannot be asked for exactly an account and its applications; ClusterUnavailable
    or RequestRejected where the cluster does not answer for all of it; ConfigurationError for a malformed id.
    """
    asked = _checked(accounts)
    reader, sources = _Reader(client, policy, now), _sources(client, policy, now, capabilities)
    candidates = sorted(set(also).union(*_named_with(reader, sources, asked).values()))
    namings: list[Naming] = []
    doubts: dict[str, str] = {}
    for source in sources:
        wanted = []
        for application in candidates:
            condition = source.application.condition(application)
            if isinstance(condition, Inexact):
                doubts[application] = condition.reason
            elif condition is not None:
                wanted.append(_having(condition))
        # All accounts that are named with them: that of the newest document may be another one.
        namings += reader.namings(source, wanted)
    chosen = set(candidates)  # a document may name others beside
    return decide_owners(asked, [n for n in namings if n.application in chosen], doubts)


def _checked(accounts: Collection[str]) -> tuple[str, ...]:
    return tuple(subject_of(account=account).id for account in accounts)


def _named_with(reader: _Reader, sources: Iterable[_Source], accounts: Sequence[str]) -> dict[str, frozenset[str]]:
    named: dict[str, set[str]] = {account: set() for account in accounts}
    for source in sources:
        wanted = []
        for account in accounts:
            condition = source.account.condition(account)
            if isinstance(condition, Inexact):
                raise _refused(source.names[0], condition)
            if condition is not None:
                wanted.append(_having(condition))
        for naming in reader.namings(source, wanted):
            if naming.account in named:
                named[naming.account].add(naming.application)
    return {account: frozenset(applications) for account, applications in named.items()}


def _having(condition: Condition) -> Match:
    return Match(parts=(AnyOf(fields=(condition.where,), conditions=(condition,)),))


# --- where it is read -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Indices that can be asked together: their documents name account and application in the same way."""

    account: ExactField
    application: ExactField
    timestamp: Mapped | None
    """None where no document has a believable one, and the field may be of any type."""
    names: tuple[str, ...]
    page: int
    """Pairs in one answer."""
    most_terms: int
    """Values in one `terms` query."""


def _sources(client: Elasticsearch, policy: Policy, now: int, capabilities: Capabilities | None) -> tuple[_Source, ...]:
    """Return the indices of all `owns` categories that hold documents naming an account and an application."""
    categories = [category for category in policy.categories if category.owns]
    if not categories:
        return ()
    capabilities = capabilities or Capabilities(client)
    limits = capabilities.limits()
    # Refreshes, and sets apart what is not wholly visible.
    facts = Inventory(client, capabilities).observe(policy, categories, now, {})
    together: dict[tuple[ExactField, ExactField, Mapped | None], dict[str, int | None]] = {}
    for category in categories:
        _refuse_if_in_doubt(facts[category.id])
        indices = {index.name: index for index in facts[category.id].indices if index.documents}
        for name, pairs in _exact_fields(client, category, indices, limits).items():
            timestamp = indices[name].timestamp if indices[name].oldest is not None else None
            shards = len(indices[name].sequence_numbers)
            for account, application in pairs:
                together.setdefault((account, application, timestamp), {})[name] = shards
    return tuple(
        _Source(
            account=account,
            application=application,
            timestamp=timestamp,
            names=some,
            page=min(PAGE, limits.buckets),
            most_terms=most_terms(client, some),
        )
        for (account, application, timestamp), those in together.items()
        for some in within(those, limits)
    )


def _refuse_if_in_doubt(facts: CategoryFacts) -> None:
    for apart in facts.set_apart:
        raise Refused(f"the owners of applications are unknown: {apart.text}", apart.remedy)
    for index in facts.indices:
        if index.ageless:
            raise Refused(f"the owners of applications are unknown: {index.ageless.text}", index.ageless.remedy)
        if Block.METADATA in index.blocks:
            message = f"the owners of applications are unknown: {index.name} has index.blocks.metadata"
            raise Refused(message, "remove index.blocks.metadata from the index")


def _exact_fields(
    client: Elasticsearch, category: Category, indices: Mapping[str, IndexFacts], limits: Limits
) -> dict[str, list[tuple[ExactField, ExactField]]]:
    """Return in which fields documents of each index may name an account and an application: all pairs of them."""
    owns = category.owns
    read = read_subject_fields(client, dict.fromkeys(sorted(indices), owns.all), batches, limits)
    found = {}
    for name in indices:
        if name not in read:
            raise ClusterUnavailable(
                f"the fields of {name} could not be read", "wait for the next cycle, which tries again"
            )
        for verdict in read[name].values():
            if isinstance(verdict, Inexact):
                raise _refused(name, verdict)
        accounts, applications = (
            [where for place in places if isinstance(where := read[name][place], ExactField)]
            for places in (owns.account, owns.application)
        )
        found[name] = list(product(accounts, applications))
    return found


def _refused(index: str, inexact: Inexact) -> Refused:
    return Refused(
        f"{index} does not show the owners of applications: {inexact.reason}",
        f"map the field as keyword without ignore_above, or as long, in the index template and reindex {index}",
    )


# --- what it says ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads which accounts and applications documents name together, however many there are."""

    client: Elasticsearch
    policy: Policy
    now: int

    def namings(self, source: _Source, wanted: Sequence[Match]) -> Iterator[Naming]:
        """Yield each pair that the documents name of which one of `wanted` is true."""
        after: Mapping[str, Any] | None = None
        while wanted:
            pairs = self._page(source, query_of_any(wanted, source.most_terms), after)
            yield from (_naming(source, bucket) for bucket in pairs["buckets"])
            after = pairs.get("after_key")
            if after is None:
                return

    def _page(self, source: _Source, query: Mapping[str, Any], after: Mapping[str, Any] | None) -> Mapping[str, Any]:
        composite: dict[str, Any] = {
            "size": source.page,
            "sources": [
                {"account": {"terms": {"field": source.account.name}}},
                {"application": {"terms": {"field": source.application.name}}},
            ],
        }
        if after is not None:
            composite["after"] = after
        pairs: dict[str, Any] = {"composite": composite}
        if source.timestamp is not None:
            pairs["aggs"] = {"dated": self._dated(source.timestamp)}
        # As a part of several, so that the names stand in the body, where there is room for them.
        head = {"index": source.names, "allow_partial_search_results": False, "request_cache": False}
        body = {"size": 0, "track_total_hits": False, "query": query, "aggs": {"pairs": pairs}}
        with translated():
            (response,) = self.client.msearch(searches=[head, body]).body["responses"]
        if "error" in response:
            error = from_answer(int(response["status"]), response)
            if isinstance(error, RequestRejected) and error.kind in GONE:
                message = "an index was closed or deleted while it was read"
                raise ClusterUnavailable(message, "wait for the next cycle, which tries again")
            raise error
        raise_if_partial(response)
        return dict(response["aggregations"]["pairs"])

    def _dated(self, timestamp: Mapped) -> dict[str, Any]:
        first, end = dated_between(timestamp, self.policy, self.now)
        values = {"newest": newest(timestamp), "values": {"value_count": {"field": timestamp.field}}}
        return counted(between(timestamp, gte=first, lt=end), values)


def _naming(source: _Source, bucket: Mapping[str, Any]) -> Naming:
    dated = bucket.get("dated", {})
    documents = count_in(bucket, "dated")
    return Naming(
        account=str(bucket["key"]["account"]),
        application=str(bucket["key"]["application"]),
        newest=instant_in(source.timestamp, dated["newest"]) if documents and source.timestamp else None,
        imprecision=source.timestamp.timestamp.width - 1 if source.timestamp else 0,
        ambiguous=documents > 0 and int(dated["values"]["value"]) > documents,
    )
