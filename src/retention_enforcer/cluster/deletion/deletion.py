"""Deletes indices by their concrete names, and documents by their own versions. Nothing here repeats itself."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import of_those_there
from retention_enforcer.cluster.client import Permission, once, patience
from retention_enforcer.cluster.deletion.pace import Pace
from retention_enforcer.cluster.deletion.progress import ProgressLog
from retention_enforcer.cluster.errors import raise_if_partial, translated
from retention_enforcer.cluster.expressions import concrete, packed
from retention_enforcer.cluster.lifecycles.reads import STREAM_FIELDS, attachment_of, stream_members
from retention_enforcer.cluster.limits import read_limits, terms_in
from retention_enforcer.cluster.shards import primary_numbers
from retention_enforcer.cluster.state import read_state
from retention_enforcer.cluster.subject_queries import Telling, holds, query_of_any
from retention_enforcer.cluster.timestamp_queries import between
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, RequestRejected
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.instants import SECOND
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.selection import (
    MOST_HITS,
    MOST_OBJECTS,
    MOST_VALUES,
    Due,
    Every,
    Existing,
    HasField,
    IndexVersion,
    OfSubjects,
    Selection,
    Trim,
    Trimmed,
)
from retention_enforcer.domain.subjects.identity import ExactField

_PAGE = 1_000
"""Documents in one `_bulk`: short requests, so that the lease and a stop are asked for often. Fewer where the pace
would have to wait for longer than a second after them."""

_READ = 5_000
"""Documents in one answer of a search: each answer costs the query once more. No more than go within half of the time
for which the point in time lives after each."""

_LINE = 120
"""Bytes of a deletion in a `_bulk`, beside the document's id and routing."""

_AT_A_TIME = 2
"""Requests under way: while the cluster carries one out, the next is on its way. Each asks for its own permission."""

_TRIM_PASSES = 5
"""Passes over an index: each further one meets only what was written, or could not be deleted, during the last."""

_ALL = ""
"""In the counts of a trim, all documents that went, whoever's they were."""


