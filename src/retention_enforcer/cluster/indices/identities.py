"""Whose every index of the cluster is, from the cluster's state and its streams; no document is read for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.expressions import Batch, covering
from retention_enforcer.cluster.indices.metadata import IndexMetadata, read_everything
from retention_enforcer.cluster.indices.streams import Membership, read_all_streams
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.policy.claims import Claim, IndexIdentity, IndexOwner, KnownClaims
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.policy.promises import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexIdentities:
    """Every index of the cluster, and whose it is."""

    metadata: Mapping[str, IndexMetadata]
    members: Mapping[str, Membership]
    """The indices behind all streams that may be seen."""
    identities: Mapping[str, IndexIdentity]
    claims: Mapping[str, Claim]
    streams: Mapping[str, str]
    """The indices behind all streams, also those that may not be seen, and the stream of each."""

    def reached(self, names: Iterable[str]) -> dict[str, str | None]:
        """Return the stream through whose name each of these indices is reached too; see `expressions.covering`."""
        return {name: m.stream if (m := self.members.get(name)) and not m.failure_store else None for name in names}

    def outside(self) -> dict[str, IndexMetadata]:
        """Return the indices that no category's look reaches, and that may hold copies: hidden and dot ones too.

        Not those that Elasticsearch flags as its own: nobody may read them as indices.
        """
        return {
            name: index
            for name, index in self.metadata.items()
            if self.claims[name].standing not in (IndexOwner.GOVERNED, IndexOwner.OWN) and not index.system
        }

    def covering(
        self, wanted: Iterable[str], avoid: Collection[str], expressions: Sequence[str] = ("*",)
    ) -> Iterator[Batch]:
        """Return what reaches all of the wanted indices and none of those to avoid; see `expressions.covering`."""
        return covering(expressions, self.reached(wanted), {name: self.other_names(name) for name in avoid}, avoid)

    def other_names(self, name: str) -> tuple[str, ...]:
        """Return the aliases and the stream through which wildcards reach an index too."""
        stream = self.streams.get(name)
        return (*self.identities[name].aliases, *((stream,) if stream else ()))


def governed_by(
    client: Elasticsearch, capabilities: Capabilities, policy: Policy, own: OwnIndices
) -> dict[str, tuple[str, ...]]:
    """Return every governed index of the cluster by its name, whatever that is, and its categories."""
    claims = read_identities(client, capabilities, policy, own).claims
    return {name: claim.categories for name, claim in claims.items() if claim.categories}


def read_identities(
    client: Elasticsearch, capabilities: Capabilities, policy: Policy, own: OwnIndices
) -> IndexIdentities:
    """Return every index of the cluster and whose it is: in two requests, one where there are no streams.

    One more where the state has a stream's index that the streams do not show: it may have come in between.
    """
    members = read_all_streams(client, capabilities)
    found = read_everything(client)
    if found.streams.keys() - members.keys():
        members = read_all_streams(client, capabilities)
    streams = found.streams | {name: member.stream for name, member in members.items()}
    identities = {}
    for name, index in found.indices.items():
        stream = streams.get(name)
        member = members.get(name)
        identities[name] = IndexIdentity(
            name=name,
            stream=stream,
            aliases=tuple(dict.fromkeys((*index.aliases, *found.stream_aliases.get(stream or "", ())))),
            made_from=index.made_from,
            resized_from=index.resized_from,
            system=index.system or (member is not None and member.system),
        )
    return IndexIdentities(
        metadata=found.indices,
        members=members,
        identities=identities,
        claims=_known_claims(policy, own).of(identities),
        streams=streams,
    )


_known_claims = lru_cache(maxsize=1)(KnownClaims)
"""Those under the policy of this process: with many categories they take longer than the request."""
