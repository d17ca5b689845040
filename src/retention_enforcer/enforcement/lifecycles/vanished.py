"""Finds out, after each cycle, which indices went without the enforcer, and writes it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.facts import CategoryFacts, Evidence
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.ledger.records import (
    APPLY_LIFECYCLE,
    DETACH_LIFECYCLE,
    OBSERVED_DELETION,
    Entry,
    Kind,
    Outcome,
)
from retention_enforcer.domain.lifecycles.compiler import own_lifecycles
from retention_enforcer.domain.lifecycles.vanished import (
    CLOCKS,
    HistoryEntry,
    Vanished,
    judge_vanished,
    missing,
    purged_by_the_enforcer,
    with_attached,
)
from retention_enforcer.domain.plan import Action
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.subjects.pseudonyms import Redactor
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, Deleter, DeletionHistory, LedgerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class VanishedIndices:
    """Compares what an earlier cycle knew, also before a restart, with what is there."""

    policy: Policy
    deleter: Deleter
    ledger: LedgerStore
    appender: Appender
    history: DeletionHistory
    has_lifecycles: Callable[[], bool]
    lifecycles: Callable[[], Mapping[str, Mapping[str, Any]]]
    redactor: Redactor
    clock: Clock

    def look(
        self, category: Category, known: Mapping[str, Evidence], facts: CategoryFacts, cycle: str
    ) -> tuple[Vanished, ...]:
        """Return the indices that went without the enforcer; the ledger has a record of each.

        One that the policy does not claim any more is there all the same, so are the documents of one whose place
        another index has taken; and one whose deletion the ledger announces is the enforcer's.
        """
        gone = missing(known, facts)
        if gone:
            # A lifecycle that shrinks or mounts an index deletes it, and gives its name to what it has made from it.
            there_as = {self.redactor.index_name(name) for name in facts.taken_over}
            gone = {uuid: evidence for uuid, evidence in gone.items() if evidence.name not in there_as}
        if gone:
            there = self.deleter.existing(gone)
            gone = {uuid: evidence for uuid, evidence in gone.items() if uuid not in there}
        if gone:
            records = self.ledger.about(gone, Action.DELETE_INDEX.value)
            ours = purged_by_the_enforcer(records)
            gone = {uuid: evidence for uuid, evidence in gone.items() if uuid not in ours}
        if not gone:
            return ()
        now, history = self.clock.now(), self._read_history(gone)
        looked_at = facts.looked_at if facts.looked_at is not None else now - DAY
        changes = [one for action in (APPLY_LIFECYCLE, DETACH_LIFECYCLE) for one in self.ledger.about(gone, action)]
        gone = with_attached(gone, changes, looked_at)
        deleters = [evidence.lifecycle for evidence in gone.values()] + [entry.policy for entry in history or ()]
        own = own_lifecycles(self.policy, deleters, self.lifecycles) if self.has_lifecycles() else {}
        instants = self.history.deleted_at(gone)
        vanished = tuple(
            judge_vanished(uuid, evidence, own, history, now, instants.get(uuid)) for uuid, evidence in gone.items()
        )
        recorded = {str(r["target"]["uuid"]) for r in self.ledger.about(gone, OBSERVED_DELETION)}  # before a crash
        for one in vanished:
            if one.uuid not in recorded:
                self.appender.append(_entry(category, one, cycle))
        return vanished

    def _read_history(self, gone: Mapping[str, Evidence]) -> list[HistoryEntry] | None:
        if not self.has_lifecycles():
            return None
        names = {evidence.name for evidence in gone.values() if evidence.name is not None}
        since = min(evidence.first_seen for evidence in gone.values()) - CLOCKS
        return self.history.deletions(since, self.redactor.index_name, names)


def _entry(category: Category, vanished: Vanished, cycle: str) -> Entry:
    known = vanished.evidence
    evidence: dict[str, int | str] = {} if known.documents is None else {"documents": known.documents}
    evidence |= {
        name: format_instant(at) for name, at in (("oldest", known.oldest), ("newest", known.newest)) if at is not None
    }
    return Entry(
        kind=Kind.OUTCOME,
        category=category.id,
        clause=str(category.clause),
        action=OBSERVED_DELETION,
        target=(vanished.name, vanished.uuid),
        evidence=evidence,
        reason=vanished.reason,
        outcome=Outcome.DONE,
        cycle=cycle,
    )
