"""Indices that went without the enforcer deleting them: by their lifecycle, that of their stream, or by others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from retention_enforcer.domain.facts import CategoryFacts, Evidence
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.instants import DAY, MINUTE, format_instant, parse_instant
from retention_enforcer.domain.ledger.records import Kind, Outcome, Record
from retention_enforcer.domain.lifecycles.compiler import deletes_at_once
from retention_enforcer.domain.lifecycles.exemption import STREAM_LIFECYCLE, not_ours
from retention_enforcer.domain.wording import counted

CLOCKS = MINUTE
"""How far the clocks of the enforcer and of the cluster may be apart."""

TOLD_FOR = DAY
"""For how long an index that nobody of ours deleted is a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """That a lifecycle deleted an index, as `ilm-history` says. Instants in milliseconds."""

    index: str
    """Its name, with a tenant's id replaced: the history knows no uuid."""
    policy: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """An index that went since the last cycle, and by whom as far as it can be told."""

    uuid: str
    evidence: Evidence
    at: int
    """When it was missed."""
    ours: bool
    """Whether a lifecycle of the enforcer's deleted it."""
    reason: str
    expected: bool = False
    """Whether the lifecycle of its stream deleted it, which was to do so."""

    @property
    def name(self) -> str:
        """Its name as it may be shown."""
        return self.evidence.name or self.uuid


def missing(known: Mapping[str, Evidence], facts: CategoryFacts) -> dict[str, Evidence]:
    """Return what an earlier cycle knew of the indices that are not among the facts any more, by their uuids."""
    there = {index.uuid for index in facts.indices} | {apart.uuid for apart in facts.set_apart}
    return {uuid: evidence for uuid, evidence in known.items() if uuid not in there}


def purged_by_the_enforcer(records: Iterable[Record]) -> frozenset[str]:
    """Return the uuids of the indices whose deletion the ledger announces, unless it came to nothing."""
    last: dict[str, str] = {}
    for record in sorted(records, key=lambda record: int(record["sequence"])):
        last[str(record["target"]["uuid"])] = str(record.get("outcome", Outcome.UNKNOWN))
    return frozenset(uuid for uuid, outcome in last.items() if outcome in (Outcome.DONE, Outcome.UNKNOWN))


def with_attached(known: Mapping[str, Evidence], records: Iterable[Record], looked_at: int) -> dict[str, Evidence]:
    """Return what was known with the lifecycles that delete at once, where these were attached after that look.

    Not by a cycle: none of its looks shows them. `records` are the intents and outcomes of attaching and of detaching:
    one that was taken off again has deleted nothing.
    """
    after, intended = dict(known), dict[int, str]()
    for record in sorted(records, key=lambda record: int(record["sequence"])):
        if record["kind"] == Kind.INTENT:
            intended[int(record["sequence"])] = str((record.get("details") or {}).get("lifecycle", ""))
            continue
        lifecycle, at = intended.get(int(record["intent"]), ""), parse_instant(str(record["time"]))
        if record["outcome"] != Outcome.DONE or at < looked_at:
            continue
        uuid = str(record["target"]["uuid"])
        if deletes_at_once(lifecycle):
            after[uuid] = replace(after[uuid], lifecycle=lifecycle, deletes_from=at)
        elif deletes_at_once(after[uuid].lifecycle or ""):
            after[uuid] = replace(after[uuid], lifecycle=lifecycle or None, deletes_from=None)
    return after


def judge_vanished(
    uuid: str,
    evidence: Evidence,
    own: Collection[str],
    history: Iterable[HistoryEntry] | None,
    now: int,
    deleted_at: int | None = None,
) -> Vanished:
    """Return by whom an index was deleted that the enforcer did not delete.

    `own` names the enforcer's lifecycles; `history` is None where none can be read; `deleted_at` is when it went, as
    far as the cluster's state says. Without a word of the history a lifecycle of the enforcer's, or of its stream, has
    done it if it ruled the index, and the index was due.
    """
    lifecycle = evidence.lifecycle or ""
    gone = f"deleted at {format_instant(deleted_at)}" if deleted_at is not None else "gone"

    def vanished(reason: str, *, ours: bool = False, expected: bool = False) -> Vanished:
        return Vanished(uuid=uuid, evidence=evidence, at=now, ours=ours, reason=reason, expected=expected)

    told = [e for e in history or () if e.index == evidence.name and evidence.first_seen - CLOCKS <= e.at]
    by_ours = [entry for entry in told if entry.policy in own]
    if by_ours:
        last = by_ours[-1]
        at = format_instant(last.at)
        return vanished(f"deleted by its lifecycle {last.policy} at {at}, according to ilm-history", ours=True)
    if told:
        return vanished(f"deleted by {not_ours(told[-1].policy)}, according to ilm-history")
    unsaid = "ilm-history cannot be read" if history is None else "ilm-history does not mention it"
    begins = evidence.deletes_from
    was_due = begins is not None and begins <= (now if deleted_at is None else deleted_at + CLOCKS)
    if lifecycle == STREAM_LIFECYCLE and begins is not None:
        since = format_instant(begins)
        if was_due:
            return vanished(f"{gone}; the {lifecycle} was due to delete it at {since} or later", expected=True)
        return vanished(f"{gone}, before the {lifecycle}, as last seen, was due to delete it at {since} or later")
    if lifecycle in own and begins is not None and was_due:
        since = format_instant(begins)
        return vanished(
            f"{gone}; its lifecycle {lifecycle} was due to delete it at {since} or later; {unsaid}", ours=True
        )
    known = f"it had the lifecycle {lifecycle}" if lifecycle else "it had no lifecycle"
    return vanished(f"{gone}; neither the enforcer nor one of its lifecycles deleted it: {known}; {unsaid}")


def still_told(known: Iterable[Vanished], now: int) -> tuple[Vanished, ...]:
    """Return what is still a finding."""
    return tuple(one for one in known if not (one.ours or one.expected) and now - one.at < TOLD_FOR)


def vanished_finding(category: str, vanished: Vanished) -> Finding:
    """Return the finding that an index was deleted by nobody of ours."""
    known = vanished.evidence.documents
    documents = "content unknown" if known is None else f"{counted(known, 'document')} when last seen"
    text = f"{vanished.name} ({documents}): {vanished.reason}"
    remedy = "find out from the cluster's audit log who deleted it; this finding closes after a day"
    return Finding.of(FindingKind.DELETED_BY_OTHERS, category, text, remedy, index=vanished)
