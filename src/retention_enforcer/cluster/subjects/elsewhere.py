"""Looks for subjects in the indices that no category governs: a copy is known by what is in it, not by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import partial

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.batches import Refusals
from retention_enforcer.cluster.changes import ATTEMPTS, GONE
from retention_enforcer.cluster.expressions import batches
from retention_enforcer.cluster.indices.contents import Search, search_documents
from retention_enforcer.cluster.indices.identities import read_identities
from retention_enforcer.cluster.indices.metadata import IndexMetadata
from retention_enforcer.cluster.indices.statistics import refresh
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.cluster.subjects.fields import read_subject_fields, unbarred
from retention_enforcer.cluster.subjects.unreadable import without_places
from retention_enforcer.domain.facts import Block
from retention_enforcer.domain.policy.claims import IndexIdentity
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Inexact, Match, Subject, match
from retention_enforcer.domain.subjects.query import spelled_otherwise

_HISTORY = re.compile(r"\.?(?:ilm|slm)-history-[0-9]+")
_NOTIFICATIONS = re.compile(r"\.transform-notifications-[0-9]+")


class Elsewhere:
    """Reads indices outside the policy, dot indices and those under `ignore` too; changes nothing."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities, own: OwnIndices) -> None:
        self._client = client
        self._capabilities = capabilities
        self._own = own

    def look(self, policy: Policy, subjects: Collection[Subject], now: int) -> tuple[dict[str, int], dict[str, str]]:
        """Return how many documents of these subjects each index outside has, and why some cannot be asked.

        An index without any of the fields by which the categories name a subject has none, also where nobody can look
        into it. Raises ClusterUnavailable or RequestRejected where the cluster does not answer at all.
        """
        found: dict[str, int] = {}
        indistinguishable: dict[str, str] = {}
        for _ in range(ATTEMPTS):
            found, indistinguishable = self._look(policy, subjects, now)
            if GONE not in indistinguishable.values():
                break
        return found, indistinguishable

    def _look(self, policy: Policy, subjects: Collection[Subject], now: int) -> tuple[dict[str, int], dict[str, str]]:
        identities = read_identities(self._client, self._capabilities, policy, self._own)
        metadata, outside = identities.metadata, identities.outside()
        indistinguishable = {name: why for name, index in outside.items() if (why := _why_not(index)) is not None}
        readable = outside.keys() - indistinguishable
        named = {category.subjects for category in policy.categories if category.subjects}
        places = {place for one in named for place in one.all}
        # Before anything is asked: which documents a field left out is searched for as well.
        indistinguishable |= self._unrefreshed(
            {name: metadata[name] for name in readable if not metadata[name].mounted}
        )
        if indistinguishable:
            without = without_places(self._client, indistinguishable, places)
            indistinguishable = {name: why for name, why in indistinguishable.items() if name not in without}
        if not readable:
            return {}, indistinguishable
        avoid = {name for name, index in metadata.items() if index.system or _why_not(index) is not None}
        reach = partial(identities.covering, avoid=avoid)
        limits = self._capabilities.limits()
        exact = read_subject_fields(self._client, dict.fromkeys(readable, places), reach, limits)
        searches = []
        for name in sorted(readable):
            if name not in exact:
                indistinguishable[name] = "the enforcer is not allowed to read it"
                continue
            verdicts = {place: unbarred(verdict) for place, verdict in exact[name].items()}
            found = [
                (subject, one, what)
                for one in named
                for subject in subjects
                if subject.wanted(one) is not None
                for what in match(subject, one, verdicts)
            ]
            # In a copy an id in another spelling is as good as the id: nothing is deleted by it.
            matches = tuple(
                each
                for subject, one, what in found
                if isinstance(what, Match)
                for each in (what, *spelled_otherwise(subject, one, what))
            )
            doubt = next((what for _, _, what in found if isinstance(what, Inexact)), None)
            if doubt is not None and not _only_tells_of_indices(identities.identities[name]):
                indistinguishable[name] = doubt.reason
            if matches:
                shards, most = {name: metadata[name].shards}, metadata[name].most_terms
                searches.append(Search(category=None, shards=shards, timestamp=None, matches=matches, most_terms=most))
        answer = search_documents(self._client, policy, searches, now, limits)
        indistinguishable |= {
            **{name: cause.text for name, cause in answer.unknown.items()},
            **dict.fromkeys(answer.gone, GONE),
        }
        indistinguishable |= self._hidden(identities.reached(readable))
        return {name: seen.matching for name, seen in answer.seen.items() if seen.matching}, indistinguishable

    def _hidden(self, streams: Mapping[str, str | None]) -> dict[str, str]:
        """Return which of these indices security hides something of; by their names, with their streams."""
        hidden = self._capabilities.restrictions()
        found = {name: hidden.on([name, *([stream] if stream else [])], "it") for name, stream in streams.items()}
        return {name: text for name, text in found.items() if text is not None}

    def _unrefreshed(self, live: Mapping[str, IndexMetadata]) -> dict[str, str]:
        """Make visible what was just written; return which of these indices did not do so on all their shards.

        What may not be refreshed is passed over without a word: then fewer copies answer than there are.
        """
        refusals = Refusals()
        refresh(self._client, batches(sorted(live)), live, refusals)
        causes = {**{name: cause.text for name, cause in refusals.causes.items()}, **dict.fromkeys(refusals.gone, GONE)}
        invisible = "its latest documents could not be made visible"
        return {name: why if why == GONE else f"{invisible}: {why}" for name, why in causes.items()}


def _only_tells_of_indices(identity: IndexIdentity) -> bool:
    """Whether Elasticsearch itself writes this index, and nothing of anybody's documents into it.

    Their mappings ignore unknown fields, so that each of them would be in doubt for ever.
    """
    histories = identity.system and _HISTORY.fullmatch(identity.stream or "") is not None
    return histories or _NOTIFICATIONS.fullmatch(identity.name) is not None


def _why_not(index: IndexMetadata) -> str | None:
    """Return why it cannot be asked; one whose metadata is blocked cannot be asked for its mapping either."""
    blocked = "index.blocks.metadata is set" if Block.METADATA in index.blocks else None
    return index.why_unreadable or blocked
