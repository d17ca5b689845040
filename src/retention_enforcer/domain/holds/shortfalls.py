"""Holds that cover less than they did: by name, for what they once covered stays covered.

A name moves on: an alias rolls over, an index leaves its stream, a restored one has another name. And a policy that is
edited calls a category otherwise, or no longer says which field names a subject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from retention_enforcer.domain.coverage.findings import IndexSeen
from retention_enforcer.domain.findings import Finding, FindingKind, abbreviated
from retention_enforcer.domain.holds.hold import CoveredIndex, Hold
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.wording import verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """That a hold, as it is written, covers less than it once did."""

    hold: Hold
    text: str
    voided: bool
    """Whether the policy is why: under it the hold does not name what it was put on."""

    def __str__(self) -> str:
        """Return what it comes to, without its operator's words."""
        return self.text

    @property
    def finding(self) -> Finding:
        """Return it as a finding."""
        remedy = "add a hold on the current name, then run "
        remedy += f"`retention-enforcer hold remove {self.hold.id}`; what it covered stays held until it ends"
        return Finding.of(FindingKind.HOLD_COVERS_LESS, None, self.text, remedy, about=self.hold.id)


def shortfalls(policy: Policy, holds: Iterable[Hold], indices: Iterable[IndexSeen], now: int) -> list[Shortfall]:
    """Return what holds that are alive name less than they once covered; `indices` are all of the cluster."""
    seen = tuple(indices)
    found = (_shortfall(policy, hold, seen) for hold in holds if hold.is_alive(now))
    return [one for one in found if one is not None]


def _shortfall(policy: Policy, hold: Hold, indices: Sequence[IndexSeen]) -> Shortfall | None:
    known = {index.uuid for index in indices}
    once = [(index, seen) for index in indices if (seen := _seen_before(hold, index, known)) is not None]
    unnamed = [index for index, seen in once if not _is_named(policy, hold, index, seen)]
    restored = {index.created for index, _ in once}
    gone = [u for u, seen in hold.covered.items() if u not in known and seen.created not in restored]
    homeless = hold.category is not None and hold.category not in {category.id for category in policy.categories}
    texts = list(_texts(hold, indices, unnamed, len(gone), homeless=homeless))
    if not texts:
        return None
    # A name that moved on is not the policy's doing, as long as the policy governs the indices that it led to.
    by_policy = unnamed if hold.index is None else [index for index in unnamed if not index.claim.categories]
    return Shortfall(
        hold=hold,
        text=f"{hold} covers less than before: {'; '.join(texts)}",
        voided=homeless or bool(by_policy),
    )


def _texts(
    hold: Hold, indices: Sequence[IndexSeen], unnamed: Sequence[IndexSeen], gone: int, *, homeless: bool
) -> Iterator[str]:
    if homeless:
        yield f"the policy has no category {hold.category}"
    if hold.index is not None and not any(hold.index in i.names for i in indices if i.claim.categories):
        yield "no governed index, data stream or alias has its name"
    if unnamed:
        names = abbreviated(sorted(index.name for index in unnamed))
        yield f"{len(unnamed):,} of its indices {verb(len(unnamed), 'is', 'are')} no longer under its name: {names}"
    if gone:
        yield f"{gone:,} of its indices {verb(gone, 'is', 'are')} gone"


def _seen_before(hold: Hold, index: IndexSeen, present: Collection[str]) -> CoveredIndex | None:
    return hold.seen_before(index.uuid, index.created, index.origin, present)


def _is_named(policy: Policy, hold: Hold, index: IndexSeen, seen: CoveredIndex) -> bool:
    if index.claim.standing is not IndexOwner.GOVERNED:
        return False
    if hold.subject is not None:
        told = {name for id_ in index.claim.categories for name in hold.fields_in(policy.category(id_))}
        return {*seen.fields} <= told
    if hold.category is not None:
        return hold.category in index.claim.categories
    return hold.index in index.names
