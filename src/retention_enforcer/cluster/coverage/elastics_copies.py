"""Copies that Elasticsearch keeps itself, beside all indices: what may name a subject although no index is found to.

    executed enrich policies     a copy of their sources, until the policy is executed anew
    stored async searches        results, until they expire
    transforms                   documents of another shape, in which a subject may stand under another field
    percolator queries           a query can name a subject in its text, which no search for a field finds

Where the cluster lacks a part, there is nothing of it. Where the enforcer may not look, that is an open item.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from elasticsearch import ApiError, Elasticsearch, ElasticsearchWarning, TransportError

from retention_enforcer.cluster.batches import Refusals, ask_each
from retention_enforcer.cluster.errors import is_partial, raise_if_partial, translated
from retention_enforcer.cluster.expressions import matches
from retention_enforcer.cluster.indices.identities import IndexIdentities, read_identities
from retention_enforcer.cluster.indices.mappings import ask_field_caps
from retention_enforcer.cluster.preflight import Capabilities, Part
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected
from retention_enforcer.domain.instants import MINUTE, format_instant
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.names import IndexPattern, OwnIndices, overlap
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.selection import MOST_HITS
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.terminations.certificate import KeptCopy
from retention_enforcer.domain.terminations.states import OpenItemKind
from retention_enforcer.domain.wording import counted

_ENRICHED = re.compile(r"\.enrich-(.+)-([0-9]+)", re.DOTALL)
_DATE = re.compile(r"\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}")
"""A date in an index name, as `{now/d}` and `{now/M{yyyy.MM}}`."""
_ASYNC = ".async-search"
_PERCOLATOR = "percolator"
_MOST_SEARCHES = 200
"""Stored searches that are asked one by one when they began; of more, all count as old."""
_MOST_QUERIES = 10_000
_PAGE = 500
_KEEP_ALIVE = MINUTE
_COPY, _UNSEEN = OpenItemKind.COPY, OpenItemKind.NOT_LOOKED_INTO


class ElasticsCopies:
    """Reads what Elasticsearch keeps of other indices; changes nothing."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities, own: OwnIndices) -> None:
        self._client = client
        self._capabilities = capabilities
        self._own = own

    def look(self, policy: Policy, subjects: Collection[Subject], clean: Mapping[str, int], now: int) -> list[KeptCopy]:
        """Return what was copied while something of these subjects may have been left, and is there still.

        `clean` says, for each category that can name them, from when on nothing of them was left there.
        Raises ClusterUnavailable or RequestRejected where the cluster does not answer.
        """
        identities = read_identities(self._client, self._capabilities, policy, self._own)
        sources = _Sources(policy, identities, clean, now)
        transformed = list(self._transformed(sources))  # what is copied of what they made is known afterwards
        return [
            *self._enriched(sources),
            *transformed,
            *self._searches(identities, sources.last, now),
            *self._queries(identities, subjects),
        ]

    # --- enrich policies ---

    def _enriched(self, sources: _Sources) -> Iterator[KeptCopy]:
        copies = {name: match for name in sources.identities.metadata if (match := _ENRICHED.fullmatch(name))}
        if not copies:
            return
        policies = self._enrich_policies()
        for name, match in sorted(copies.items()):
            executed = min(int(match[2]), sources.identities.metadata[name].created)
            known = policies.get(match[1])
            clean = sources.last if known is None else sources.clean(*known)
            if clean is None or executed > clean:
                continue
            text = f"enrich policy {match[1]} keeps a copy of its sources as of {format_instant(executed)}"
            anew = f"POST _enrich/policy/{match[1]}/_execute renews it, and the old copy is gone within 15 minutes"
            end = anew if known else "it stays until somebody deletes it"
            yield KeptCopy(kind=_COPY, text=f"{text}, in {name}: {end}", names=(match[1], name))

    def _enrich_policies(self) -> dict[str, tuple[list[str], list[str]]]:
        """Return the sources and the fields of each policy; the cluster's state has them, whoever may see them."""
        state = read_state(self._client, metric=["metadata"], fields=["metadata.enrich.policies"])
        found = {}
        for name, policy in state.get("metadata", {}).get("enrich", {}).get("policies", {}).items():
            for what in policy.values():
                if isinstance(what, dict) and "indices" in what:
                    fields = [str(what.get("match_field", "")), *map(str, what.get("enrich_fields", ()))]
                    found[str(name)] = (_listed(what["indices"]), fields)
        return found

    # --- transforms ---

    def _transformed(self, sources: _Sources) -> Iterator[KeptCopy]:
        try:
            request = partial(self._client.transform.get_transform, transform_id="_all", size=1_000)
            answer = self._capabilities.ask(Part.TRANSFORMS, request)
        except RequestRejected as error:
            yield KeptCopy(kind=_UNSEEN, text=f"the transforms could not be listed: {error.message}")
            return
        transforms = answer.body["transforms"] if answer is not None else []
        if answer is not None and answer.body["count"] > len(transforms):
            yield KeptCopy(kind=_UNSEEN, text=f"only 1,000 of {answer.body['count']:,} transforms could be checked")
        waiting = list(transforms)
        while found := [one for one in waiting if self._clean_since(one, sources) is not None]:
            waiting = [one for one in waiting if one not in found]
            for transform in found:
                yield from self._made_by(transform, sources)

    def _clean_since(self, transform: Mapping[str, Any], sources: _Sources) -> int | None:
        """Return from when on what a transform reads named the subject no more, None where it cannot have done so.

        A latest one copies documents as they are: their fields are asked for as everywhere, but where another transform
        has made them.
        """
        if "pivot" not in transform:
            return sources.remade(_listed(transform["source"]["index"]))
        groups = [by for how in transform["pivot"].get("group_by", {}).values() for by in how.values()]
        fields = [str(by.get("field", "")) for by in groups if isinstance(by, dict)]
        return sources.clean(_listed(transform["source"]["index"]), fields)

    def _made_by(self, transform: Mapping[str, Any], sources: _Sources) -> Iterator[KeptCopy]:
        # Asked anew: those before it in the same round may have made what it reads.
        identities, clean = sources.identities, self._clean_since(transform, sources)
        into = str(transform["dest"]["index"])
        made = [
            name
            for name, identity in identities.identities.items()
            if into in (name, *identity.aliases) and identities.claims[name].standing is not IndexOwner.GOVERNED
        ]
        old = [name for name in made if clean is not None and identities.metadata[name].created <= clean]
        sources.made(into, None if old else max((identities.metadata[name].created for name in made), default=0))
        for name in old:
            text = (
                f"transform {transform['id']} has written documents to {name} that may name the subject "
                "under other field names"
            )
            end = f"reset it (POST _transform/{transform['id']}/_reset) and start it again to renew them"
            yield KeptCopy(kind=_COPY, text=f"{text}: {end}", names=(transform["id"], name))

    # --- async searches ---

    def _searches(self, identities: IndexIdentities, clean: int, now: int) -> Iterator[KeptCopy]:
        if _ASYNC not in identities.metadata:
            return
        try:
            with translated(), warnings.catch_warnings():
                warnings.simplefilter("ignore", ElasticsearchWarning)  # that it is one of Elasticsearch's own indices
                answer = self._client.search(
                    index=_ASYNC,
                    query={"range": {"expiration_time": {"gt": now}}},
                    size=_MOST_SEARCHES,
                    track_total_hits=True,
                    source=False,
                    aggs={"last": {"max": {"field": "expiration_time"}}},
                    ignore_unavailable=True,
                ).body
        except RequestRejected as error:
            text = "stored async searches cannot be listed; each may contain results, by default for five days"
            yield KeptCopy(kind=_UNSEEN, text=f"{text}: {error.message}")
            return
        stored, hits = int(answer["hits"]["total"]["value"]), answer["hits"]["hits"]
        if is_partial(answer) or answer["_shards"]["total"] == 0:
            yield KeptCopy(kind=_UNSEEN, text="stored async searches cannot be listed, because not all shards answered")
        elif stored > len(hits):
            yield _stored(stored, int(answer["aggregations"]["last"]["value"]))
        elif before := [end for hit in hits if (end := self._ends(str(hit["_id"]), clean)) is not None]:
            yield _stored(len(before), max(before))

    def _ends(self, document: str, clean: int) -> int | None:
        """Return when a stored search expires that began before, None for one that began later or is gone."""
        # An id is the document's and the task's, each with its length before it; of a search that is over the task
        # does not matter, and any stands for it.
        encoded = base64.urlsafe_b64encode(b"".join(bytes([len(part)]) + part for part in (document.encode(), b"x:1")))
        try:
            with translated():
                status = self._client.async_search.status(id=encoded.decode()).body
        except RequestRejected as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return int(status["expiration_time_in_millis"]) if int(status["start_time_in_millis"]) <= clean else None

    # --- percolator queries ---

    def _queries(self, identities: IndexIdentities, subjects: Collection[Subject]) -> Iterator[KeptCopy]:
        metadata = identities.metadata
        readable = {name for name, index in metadata.items() if index.why_unreadable is None}
        mine = {name for name, claim in identities.claims.items() if claim.standing is IndexOwner.OWN}
        avoid = {name for name, index in metadata.items() if index.system or name not in readable} | mine
        refusals = Refusals()
        percolators = partial(ask_field_caps, self._client, fields="*", types=[_PERCOLATOR])
        for answer in ask_each(identities.covering(readable - avoid, avoid), refusals, percolators):
            # Not the objects around them, of which it is told as well: what is in these beside it is no query.
            for field in sorted((f for f in answer.fields if f.type == _PERCOLATOR), key=lambda field: field.name):
                for name in sorted(field.indices):
                    yield from self._queries_in(name, field.name, [subject.id for subject in subjects])
        for name, cause in sorted(refusals.causes.items()):
            text = f"it is unknown whether {name} has stored queries: {cause.text}"
            yield KeptCopy(kind=_UNSEEN, text=text, names=(name,))

    def _queries_in(self, index: str, field: str, ids: Sequence[str]) -> Iterator[KeptCopy]:
        wanted = re.compile("|".join(rf"(?<![A-Za-z0-9_]){re.escape(id_)}(?![A-Za-z0-9_])" for id_ in ids))
        looked, named = 0, 0
        try:
            for page in self._pages(index, field):
                looked += len(page)
                named += sum(any(wanted.search(text) for text in _values(hit.get("_source"))) for hit in page)
                if looked >= _MOST_QUERIES:
                    yield KeptCopy(
                        kind=_UNSEEN, text=f"{index} has more than {_MOST_QUERIES:,} stored queries", names=(index,)
                    )
                    break
        except (ClusterUnavailable, RequestRejected) as error:
            yield KeptCopy(
                kind=_UNSEEN, text=f"the stored queries in {index} cannot be read: {error.message}", names=(index,)
            )
        if named:
            yield KeptCopy(
                kind=_COPY,
                text=f"{index} has {counted(named, 'stored query', 'stored queries')} naming the subject",
                names=(index,),
            )

    def _window(self, index: str) -> int:
        """Return how many documents of an index one search may give."""
        field = "metadata.indices.*.settings.index.max_result_window"
        found = read_state(self._client, metric=["metadata"], fields=[field], index=index).get("metadata", {})
        settings = found.get("indices", {}).get(index, {}).get("settings", {}).get("index", {})
        return max(1, int(settings.get("max_result_window", MOST_HITS)))

    def _pages(self, index: str, field: str) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the documents with a stored query. Raises ClusterUnavailable where not all shards answer."""
        keep_alive = f"{min(_KEEP_ALIVE, self._capabilities.limits().keep_alive)}ms"
        page = min(_PAGE, self._window(index))
        with translated():
            opened = self._client.open_point_in_time(index=index, keep_alive=keep_alive).body["id"]
        after = None
        try:
            while True:
                with translated():
                    answer = self._client.search(
                        pit={"id": opened, "keep_alive": keep_alive},
                        query={"exists": {"field": field}},
                        size=page,
                        source_includes=[field],
                        sort=[{"_shard_doc": "asc"}],
                        search_after=after,
                    ).body
                raise_if_partial(answer)
                hits = answer["hits"]["hits"]
                yield list(hits)
                if len(hits) < page:
                    return
                after = hits[-1]["sort"]
        finally:
            with suppress(ApiError, TransportError):  # it ends by itself
                self._client.close_point_in_time(id=opened)


class _Sources:
    """Tells until when what something was copied from may have named a subject."""

    def __init__(self, policy: Policy, identities: IndexIdentities, clean: Mapping[str, int], now: int) -> None:
        self.identities = identities
        self.last = min(now, max(clean.values(), default=now))
        """When nothing was left in any category."""
        self._clean = clean
        self._categories = [category for category in policy.categories if category.subjects]
        self._fields = {field for category in self._categories for field in category.subjects.fields}
        self._now = now
        self._made: dict[str, int] = {}

    def made(self, name: str, anew: int | None) -> None:
        """Note that a transform wrote the subject's data under other fields there: all of it, or what it made anew."""
        self._made[name] = max(self._made.get(name, 0), self.last, self._now if anew is None else anew)

    def remade(self, expressions: Collection[str]) -> int | None:
        """Return from when on what transforms made of a subject's data is not there any more; None if none made any."""
        found = [until for text in expressions for name, until in self._made.items() if matches(text, name)]
        return max(found, default=None)

    def clean(self, expressions: Iterable[str], fields: Iterable[str]) -> int | None:
        """Return from when on these indices named the subject no more, None where they cannot have named any.

        They may where an expression reaches an index of a category that names subjects, or a field is one that does.
        """
        ids = {category.id for category in self._categories}
        listed, reached, elsewhere = list(expressions), set[str](), False
        for text in listed:
            wildcard = IndexPattern(text.removeprefix("-"))
            # Also where no such index is left: what was copied of it is.
            named = {c.id for c in self._categories if any(overlap(wildcard, pattern) for pattern in c.indices)}
            reached |= named
            elsewhere = elsewhere or not named
            for name, claim in self.identities.claims.items():
                if any(matches(text, each) for each in (name, *self.identities.other_names(name))):
                    reached |= ids.intersection(claim.categories)
                    # An alias may have led to others when it was copied.
                    by_alias = any(matches(text, alias) for alias in self.identities.identities[name].aliases)
                    elsewhere = elsewhere or by_alias or not claim.categories
        if (remade := self.remade(listed)) is not None:
            return remade
        if not reached and not self._fields.intersection(fields):
            return None
        if not reached or elsewhere or not reached <= self._clean.keys():
            return self.last
        return min(self.last, max(self._clean[id_] for id_ in reached))


def _stored(searches: int, last: int) -> KeptCopy:
    number = counted(searches, "stored async search", "stored async searches")
    text = f"{number} began before the purge was complete and may contain results"
    return KeptCopy(kind=_COPY, text=f"{text} until the last expires", until=last)


def _listed(indices: str | Iterable[str]) -> list[str]:
    """Return the names and wildcards of an expression; of a name with a date in it one that stands for any date."""
    texts = [indices] if isinstance(indices, str) else list(indices)
    parts = [part for text in texts for part in str(text).split(",")]
    return [_DATE.sub("*", part).replace("<", "").replace(">", "") if "<" in part else part for part in parts]


def _values(part: object) -> Iterator[str]:
    """Yield all values in a document, not the names of its fields."""
    match part:
        case dict():
            for value in part.values():
                yield from _values(value)
        case list():
            for value in part:
                yield from _values(value)
        case None:
            pass
        case _:
            yield str(part)