class Deletion:
    """All requests that destroy. Each is sent once, under a permission of its own.

    `pace` is told how many documents were just deleted, and returns when the next may be.
    """

    def __init__(self, client: Elasticsearch, timeout: float = 30.0, pace: Pace | None = None) -> None:
        self._reading = client
        self._pace = pace or Pace()
        self._page_size = self._pace.most(_PAGE, seconds=1)
        self._patience = patience(timeout)
        self._once = once(client)

    def identities(self, names: Sequence[str]) -> dict[str, IndexVersion]:
        """Return, in one call, what each of these indices is now; those that are gone are absent."""
        return of_those_there(names, self._identities)

    def _identities(self, names: Sequence[str]) -> dict[str, IndexVersion]:
        with translated():
            answer = self._reading.indices.stats(
                index=concrete(names),
                metric="docs",
                level="shards",
                forbid_closed_indices=False,
                filter_path=[
                    "indices.*.uuid",
                    "indices.*.shards.*.routing.primary",
                    "indices.*.shards.*.seq_no.max_seq_no",
                ],
            )
        indices = answer.body.get("indices", {})
        return {
            name: IndexVersion(uuid=str(i["uuid"]), sequence_numbers=primary_numbers(i)) for name, i in indices.items()
        }

    def existing(self, uuids: Collection[str], names: Collection[str] | None = None) -> dict[str, Existing]:
        """Return those of these indices that exist, by their uuid, from the cluster's state.

        With their names only those are read, else all that the cluster has. An index keeps its name for as long as it
        exists.
        """
        wanted = set(uuids)
        there: dict[str, Existing] = {}
        for index in [None] if names is None else packed(sorted(concrete(names))):
            there.update(self._existing(wanted, index))
        return there

    def _existing(self, wanted: Collection[str], index: str | None) -> Iterator[tuple[str, Existing]]:
        fields = [
            "metadata.indices.*.settings.index.uuid",
            "metadata.indices.*.settings.index.lifecycle",
            "metadata.indices.*.settings.index.max_result_window",
            "metadata.indices.*.settings.index.max_terms_count",
            "metadata.indices.*.settings.index.max_docvalue_fields_search",
            "metadata.indices.*.settings.index.max_inner_result_window",
            "metadata.indices.*.settings.index.blocks.write",
            "metadata.indices.*.rollover_info",
            "metadata.indices.*.state",
            *STREAM_FIELDS,
        ]
        state = read_state(self._reading, metric=["metadata"], fields=fields, index=index)
        members = stream_members(state)
        for name, metadata in state.get("metadata", {}).get("indices", {}).items():
            settings = metadata["settings"]["index"]
            uuid = str(settings["uuid"])
            if uuid in wanted:
                attached = attachment_of(metadata, members.get(name))
                yield (
                    uuid,
                    Existing(
                        name=name,
                        rolled_over=bool(metadata.get("rollover_info")),
                        lifecycle=attached.policy or (STREAM_LIFECYCLE if attached.at_stake else None),
                        most_hits=int(settings.get("max_result_window", MOST_HITS)),
                        most_terms=terms_in(settings),
                        most_values=int(settings.get("max_docvalue_fields_search", MOST_VALUES)),
                        most_objects=int(settings.get("max_inner_result_window", MOST_OBJECTS)),
                        write_blocked=settings.get("blocks", {}).get("write") in ("true", True),
                    ),
                )

    def delete_indices(self, names: Sequence[str]) -> None:
        """Delete these indices, all or none. What is true afterwards is for `existing` to say."""
        with translated(destructive=True):
            self._once.indices.delete(
                index=concrete(names),
                ignore_unavailable=False,
                allow_no_indices=False,
                master_timeout=self._patience,
                timeout=self._patience,
            )

    def stop_writes(self, names: Sequence[str]) -> dict[str, bool]:
        """Put a write block on these indices; return those that had none, and whether no write is under way any more.

        All that exist or none: a name that is not there refuses the list. An index that the answer does not name had a
        block already (seen on 8.17); one of which not every shard has answered is blocked, perhaps, but not quiet.
        """
        with translated(destructive=True):
            answer = self._once.indices.add_block(
                index=",".join(concrete(names)),
                block=Block.WRITE,
                master_timeout=self._patience,
                timeout=self._patience,
            )
        return {str(one["name"]): bool(one["blocked"]) for one in answer["indices"]}

    def set_write_block(self, uuid: str, *, blocked: bool) -> bool:
        """Set or lift the write block of an index, and return whether it had one; nothing happens where it is gone."""
        there = self.existing([uuid]).get(uuid)
        if there is None:
            return False
        self._set_write_blocks([there.name], blocked=blocked)
        return there.write_blocked

    def lift_write_blocks(self, uuids: Collection[str]) -> None:
        """Lift the write blocks of these indices; nothing happens to those that are gone.

        Raises RequestRejected if none of some was lifted.
        """
        for expression in packed(sorted(there.name for there in self.existing(uuids).values())):
            self._set_write_blocks(expression.split(","), blocked=False)

    def _set_write_blocks(self, names: Sequence[str], *, blocked: bool) -> None:
        settings = {f"index.blocks.{Block.WRITE}": True if blocked else None}
        with translated(destructive=True):
            self._once.indices.put_settings(
                index=concrete(names), settings=settings, master_timeout=self._patience, timeout=self._patience
            )

    def roll_over(self, target: str, new_index: str | None) -> None:
        """Roll a stream or an alias over."""
        with translated(destructive=True):
            self._once.indices.rollover(
                alias=target, new_index=new_index, master_timeout=self._patience, timeout=self._patience
            )

    def trim(self, trim: Trim, permit: Permission) -> Trimmed:
        """Delete the documents that a trim names until a count, taken twice, finds none.

        Raises RequestRejected if the index is not the one that was planned any more, or refuses deletions.
        """
        deleted: Counter[str] = Counter()
        left, progress = -1, ProgressLog(trim.index)
        for _ in range(_TRIM_PASSES):
            self._pass(trim, permit, deleted, progress)
            left = self._left(trim) or self._left(trim)
            if left == 0:
                break
        return Trimmed(deleted=deleted.pop(_ALL, 0), left=left, by_label=deleted)

    def _pass(self, trim: Trim, permit: Permission, deleted: Counter[str], progress: ProgressLog) -> None:
        """Delete page after page, two at a time; where one fails no further is sent, and the other's answer awaited."""

        def count(page: _Deleted) -> None:
            deleted[_ALL] += page.documents
            deleted.update(page.by_label)
            progress.tell(deleted[_ALL])
            self._pace(page.asked)

        with self._view(trim) as view, ThreadPoolExecutor(_AT_A_TIME) as sender:
            under_way: deque[Future[_Deleted]] = deque()
            for page in self._pages(view):
                hits = _certain(trim.takes, page, view.telling)
                if not hits:
                    continue
                under_way.append(sender.submit(self._delete_documents, trim, hits, view.telling, permit))
                if len(under_way) == _AT_A_TIME:
                    count(under_way.popleft().result())
            while under_way:
                count(under_way.popleft().result())

    @contextmanager
    def _view(self, trim: Trim) -> Iterator[_View]:
        """Open a view of the index that a deletion, and a new index under its name, would end."""
        limits = read_limits(self._reading)
        keep_alive = f"{limits.keep_alive}ms"
        with translated():
            opened = self._reading.open_point_in_time(index=concrete([trim.index]), keep_alive=keep_alive)
        try:
            there = self._there(trim)
            size = self._pace.most(_READ, seconds=max(1, limits.keep_alive // (2 * SECOND)))
            telling = Telling(_telling_fields(trim.takes), min(there.most_objects, MOST_OBJECTS))
            yield _View(
                point_in_time=opened["id"],
                keep_alive=keep_alive,
                query=_query(trim, there.most_terms),
                size=min(size, there.most_hits),
                telling=telling,
                values=list(telling.values(there.most_values)),
                bytes=limits.body,
            )
        finally:
            # It ends by itself after its time; a cluster that is away is met again by what comes next.
            with suppress(ClusterUnavailable, RequestRejected), translated():
                self._once.close_point_in_time(id=opened["id"])

    def _there(self, trim: Trim) -> Existing:
        there = self.existing([trim.uuid], [trim.index]).get(trim.uuid)
        if there is None:
            raise _another(trim)
        return there

    def _pages(self, view: _View) -> Iterator[list[dict[str, Any]]]:
        """Yield the documents in pages; while some are deleted the next are read."""
        with ThreadPoolExecutor(max_workers=1) as reader:
            answer = reader.submit(self._read, view, None)
            while hits := answer.result():
                if len(hits) == view.size:
                    answer = reader.submit(self._read, view, hits[-1]["sort"])
                yield from _pages_of(hits, self._page_size, view.bytes)
                if len(hits) < view.size:
                    return

    def _read(self, view: _View, after: list[Any] | None) -> list[dict[str, Any]]:
        """Return the next documents, with the values by which they are told apart: once more for each few fields."""
        first = self._search(view, after, view.telling.along_with(view.query), view.values[0])
        for more in (self._search(view, after, view.query, values) for values in view.values[1:]):
            if [hit["_id"] for hit in more] != [hit["_id"] for hit in first]:
                raise ClusterUnavailable(
                    "a point in time returned other documents than before", "no action needed: it is tried again"
                )
            for hit, beside in zip(first, more, strict=True):
                hit["fields"] = {**hit.get("fields", {}), **beside.get("fields", {})}
        return first

    def _search(
        self,
        view: _View,
        after: list[Any] | None,
        query: Mapping[str, Any],
        values: Sequence[Mapping[str, str]] | None,
    ) -> list[dict[str, Any]]:
        with translated():
            answer = self._reading.search(
                pit={"id": view.point_in_time, "keep_alive": view.keep_alive},
                query=query,
                sort=[{"_shard_doc": "asc"}],
                search_after=after,
                size=view.size,
                source=False,
                docvalue_fields=values,
                seq_no_primary_term=True,
                track_total_hits=False,
            )
        raise_if_partial(answer.body)
        return list(answer["hits"]["hits"])

    def _delete_documents(
        self, trim: Trim, hits: Sequence[Mapping[str, Any]], telling: Telling, permit: Permission
    ) -> _Deleted:
        """Delete exactly the versions that were read; return what went. Newer ones are left to the next pass."""
        if {hit["_index"] for hit in hits} != {trim.index}:
            raise RequestRejected(
                f"a search of {trim.index} returned documents of another index: nothing is deleted",
                "check what that index name resolves to",
            )
        (index,) = concrete([trim.index])
        with permit(), translated(destructive=True):
            self._raise_if_another(trim)
            answer = self._once.bulk(
                index=index,
                timeout=self._patience,
                operations=cast("Sequence[Mapping[str, Any]]", [_deletions(hits)]),  # a text is sent as it is
                filter_path=["errors", "items.delete.status", "items.*.error"],
            )
        items = [item["delete"] for item in answer["items"]]
        refused = [i for i in items if i["status"] not in (HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)]
        if refused:
            error = refused[0]["error"]
            raise RequestRejected(
                # Only the kind: a reason may quote a document's id.
                f"{len(refused)} of {len(items)} deletions were refused: {error['type']}",
                "check the blocks of the index and the cluster's health",
                kind=str(error["type"]),
                status=int(refused[0]["status"]),
            )
        if len(items) != len(hits):
            raise OutcomeUnknown(
                "the response does not match the deletions that were sent", "no action needed: the outcome is verified"
            )
        gone = [hit for hit, item in zip(hits, items, strict=True) if item["status"] == HTTPStatus.OK]
        return _Deleted(asked=len(hits), documents=len(gone), by_label=_by_label(trim.takes, gone, telling))

    def _raise_if_another(self, trim: Trim) -> None:
        """Refuse a page that was read before somebody made the index anew: with ids and numbers alike it would fit."""
        # From the cluster's state: statistics are refused of an index whose metadata is blocked.
        fields = ["metadata.indices.*.settings.index.uuid"]
        (name,) = concrete([trim.index])
        state = read_state(self._reading, metric=["metadata"], fields=fields, index=name)
        found = state.get("metadata", {}).get("indices", {}).get(trim.index)
        if found is None or found["settings"]["index"]["uuid"] != trim.uuid:
            raise _another(trim)

    def _left(self, trim: Trim) -> int:
        with translated():
            refreshed = self._reading.indices.refresh(index=concrete([trim.index]))
            query = _query(trim, self._there(trim).most_terms)
            answer = self._reading.count(index=concrete([trim.index]), query=query)
        if refreshed["_shards"]["failed"]:
            raise ClusterUnavailable(f"{trim.index} was not refreshed on all shards", "check the cluster's health")
        raise_if_partial(answer.body)
        return int(answer["count"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """An index as it was at one moment, how many of its documents one answer gives, and what tells whose they are."""

    point_in_time: str
    keep_alive: str
    query: Mapping[str, Any]
    size: int
    telling: Telling
    values: Sequence[Sequence[Mapping[str, str]] | None]
    """The fields of whose values are asked, as many at a time as the index allows."""
    bytes: int
    """Of the body of one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deleted:
    """What became of one page."""

    asked: int
    documents: int
    by_label: Counter[str]


def _another(trim: Trim) -> RequestRejected:
    return RequestRejected(f"another index has the name {trim.index} now", "no action needed: it is planned again")


_encode = json.JSONEncoder().encode
"""One for all: the client makes a new one for every line."""


def _certain(takes: Selection, hits: Sequence[Mapping[str, Any]], telling: Telling) -> Sequence[Mapping[str, Any]]:
    """Return the documents that certainly are taken: what has several values in the places of a pair stays."""
    if not isinstance(takes, OfSubjects) or not takes.told_by_values:
        return hits
    return [hit for hit in hits if takes.labels(telling.read(hit))]


def _by_label(takes: Selection, gone: Iterable[Mapping[str, Any]], telling: Telling) -> Counter[str]:
    """Return for whom documents went: looked up once for all that carry the same."""
    counted: Counter[str] = Counter()
    if isinstance(takes, OfSubjects):
        alike = Counter(tuple(telling.read(hit).values()) for hit in gone)
        for carried, documents in alike.items():
            values = dict(zip(takes.fields, carried, strict=True))
            counted.update(dict.fromkeys(takes.labels(values), documents))
    return counted


def _deletions(hits: Iterable[Mapping[str, Any]]) -> str:
    """Return the lines that delete exactly the versions that were read, written by hand: a fifth of a purge's time."""
    return "".join(f'{{"delete":{{{_guarded(hit)}}}}}\n' for hit in hits)


def _guarded(hit: Mapping[str, Any]) -> str:
    version = f'"if_seq_no":{int(hit["_seq_no"])},"if_primary_term":{int(hit["_primary_term"])}'
    routing = f',"routing":{_encode(hit["_routing"])}' if "_routing" in hit else ""
    return f'"_id":{_encode(hit["_id"])},{version}{routing}'


def _query(trim: Trim, most_terms: int) -> dict[str, Any]:
    taken = _taken(trim.takes, most_terms)
    if not trim.spare:
        return taken
    return {"bool": {"filter": [taken], "must_not": [query_of_any(trim.spare, most_terms)]}}


def _telling_fields(takes: Selection) -> tuple[ExactField, ...]:
    """Return the places without which it could not be counted for whom a document went."""
    return takes.fields if isinstance(takes, OfSubjects) else ()


def _pages_of(hits: Sequence[dict[str, Any]], most: int, size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield documents in pages that one `_bulk` may delete; a character of an id takes six bytes at most."""
    page: list[dict[str, Any]] = []
    used = 0
    for hit in hits:
        more = _LINE + 6 * (len(hit["_id"]) + len(hit.get("_routing", "")))
        if page and (len(page) == most or used + more > size):
            yield page
            page, used = [], 0
        page.append(hit)
        used += more
    if page:
        yield page


def _taken(takes: Selection, most_terms: int) -> dict[str, Any]:
    match takes:
        case Due():
            later = takes.timestamp.timestamp.width - 1
            return between(takes.timestamp, gte=takes.earliest + later, lt=takes.cut)
        case HasField():
            return {"bool": {"should": [holds(field) for field in takes.fields], "minimum_should_match": 1}}
        case Every():
            return {"match_all": {}}
        case OfSubjects():
            return query_of_any(takes.matches, most_terms)
