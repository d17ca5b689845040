"""Whose each index of a cluster is: every one has an owner, is nobody's on purpose, or is a finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from retention_enforcer.domain.names import OwnIndices, governed_part
from retention_enforcer.domain.policy import Policy


class Standing(StrEnum):
    """How an index stands to the policy."""

    GOVERNED = "governed"  # claimed by a category, or by two: a finding of theirs
    OWN = "own"  # the enforcer's
    SYSTEM = "system"  # flagged so by Elasticsearch, or a name, its stream's if it has one, that begins with a dot
    IGNORED = "ignored"  # under the policy's `ignore`: no clause covers it, on purpose
    UNCLAIMED = "unclaimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """How one index stands to the policy, and which categories claim it."""

    standing: Standing
    categories: tuple[str, ...] = ()


def claim_on(policy: Policy, own: OwnIndices, name: str, *, stream: str | None, system: bool = False) -> Claim:
    """Return whose an index is, by its name and by that of the stream it is behind.

    A backing index that is in no stream any more still belongs to the stream in its name.
    """
    if name in own.names:
        return Claim(standing=Standing.OWN)
    bare = stream or governed_part(name)
    categories = tuple(c.id for c in policy.categories if c.claims(name) or c.claims(bare))
    if categories:
        return Claim(standing=Standing.GOVERNED, categories=categories)
    if system or bare.startswith("."):
        return Claim(standing=Standing.SYSTEM)
    ignored = any(pattern.matches(name) or pattern.matches(bare) for pattern in policy.ignore)
    return Claim(standing=Standing.IGNORED if ignored else Standing.UNCLAIMED)
