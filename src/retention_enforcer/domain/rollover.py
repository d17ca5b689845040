"""Which write indices can be rolled over, when, and to what name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.facts import CategoryFacts, IndexFacts, RefusedRollover
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.instants import MINUTE, describe_duration
from retention_enforcer.domain.policy.promises import SPAN_TOLERANCE, Category

FAILURES = "::failures"
"""The suffix by which Elasticsearch names a stream's failure store."""

_TRIED_AGAIN = 10
"""A refused rollover is tried again after this part of the category's `rollover`, and a minute at least."""

_PASSING = frozenset({"snapshot_in_progress_exception"})
"""Kinds of error that end by themselves."""

_NUMBERED = re.compile(r"(.*-)([0-9]+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRollover:
    """A write index that has to be rolled over."""

    index: IndexFacts
    target: str
    """The stream or alias that is rolled over."""
    reason: str


def due_rollovers(category: Category, facts: CategoryFacts, led: Collection[str], now: int) -> Iterator[DueRollover]:
    """Yield the write indices that are older than the category's `rollover`, and that nobody else rolls over.

    `led` are the uuids of those with a lifecycle of the enforcer's that does: it has a tenth of `rollover` for it, then
    it hangs. An empty index waits for its first document. One under somebody else's lifecycle is left to that: it may
    delete by the date of the rollover.
    """
    if category.max_age is None or not category.enforce:
        return
    for index in facts.indices:
        target = rollover_target(index, category)
        if target is None or not index.documents or index.container or index.lifecycle is not None or index.ageless:
            continue
        age, rollover = now - index.created, category.rollover
        if age <= (SPAN_TOLERANCE * rollover if index.uuid in led else rollover) or is_refused(index, category, now):
            continue
        reason = f"created {describe_duration(age)} ago, but an index may span at most {describe_duration(rollover)}"
        yield DueRollover(index=index, target=target, reason=f"{reason}: {target} is rolled over")


def is_refused(index: IndexFacts, category: Category, now: int) -> bool:
    """Whether the rollover of a write index was refused so lately that it is not tried again yet."""
    refused = index.refused_rollover
    pause = max(category.rollover // _TRIED_AGAIN, MINUTE)
    return refused is not None and refused.at <= now < refused.at + pause


def lasting_refusal(target: str, error: RequestRejected, reason: str, now: int) -> RefusedRollover | None:
    """Return what is remembered of a refusal that lasts until somebody removes its cause; None where it ends by itself.

    `reason` is what the cluster said, as it may be written down.
    """
    if error.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN) or error.kind in _PASSING:
        return None
    if "maximum normal shards open" in error.message:
        remedy = "raise cluster.max_shards_per_node, add a node, or delete indices that are no longer needed"
    elif "duplicated alias" in error.message:
        remedy = f"remove alias {target} from the index template that names it, because the rollover sets it"
    elif error.kind == "resource_already_exists_exception":
        remedy = (
            "delete the index that has the next name (if it is needed, clone it first), "
            f"or point {target} to a write index of another name"
        )
    else:
        remedy = error.remedy or f"check what POST {target}/_rollover?dry_run answers"
    return RefusedRollover(at=now, reason=reason, remedy=remedy)


def refusal_finding(category: str, index: IndexFacts, refused: RefusedRollover) -> Finding:
    """Return the finding that a write index cannot be rolled over."""
    text = f"{index.name} cannot be rolled over, so it grows and its due documents are deleted one by one"
    return Finding.of(FindingKind.ROLLOVER_REFUSED, category, f"{text}: {refused.reason}", refused.remedy, index=index)


def is_alias(index: IndexFacts, target: str) -> bool:
    """Whether what is rolled over for an index is an alias, not a stream."""
    return index.stream is None and not target.endswith(FAILURES)


def rollover_target(index: IndexFacts, category: Category) -> str | None:
    """Return the stream or alias whose rollover makes a write index an ordinary one; None where there is none.

    An alias only where it is the one alias that writes to the index, and the next index's name belongs to the same
    category: data must not roll out of the policy.
    """
    if not index.write_index:
        return None
    if index.stream is not None:
        return index.stream + (FAILURES if index.failure_store else "")
    if len(index.write_aliases) != 1:
        return None
    following = next_name(index.name)
    return index.write_aliases[0] if following and category.claims(following) else None


def may_be_ordinary(index: IndexFacts, category: Category) -> bool:
    """Whether it is no write index, or a rollover makes it an ordinary one: else it never goes whole."""
    return not index.write_index or rollover_target(index, category) is not None


def next_name(name: str) -> str | None:
    """Return the name that a rollover of an alias gives the next index, or None if the name has no number.

    Elasticsearch pads the number to six digits (`logs-000002`).
    """
    match = _NUMBERED.fullmatch(name)
    return f"{match[1]}{int(match[2]) + 1:06d}" if match else None


def last_of_alias(indices: Iterable[IndexFacts]) -> dict[str, str]:
    """Return the index of each alias that would be its last if lifecycles went on alone, and the alias.

    An alias that loses its last index is gone, and the next write to its name creates an index of that name. One that
    a write index's rollover hands on to the next index needs no such care.
    """
    last = {alias: survivor(those) for alias, those in by_alias(indices).items()}
    return {index.name: alias for alias, index in last.items() if index.write_aliases != (alias,)}


def by_alias(indices: Iterable[IndexFacts]) -> dict[str, list[IndexFacts]]:
    """Return the indices of each alias that must not lose its last one."""
    members: dict[str, list[IndexFacts]] = {}
    for index in indices:
        for alias in index.lasting_aliases:
            members.setdefault(alias, []).append(index)
    return members


def survivor(indices: Iterable[IndexFacts]) -> IndexFacts:
    """Return which of an alias's indices stays when all others go: the write index, else the youngest."""
    return max(indices, key=lambda index: (index.write_index, index.created, index.name))
