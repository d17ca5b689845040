"""Whose each index of a cluster is: every one has an owner, is nobody's on purpose, or is a finding.

The one answer for all who ask: what is looked at, what is outside, what is covered by a hold. The first that fits:

1. the enforcer's own
2. by a name: its own, its stream's, or the stream's in the name of a backing index, wherever that index is now
3. by what it was made from, as its settings tell: a mounted, downsampled or shrunk index has another name
4. nobody's: the system's, or unclaimed. One that is reached through an alias of a governed name is a doubt of that
   category: whoever searches that name finds its documents
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from retention_enforcer.domain.policy.names import OWN, OwnIndices, former_names, stream_in
from retention_enforcer.domain.policy.promises import Policy


class IndexOwner(StrEnum):
    """How an index stands to the policy."""

    GOVERNED = "governed"  # claimed by a category, or by two: a finding of theirs
    OWN = "own"  # the enforcer's
    SYSTEM = "system"  # flagged so by Elasticsearch, or a name, its stream's if it has one, that begins with a dot
    IGNORED = "ignored"  # under the policy's `ignore`: no clause covers it, on purpose
    UNCLAIMED = "unclaimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexIdentity:
    """By what is known whose an index is."""

    name: str
    stream: str | None = None
    """Of which it is a backing or failure index now."""
    aliases: tuple[str, ...] = ()
    """Its own, and those of its stream."""
    made_from: tuple[str, ...] = ()
    """The indices that it was certainly made from, whatever it is called."""
    resized_from: str | None = None
    """The index it was shrunk, split or cloned from. Anybody can clone an index: it counts where a lifecycle has made
    it, or where the index has taken the place of the other one."""
    system: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called, and the streams whose part it is, or was."""
        return _distinct(self.name, self.stream, stream_in(self.name))

    @property
    def current_names(self) -> tuple[str, ...]:
        """The same, without the stream in its name where it is in another one now."""
        return _distinct(self.name, self.stream or stream_in(self.name))

    def origins(self, *, reached: bool) -> tuple[str, ...]:
        """Return the names of what it was certainly made from; `reached` says that an alias of it is governed."""
        made_from = [*self.made_from]
        if self.resized_from is not None and (reached or self.resized_from in former_names(self.name)[:1]):
            made_from.append(self.resized_from)
        for name in tuple(made_from):
            # Made from what a lifecycle had made: where the name that it had before leads here, or only a stream's
            # index can have had it, it was that one.
            made_from += [former for former in former_names(name) if former in self.aliases or stream_in(former)]
        return _distinct(*made_from)

    @property
    def taken_over(self) -> tuple[str, ...]:
        """The names of indices whose place it, or an alias of it, has taken: lifecycles leave the name there."""
        before = (former for former in former_names(self.name) if former in self.aliases)
        return _distinct(*before, *self.origins(reached=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """That an index which is none of a category's is reached by a name that the category claims."""

    category: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """How one index stands to the policy, and which categories claim it."""

    standing: IndexOwner
    categories: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """By which names it is claimed."""
    behind: tuple[Behind, ...] = ()
    excluded_from: tuple[str, ...] = ()
    """The categories that would claim it if it did not stand under `ignore`."""


def claim_on(policy: Policy, own: OwnIndices, identity: IndexIdentity) -> Claim:
    """Return whose an index is. A name under `ignore` is no category's, whatever else claims it."""
    if identity.name in own.names:
        return Claim(standing=IndexOwner.OWN)
    reached = any(policy.claimants(alias) for alias in identity.aliases)
    origins = _with_streams(identity.origins(reached=reached))
    for names, ignorable in ((identity.names, identity.current_names), (origins, origins)):
        if any(policy.ignores(name) for name in ignorable):
            standing = IndexOwner.SYSTEM if identity.system else IndexOwner.IGNORED
            excluded = tuple(c.id for c in policy.categories if any(map(c.claims, names)))
            behind = tuple(_behind(policy, identity, ()))
            return Claim(standing=standing, excluded_from=excluded, behind=behind)
        if claimed := [name for name in names if policy.claimants(name)]:
            categories = {id_ for name in claimed for id_ in policy.claimants(name)}
            return Claim(
                standing=IndexOwner.GOVERNED,
                categories=tuple(c.id for c in policy.categories if c.id in categories),
                names=tuple(claimed),
                behind=tuple(_behind(policy, identity, categories)),
            )
    dotted = (identity.stream or stream_in(identity.name) or identity.name).startswith(".")
    standing = IndexOwner.SYSTEM if identity.system or dotted else IndexOwner.UNCLAIMED
    return Claim(standing=standing, behind=tuple(_behind(policy, identity, ())))


class KnownClaims:
    """Whose indices are under one policy; of one that is known as before that is not worked out again."""

    def __init__(self, policy: Policy, own: OwnIndices) -> None:
        self._policy = policy
        self._own = own
        self._known: dict[IndexIdentity, Claim] = {}

    def of(self, identities: Mapping[str, IndexIdentity]) -> dict[str, Claim]:
        """Return the claim on each of these, which are all that there are, by its name."""
        before = self._known
        now = {one: before.get(one) or claim_on(self._policy, self._own, one) for one in identities.values()}
        self._known = now
        return {name: now[one] for name, one in identities.items()}


def claimants_by_name(policy: Policy, name: str) -> tuple[str, ...]:
    """Return the ids of all categories that claim an index of this name, where nothing but the name is known of it."""
    return claim_on(policy, OWN, IndexIdentity(name=name)).categories


def possible_claimants(policy: Policy, name: str) -> tuple[str, ...]:
    """Return the same, also of an index that a lifecycle may have made from one of theirs: nothing is deleted by it."""
    return claim_on(policy, OWN, IndexIdentity(name=name, made_from=former_names(name))).categories


def _distinct(*names: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _with_streams(names: Iterable[str]) -> tuple[str, ...]:
    return _distinct(*(each for name in names for each in (name, stream_in(name))))


def _behind(policy: Policy, identity: IndexIdentity, owners: Iterable[str]) -> Iterator[Behind]:
    """Yield the categories that claim an alias of an index of somebody else's; one alias is enough."""
    known = set(owners)
    for alias in identity.aliases:
        for id_ in policy.claimants(alias):
            literal = policy.category(id_).names_literally(alias)  # then the alias itself is in doubt
            if id_ not in known and not literal:
                known.add(id_)
                yield Behind(category=id_, alias=alias)
