"""Which indices there are, to which category each belongs, and which must be set apart before they are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.changes import IndicesChanged
from retention_enforcer.cluster.lifecycles_seen import LifecyclesSeen
from retention_enforcer.cluster.metadata import IndexMetadata, read_metadata
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.cluster.streams import STREAM_LIFECYCLE, Membership, read_streams
from retention_enforcer.domain.facts import Doubt, SetApart
from retention_enforcer.domain.lifecycle_policies import own_lifecycles
from retention_enforcer.domain.names import stream_in
from retention_enforcer.domain.policy import Category, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """An index that exactly one category claims."""

    metadata: IndexMetadata
    category: Category
    member: Membership | None
    own_lifecycle: bool = False
    """Whether the lifecycle that is attached is the enforcer's."""

    @property
    def foreign_lifecycle(self) -> str | None:
        """Somebody else's lifecycle: attached to it, or its stream's."""
        if self.metadata.lifecycle is not None and not self.own_lifecycle:
            return self.metadata.lifecycle
        return STREAM_LIFECYCLE if self.member is not None and self.member.stream_lifecycle else None

    @property
    def container(self) -> bool:
        """Whether the index itself stays for ever: named without a wildcard, and no part of a stream."""
        return self.member is None and self.category.names_literally(self.metadata.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is there. Each governed index stands either in `governed` or among those set apart."""

    expressions: tuple[str, ...]
    governed: dict[str, Governed]
    set_apart: dict[str, list[SetApart]]
    """By category."""
    metadata: dict[str, IndexMetadata]
    """All indices that the expressions reach, governed or not."""
    members: dict[str, Membership] = field(default_factory=dict)
    own_lifecycles: Collection[str] = ()
    """The enforcer's lifecycle policies among those that are attached."""

    def other_names(self, name: str) -> tuple[str, ...]:
        """Return the aliases and the stream through which wildcards reach an index too."""
        member = self.members.get(name)
        return (*self.metadata[name].aliases, *((member.stream,) if member else ()))

    def reached_by(self, name: str) -> str | None:
        """Return the stream through whose name a governed index is reached; failure indices need to be named."""
        member = self.members.get(name)
        return member.stream if member and not member.failure_store else None


def survey(client: Elasticsearch, capabilities: Capabilities, policy: Policy, categories: Sequence[Category]) -> Survey:
    """Return the indices of some categories, from the cluster's state and its streams; reads no documents.

    Raises IndicesChanged if a stream has an index that the state lacks.
    """
    expressions = tuple(sorted({pattern.expression for c in categories for pattern in c.indices}))
    members = read_streams(client, capabilities, policy, expressions)
    failures = sorted(name for name, member in members.items() if member.failure_store)
    metadata = read_metadata(client, [*expressions, *failures])
    if not members.keys() <= metadata.keys():
        raise IndicesChanged
    found = Survey(
        expressions=expressions,
        governed={},
        set_apart={category.id: [] for category in categories},
        metadata=metadata,
        members=members,
        own_lifecycles=own_lifecycles(
            policy, (index.lifecycle for index in metadata.values()), LifecyclesSeen(client).contents
        ),
    )
    for index in metadata.values():
        _place(found, policy, index)
    for category in categories:
        found.set_apart[category.id] += _aliases_named(found, category)
    return found


def _place(found: Survey, policy: Policy, index: IndexMetadata) -> None:
    """Put an index where it belongs; nowhere if no category claims it: an alias may lead to any index."""
    member = found.members.get(index.name)
    owners = {*policy.claimants(index.name), *(policy.claimants(member.stream) if member else ())}
    lost = stream_in(index.name) if not owners else None
    if lost is not None:
        owners.update(policy.claimants(lost))
    problem = _apart_from_stream(index) if lost else _claimed_twice(index, owners) or _unreadable(index)
    for owner in owners & found.set_apart.keys():
        if problem is not None:
            found.set_apart[owner].append(problem)
        else:
            found.governed[index.name] = Governed(
                metadata=index,
                category=policy.category(owner),
                member=member,
                own_lifecycle=index.lifecycle in found.own_lifecycles,
            )


def _aliases_named(found: Survey, category: Category) -> Iterator[SetApart]:
    """Yield the entries of a category that name an alias: it is for the policy to name indices."""
    streams = {member.stream for member in found.members.values()}
    aliases = {alias for index in found.metadata.values() for alias in index.aliases}
    for pattern in category.indices:
        if not pattern.literal or pattern.text in found.metadata or pattern.text in streams:
            continue
        if pattern.text in aliases or _may_lead_to_a_stream(found):
            yield SetApart(
                name=pattern.text,
                uuid=None,
                doubt=Doubt.ALIAS,
                text=f"{pattern.text} is an alias: which indices it means can change without the policy",
                mend="name the indices behind it, with a wildcard if they roll over",
            )


def _may_lead_to_a_stream(found: Survey) -> bool:
    """Whether a name that is neither index, stream nor alias of an index may be the alias of a stream.

    The cluster's state shows what stands behind such an alias, but not the alias.
    """
    return any(stream_in(name) for name in found.metadata.keys() - found.members.keys())


def _unreadable(index: IndexMetadata) -> SetApart | None:
    """Return why an index cannot be read, where that is known beforehand: it would spoil the answers of others."""
    if index.follower:
        text = f"{index.name} follows an index of another cluster: what is deleted here comes back from there"
        return apart(index, Doubt.FOLLOWER, text, "run an enforcer beside the leading cluster, or unfollow the index")
    if not index.open:
        text = f"{index.name} is closed: nobody can look into it, and its documents stay"
        return apart(index, Doubt.CLOSED, text, "open the index, or delete it")
    if not index.assigned:
        text = f"{index.name} has a primary shard that is assigned to no node"
        return apart(
            index, Doubt.UNASSIGNED, text, "bring its shards back (GET _cluster/allocation/explain), or delete it"
        )
    if index.read_blocked:
        text = f"{index.name} has index.blocks.read: nobody can look into it"
        return apart(index, Doubt.PARTIAL, text, "remove that block")
    return None


def _claimed_twice(index: IndexMetadata, owners: Collection[str]) -> SetApart | None:
    if len(owners) <= 1:
        return None
    text = f"{index.name} is claimed by {' and '.join(sorted(owners))}"
    return apart(index, Doubt.CLAIMED_TWICE, text, "make their patterns disjoint: an index belongs to one category")


def _apart_from_stream(index: IndexMetadata) -> SetApart:
    text = f"{index.name} belongs to a stream by its name, but no stream that the enforcer can see has it"
    mend = "give the enforcer's role the privileges that `retention-enforcer setup --print` lists, or delete the index"
    return apart(index, Doubt.PARTIAL, text, mend)


def apart(index: IndexMetadata, doubt: Doubt, text: str, mend: str) -> SetApart:
    """Return the index as set apart."""
    return SetApart(name=index.name, uuid=index.uuid, doubt=doubt, text=text, mend=mend)


def by_category(governed: Mapping[str, Governed]) -> dict[str, list[Governed]]:
    """Return the governed indices of each category, in the order of their names."""
    sorted_out: dict[str, list[Governed]] = {}
    for _, index in sorted(governed.items()):
        sorted_out.setdefault(index.category.id, []).append(index)
    return sorted_out
