"""Coverage: what no promise reaches. Facts about the whole cluster, and the findings that follow from them.

One finding a reason, however many indices it concerns. None of them says that a promise is broken: `kept` is judged
over governed indices only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from retention_enforcer.domain.findings import Finding, FindingKind, abbreviated
from retention_enforcer.domain.instants import DAY, describe_duration, format_duration, format_instant
from retention_enforcer.domain.policy.claims import Claim, IndexOwner
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.wording import counted, verb

NOTHING_FOR = DAY
"""How long a category may match no index before that is a finding: a first index can be late, a slip stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSeen:
    """One index of the cluster. Instants in epoch milliseconds."""

    name: str
    uuid: str
    claim: Claim
    created: int
    documents: int | None = None
    """None where nobody counted them: they are governed, somebody's on purpose, or cannot be seen."""
    names: tuple[str, ...] = ()
    """Its name, its stream's, its aliases, and what it was made from by a lifecycle."""
    origin: str | None = None
    """The index that it was made from or restored from, as far as its settings tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectedCopy:
    """An index outside the policy whose documents look like those of a category. Instants in epoch milliseconds."""

    name: str
    uuid: str
    created: int
    categories: tuple[str, ...]
    """Whose documents they seem to be; several where their fields do not tell them apart."""
    origin: str | None
    """The governed index that its settings name as the one it was made from."""
    documents: int
    oldest: int | None
    """The oldest document with a believable timestamp."""
    overdue: int
    """Documents past the limit of the first of the categories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageFacts:
    """What one look at the whole cluster showed."""

    as_of: int
    indices: tuple[IndexSeen, ...]
    copies: tuple[SuspectedCopy, ...] = ()
    unseen: Mapping[str, str] | None = None
    """Indices outside the policy that could not be looked into, and why."""

    def of(self, standing: IndexOwner) -> tuple[IndexSeen, ...]:
        """Return the indices that stand so to the policy, the newest first."""
        return tuple(
            sorted((i for i in self.indices if i.claim.standing is standing), key=lambda i: (-i.created, i.name))
        )


def coverage_findings(policy: Policy, facts: CoverageFacts, nothing_since: Mapping[str, int]) -> tuple[Finding, ...]:
    """Return what is not covered: unclaimed indices, suspected copies, and categories that match nothing for long.

    `nothing_since` says since when (epoch milliseconds) a category has matched no index.
    """
    return (
        *_unclaimed(facts),
        *_copies(policy, facts),
        *_unseen(facts),
        *_match_nothing(policy, nothing_since, facts.as_of),
    )


def matching_nothing(policy: Policy, facts: CoverageFacts, known: Mapping[str, int]) -> dict[str, int]:
    """Return the categories, other than never-stored ones, that match no index, and since when that is known."""
    matched = {category for index in facts.indices for category in index.claim.categories}
    return {c.id: known.get(c.id, facts.as_of) for c in policy.categories if not c.never_stored and c.id not in matched}


def _unclaimed(facts: CoverageFacts) -> Iterator[Finding]:
    copies = {copy.uuid for copy in facts.copies}
    indices = [index for index in facts.of(IndexOwner.UNCLAIMED) if index.uuid not in copies]
    if not indices:
        return
    documents = sum(index.documents or 0 for index in indices)
    uncounted = sum(index.documents is None for index in indices)
    text = f"no category claims {counted(len(indices), 'index', 'indices')} with {counted(documents, 'document')}"
    if uncounted:
        text += f", not counting {uncounted:,} whose documents cannot be counted"
    remedy = "add them to the category whose data they contain, or to `ignore` if no promise covers them"
    yield Finding.of(FindingKind.UNCLAIMED, None, f"{text}: {abbreviated([index.name for index in indices])}", remedy)


def _copies(policy: Policy, facts: CoverageFacts) -> Iterator[Finding]:
    groups: dict[str, list[SuspectedCopy]] = {}
    for copy in sorted(facts.copies, key=lambda c: (-c.created, c.name)):
        groups.setdefault(copy.categories[0], []).append(copy)
    for id_, copies in groups.items():
        category = policy.category(id_)
        seem = sorted({other for copy in copies for other in copy.categories} - {id_})
        seems = verb(len(copies), "seems", "seem")
        text = f"{counted(len(copies), 'index', 'indices')} outside the policy {seems} to contain documents of {id_}"
        text += f" (or {', '.join(seem)})" if seem else ""
        documents = counted(sum(copy.documents for copy in copies), "document")
        text += f": {documents}{_age(category, copies, facts.as_of)}; "
        text += abbreviated([_with_origin(copy) for copy in copies])
        remedy = "delete them, add them to a category, or list them under `ignore` if they contain something else"
        yield Finding.of(FindingKind.SUSPECTED_COPY, id_, text, remedy, about="copies")


def _age(category: Category, copies: Iterable[SuspectedCopy], now: int) -> str:
    oldest = min((copy.oldest for copy in copies if copy.oldest is not None), default=None)
    if oldest is None:
        return ", of unknown age"
    text = f", the oldest {describe_duration(now - oldest)} old"
    if category.max_age is None:
        return text
    overdue = sum(copy.overdue for copy in copies)
    if not overdue:
        return f"{text}, limit {format_duration(category.max_age)}"
    since = format_instant(oldest + category.max_age)
    return f"{text}, {overdue:,} of them past the limit of {format_duration(category.max_age)}, the first since {since}"


def _with_origin(copy: SuspectedCopy) -> str:
    return f"{copy.name} (made from {copy.origin})" if copy.origin else copy.name


def _unseen(facts: CoverageFacts) -> Iterator[Finding]:
    """One finding for all that could not be looked into: they may be copies."""
    if facts.unseen:
        first = sorted(facts.unseen)[0]
        text = f"{counted(len(facts.unseen), 'index', 'indices')} outside the policy could not be checked for copies"
        text += f": {abbreviated(sorted(facts.unseen))} ({facts.unseen[first]})"
        remedy = "open them, recover their shards, give the enforcer's role read access, or list them under `ignore`"
        yield Finding.of(FindingKind.NOT_LOOKED_INTO, None, text, remedy)


def _match_nothing(policy: Policy, nothing_since: Mapping[str, int], now: int) -> Iterator[Finding]:
    for category in policy.categories:
        since = nothing_since.get(category.id)
        if since is not None and now - since > NOTHING_FOR:
            patterns = ", ".join(str(pattern) for pattern in category.indices)
            text = f"no index has matched {patterns} for {describe_duration(now - since)}"
            remedy = "correct `indices` of the category, or remove the category if its data is not stored anywhere"
            yield Finding.of(FindingKind.MATCHES_NOTHING, category.id, text, remedy, about="indices")
