"""The small documents in `retention-state` and `retention-control`, by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.client import once
from retention_enforcer.cluster.errors import forbidden_in, raise_if_partial, translated
from retention_enforcer.cluster.own.flood_stage import write_own
from retention_enforcer.cluster.own.position import missing, missing_is_refused, read_position
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import ClusterUnavailable, RequestRejected, readable
from retention_enforcer.domain.holds.hold import CoveredIndices, Hold
from retention_enforcer.domain.instants import format_instant
from retention_enforcer.domain.lease import Versioned
from retention_enforcer.domain.own.control_documents import COVERED, control_of, covered_in
from retention_enforcer.domain.own.position import IndexPosition

_PAGE = 10_000
"""Documents in one answer: `index.max_result_window` of an own index."""

_KEEP_ALIVE = "10s"
"""For which a point in time lives after each page; short, since a cluster may have a low `search.max_keep_alive`."""


class Documents:
    """Documents of one own index, each under a key, read in real time.

    With `by_key` only those that are saved under a kind of their own are searched for: for the others no refresh has to
    be waited for.
    """

    def __init__(self, client: Elasticsearch, index: str, *, by_key: bool = False) -> None:
        self._client = client
        self._index = index
        self._by_key = by_key

    def position(self) -> IndexPosition:
        """Return which index it is and how far it goes. Raises Refused if it is missing."""
        return read_position(self._client, self._index)

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return these documents as they are now; absent ones are absent. Raises Refused if the index is missing."""
        return {key: document.body for key, document in self.versions(keys).items()}

    def versions(self, keys: Sequence[str]) -> dict[str, Versioned]:
        """Return these documents with the version that a conditional write needs."""
        with translated():
            answer = self._client.mget(index=self._index, ids=list(keys))
        found = {}
        for document in answer["docs"]:
            if "error" in document:
                raise forbidden_in(document) or missing(self._index)
            if document["found"]:
                version = (int(document["_seq_no"]), int(document["_primary_term"]))
                found[str(document["_id"])] = Versioned(body=self._body(document), version=version)
        return found

    def all(self, kind: str | None = None, *, without: str | None = None) -> dict[str, Mapping[str, Any]]:
        """Return all documents, those of a kind, or those of all kinds but one.

        With `by_key` only those of a kind of their own. What `save` wrote is among them at once, what others wrote
        within a second.
        """
        query = _query(kind, without)
        with missing_is_refused(self._index), translated():
            answer = self._client.search(
                index=self._index,
                query=query,
                size=_PAGE,
                allow_partial_search_results=False,
                sort=["_doc"],
                track_total_hits=True,
            )
        raise_if_partial(answer.body)
        hits = answer["hits"]["hits"]
        if answer["hits"]["total"]["value"] > len(hits):
            return dict(self._page_by_page(query))
        return {hit["_id"]: self._body(hit) for hit in hits}

    def _page_by_page(self, query: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield more documents than one answer holds, as they are at one moment."""
        with translated():
            opened = self._client.open_point_in_time(index=self._index, keep_alive=_KEEP_ALIVE)
        after: list[Any] | None = None
        try:
            while True:
                with translated():
                    answer = self._client.search(
                        pit={"id": opened["id"], "keep_alive": _KEEP_ALIVE},
                        query=query,
                        size=_PAGE,
                        allow_partial_search_results=False,
                        sort=[{"_shard_doc": "asc"}],
                        search_after=after,
                        track_total_hits=False,
                    )
                raise_if_partial(answer.body)
                hits = answer["hits"]["hits"]
                yield from ((hit["_id"], self._body(hit)) for hit in hits)
                if len(hits) < _PAGE:
                    return
                after = hits[-1]["sort"]
        finally:
            with suppress(ClusterUnavailable, RequestRejected), translated():  # it ends by itself after its time
                once(self._client).close_point_in_time(id=opened["id"])

    def _body(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        with readable(f"{document['_id']} in {self._index}"):
            return dict(document["_source"]["body"])

    def save(self, key: str, body: Mapping[str, Any], now: int, kind: str | None = None) -> None:
        """Replace one document; its kind is its key, unless it is given."""
        searched = kind is not None or not self._by_key
        self._write(key, body, now, {"refresh": True} if searched else {}, kind)

    def _exists(self) -> bool:
        with translated():
            return bool(self._client.indices.exists(index=self._index))

    def replace_version(
        self, key: str, body: Mapping[str, Any], now: int, version: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        """Write a document only if it still has this version (None: if it is absent).

        Returns the new version, or None where somebody was faster.
        """
        condition: dict[str, Any] = {"op_type": "create"}
        if version is not None:
            condition = {"if_seq_no": version[0], "if_primary_term": version[1]}
        try:
            return self._write(key, body, now, condition)
        except RequestRejected as error:
            if error.status == HTTPStatus.CONFLICT:
                return None
            raise

    def _write(
        self, key: str, body: Mapping[str, Any], now: int, options: Mapping[str, Any], kind: str | None = None
    ) -> tuple[int, int]:
        """Write into an index that is there: a missing one is refused, not made."""
        if not self._exists():
            raise missing(self._index)

        def write() -> tuple[int, int]:
            with translated(destructive=True):
                answer = self._client.options(max_retries=0).index(
                    index=self._index, id=key, document=_source(kind or key, body, now), **options
                )
            return int(answer["_seq_no"]), int(answer["_primary_term"])

        return write_own(self._client, self._index, write)

    def remove(self, key: str) -> None:
        """Remove one document; an absent one is no error."""
        try:
            with translated(destructive=True):
                self._client.options(max_retries=0).delete(index=self._index, id=key, refresh=True)
        except RequestRejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def _query(kind: str | None, without: str | None) -> dict[str, Any] | None:
    if kind is not None:
        return {"term": {"kind": kind}}
    return {"bool": {"must_not": {"term": {"kind": without}}}} if without is not None else None


def _source(kind: str, body: Mapping[str, Any], now: int) -> dict[str, Any]:
    return {"kind": kind, "updated": format_instant(now), "body": dict(body)}


class ControlReader:
    """Reads the operator's word."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def read(self) -> Control:
        """Return it as it is now."""
        documents = self._documents.all(without=COVERED)
        with readable("a document in retention-control"):
            return control_of(documents)


class ControlWithCoverage:
    """Reads the operator's word, and what `hold add` (in it) and the enforcer (in `state`) saw its holds cover."""

    def __init__(self, documents: Documents, state: Documents) -> None:
        self._word = ControlReader(documents)
        self._documents = documents
        self._state = state

    def read(self) -> Control:
        """Return it as it is now."""
        control = self._word.read()
        return replace(control, holds=self._with_coverage(control.holds)) if control.holds else control

    def _with_coverage(self, holds: tuple[Hold, ...]) -> tuple[Hold, ...]:
        keys = [f"{COVERED}{hold.id}" for hold in holds]
        stored = [self._documents.load(keys), self._state.load(keys)]

        def covered(hold: Hold) -> CoveredIndices:
            bodies = [found[f"{COVERED}{hold.id}"] for found in stored if f"{COVERED}{hold.id}" in found]
            return {uuid: seen for body in bodies for uuid, seen in covered_in(body).items()}

        looked = {key for found in stored for key in found}
        return tuple(replace(h, covered=covered(h), looked=f"{COVERED}{h.id}" in looked) for h in holds)
