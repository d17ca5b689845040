"""Which indices there are, to which category each belongs, and which must be set apart before they are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.expressions import matches
from retention_enforcer.cluster.indices.identities import IndexIdentities, read_identities
from retention_enforcer.cluster.indices.metadata import IndexMetadata
from retention_enforcer.cluster.indices.streams import Membership
from retention_enforcer.cluster.lifecycles.reads import LifecyclesSeen
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.facts import Doubt, IndexFacts, SetApart
from retention_enforcer.domain.lifecycles.compiler import own_lifecycles
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE
from retention_enforcer.domain.policy.claims import Behind, Claim, IndexOwner, claimants_by_name
from retention_enforcer.domain.policy.names import OWN, stream_in
from retention_enforcer.domain.policy.promises import Category, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """An index that exactly one category claims."""

    metadata: IndexMetadata
    category: Category
    member: Membership | None
    names: tuple[str, ...] = ()
    """By which names the category claims it: its own, its stream's, or those of what it was made from."""
    former_names: tuple[str, ...] = ()
    """What it was made from, or, of its aliases, is called as if it was."""
    own_lifecycle: bool = False
    """Whether the lifecycle that is attached is the enforcer's."""

    @property
    def stream(self) -> str | None:
        """The stream of which it is a part now."""
        return self.member.stream if self.member is not None else None

    @property
    def foreign_lifecycle(self) -> str | None:
        """Somebody else's lifecycle: its stream's where that rules it, else one that is attached to it.

        One that its stream's lifecycle is kept from for good, since ILM ruled it, is nobody's.
        """
        if self.member is not None and self.member.stream_lifecycle:
            exemption = self.metadata.exemption
            return STREAM_LIFECYCLE if exemption is None or exemption.given_back else None
        return self.metadata.lifecycle if not self.own_lifecycle else None

    @property
    def container(self) -> bool:
        """Whether the index itself stays for ever: named without a wildcard, and no part of a stream, now or before."""
        part_of_stream = self.member is not None or any(map(stream_in, (self.metadata.name, *self.names)))
        return not part_of_stream and any(map(self.category.names_literally, self.names))

    def facts(self, documents: int) -> IndexFacts:
        """Return what is known of it before its documents, so many, are asked for their age."""
        index = self.metadata
        return replace(
            IndexFacts.bare(index.name, index.uuid),
            created=index.created,
            documents=documents,
            undated=documents,
            stream=self.stream,
            aliases=index.aliases,
            former_names=self.former_names,
            container=self.container,
            mounted=index.mounted,
            blocks=index.blocks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is there. Each governed index stands either in `governed` or among those set apart."""

    expressions: tuple[str, ...]
    governed: dict[str, Governed]
    set_apart: dict[str, list[SetApart]]
    """By category."""
    metadata: dict[str, IndexMetadata]
    """All governed indices, and those that the expressions reach."""
    identities: IndexIdentities
    taken_over: dict[str, frozenset[str]] = field(default_factory=dict)
    """By category, the names of its indices that lead to others now, or from which others were made."""
    own_lifecycles: Collection[str] = ()
    """The enforcer's lifecycle policies among those that are attached."""

    @property
    def members(self) -> Mapping[str, Membership]:
        """The places of indices in streams."""
        return self.identities.members

    @property
    def not_shown(self) -> tuple[str, ...]:
        """The indices of streams that the state does not have."""
        return tuple(sorted(self.members.keys() - self.identities.metadata.keys()))


def survey(client: Elasticsearch, capabilities: Capabilities, policy: Policy, categories: Sequence[Category]) -> Survey:
    """Return the indices of some categories, from the cluster's state and its streams; reads no documents.

    From the state of the whole cluster: an index can be governed under any name, by what it was made from.
    """
    return sort_out(client, policy, categories, read_identities(client, capabilities, policy, OWN))


def sort_out(
    client: Elasticsearch, policy: Policy, categories: Sequence[Category], identities: IndexIdentities
) -> Survey:
    """Return the same from what was read of the state; the cluster is asked for unknown lifecycle policies alone."""
    expressions = tuple(sorted({pattern.expression for c in categories for pattern in c.indices}))
    concerned = {name: index for name, index in identities.metadata.items() if _concerns(identities, name, expressions)}
    found = Survey(
        expressions=expressions,
        governed={},
        set_apart={category.id: [] for category in categories},
        metadata=concerned,
        identities=identities,
        taken_over={c.id: frozenset(_taken_over(identities, policy, c)) for c in categories},
        own_lifecycles=own_lifecycles(
            policy, (index.lifecycle for index in concerned.values()), LifecyclesSeen(client).contents
        ),
    )
    for index in concerned.values():
        _place(found, policy, index)
    for category in categories:
        found.set_apart[category.id] += [*_aliases_named(found, category), *_not_shown(found, policy, category)]
    return found


def _concerns(identities: IndexIdentities, name: str, expressions: Sequence[str]) -> bool:
    if identities.claims[name].standing is IndexOwner.GOVERNED:
        return True
    names = (name, *identities.other_names(name))
    return any(matches(expression, each) for expression in expressions for each in names)


def _taken_over(identities: IndexIdentities, policy: Policy, category: Category) -> Iterator[str]:
    """Yield the names that a category claims, and that are aliases now, or of what another index was made from."""
    for name, identity in identities.identities.items():
        for other in (*identity.aliases, *identity.origins(reached=True)):
            if other != name and category.id in claimants_by_name(policy, other):
                yield other


def _place(found: Survey, policy: Policy, index: IndexMetadata) -> None:
    """Put an index where it belongs; nowhere if no category claims it: an alias may lead to any index."""
    claim, member = found.identities.claims[index.name], found.members.get(index.name)
    hidden = index.name in found.identities.streams and member is None
    problem = _claimed_twice(index, claim.categories) or (_hidden_stream(index) if hidden else _unreadable(index))
    for owner in found.set_apart.keys() & claim.categories:
        if problem is not None:
            found.set_apart[owner].append(problem)
        else:
            found.governed[index.name] = Governed(
                metadata=index,
                category=policy.category(owner),
                member=member,
                names=claim.names,
                former_names=found.identities.identities[index.name].taken_over,
                own_lifecycle=index.lifecycle in found.own_lifecycles,
            )
    for behind in claim.behind:
        if behind.category in found.set_apart:
            found.set_apart[behind.category].append(_behind_alias(index, behind, claim))


def _behind_alias(index: IndexMetadata, behind: Behind, claim: Claim) -> SetApart:
    identities = f"belongs to {claim.categories[0]}" if claim.categories else "belongs to no category"
    text = f"{behind.alias} matches {behind.category}, but is an alias of {index.name}, which {identities}"
    remedy = f"remove the alias from it, add {index.name} to {behind.category}, or list the alias under `ignore`"
    return apart(index, Doubt.BEHIND_ALIAS, text, remedy)


def _aliases_named(found: Survey, category: Category) -> Iterator[SetApart]:
    """Yield the entries of a category that name an alias: it is for the policy to name indices.

    But for the alias that stands in the place of an index of that name, for what was made from it.
    """
    streams = set(found.identities.streams.values())
    for pattern in category.indices:
        if not pattern.literal or pattern.text in found.identities.metadata or pattern.text in streams:
            continue
        behind = [name for name, identity in found.identities.identities.items() if pattern.text in identity.aliases]
        if behind and not all(pattern.text in found.identities.claims[name].names for name in behind):
            yield SetApart(
                name=pattern.text,
                uuid=None,
                doubt=Doubt.ALIAS,
                text=f"{pattern.text} is an alias, whose indices can change without a change of the policy",
                remedy="name the indices behind it, with a wildcard if they roll over",
            )


def _not_shown(found: Survey, policy: Policy, category: Category) -> Iterator[SetApart]:
    """Yield the indices of governed streams that the state lacks: there is nothing by which to look into them."""
    for name in found.not_shown:
        stream = found.members[name].stream
        if category.id in policy.claimants(stream):
            text = f"{name} is a backing index of data stream {stream}, but is missing in the cluster state"
            remedy = f"check GET _data_stream/{stream} and the cluster's health"
            yield SetApart(name=name, uuid=None, doubt=Doubt.PARTIAL, text=text, remedy=remedy)


def _unreadable(index: IndexMetadata) -> SetApart | None:
    """Return why an index cannot be read, where that is known beforehand: it would spoil the answers of others."""
    if index.follower:
        text = f"{index.name} follows an index of another cluster, so what is deleted here comes back"
        return apart(
            index, Doubt.FOLLOWER, text, "run a retention-enforcer for the leader cluster, or unfollow the index"
        )
    if not index.open:
        text = f"{index.name} is closed, so its documents can be neither checked nor deleted"
        return apart(index, Doubt.CLOSED, text, "open the index, or delete it")
    if not index.assigned:
        text = f"{index.name} has a primary shard that is not assigned to a node"
        return apart(
            index,
            Doubt.UNASSIGNED,
            text,
            "assign the shard (GET _cluster/allocation/explain says why not), or delete the index",
        )
    if index.read_blocked:
        text = f"{index.name} has index.blocks.read, so its documents cannot be checked"
        return apart(index, Doubt.PARTIAL, text, "remove index.blocks.read from the index")
    return None


def _claimed_twice(index: IndexMetadata, owners: Collection[str]) -> SetApart | None:
    if len(owners) <= 1:
        return None
    text = f"{index.name} is claimed by {' and '.join(sorted(owners))}"
    return apart(
        index, Doubt.CLAIMED_TWICE, text, "change their patterns so that each index belongs to one category only"
    )


def _hidden_stream(index: IndexMetadata) -> SetApart:
    text = (
        f"{index.name} is in a data stream that the enforcer is not allowed to read: "
        "it is unknown whether it is the write index"
    )
    remedy = "grant the enforcer's role the privileges that `retention-enforcer setup --print` lists"
    return apart(index, Doubt.PARTIAL, text, remedy)


def apart(index: IndexMetadata, doubt: Doubt, text: str, remedy: str) -> SetApart:
    """Return the index as set apart."""
    return SetApart(name=index.name, uuid=index.uuid, doubt=doubt, text=text, remedy=remedy)


def by_category(governed: Mapping[str, Governed]) -> dict[str, list[Governed]]:
    """Return the governed indices of each category, in the order of their names."""
    sorted_out: dict[str, list[Governed]] = {}
    for _, index in sorted(governed.items()):
        sorted_out.setdefault(index.category.id, []).append(index)
    return sorted_out
