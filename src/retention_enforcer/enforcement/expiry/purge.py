"""Carries a plan's purges out: intent recorded, act, look again, outcome recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import RefusedRollover
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import Entry, Kind, Outcome, Record, evidence_of
from retention_enforcer.domain.plan import Action, Purge
from retention_enforcer.domain.policy.promises import Category, Policy
from retention_enforcer.domain.selection import Due, Trim, Trimmed
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.expiry.rollovers import Roller
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ledger.fresh_permit import FreshPermit, StaleIntent, holds_unchanged
from retention_enforcer.enforcement.ledger.settle import answer
from retention_enforcer.enforcement.ports import Clock, ControlStore, Deleter, Permit
from retention_enforcer.enforcement.scope import job_of

_log = structlog.get_logger()

BATCH = 20
"""Indices in one DELETE: fifty in one call took 0.25 s where fifty calls took 4.4 s (measured on 8.10)."""

BATCH_BYTES = 3_500
"""Bytes of names in one DELETE: Elasticsearch refuses a request line of more than 4,096."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one purge proved to have taken; a trim that left something counts what it took."""

    purge: Purge
    record: int
    """The sequence of its outcome in the ledger."""
    documents: int
    by_label: Mapping[str, int]
    """Of a purge of subjects' documents, how many for each."""


@dataclass(slots=True)
class Results:
    """What became of a plan's purges."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    purged_indices: int = 0
    purged_documents: int = 0
    done: list[Done] = field(default_factory=list)
    trimmed: list[str] = field(default_factory=list)
    """Uuids of indices whose due documents were deleted."""
    changed: set[str] = field(default_factory=set)
    """Uuids of indices that were written to since they were planned: they have to be planned anew."""
    refused: dict[str, RefusedRollover] = field(default_factory=dict)
    """By index uuid, the rollovers that the cluster refused for a reason that lasts."""
    failures: dict[str, tuple[Purge, str]] = field(default_factory=dict)
    """By index uuid, what did not succeed in the end, and why."""

    def take_changed(self) -> set[str]:
        """Return the uuids of indices to be planned anew, and forget them."""
        changed, self.changed = self.changed, set()
        return changed

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass(frozen=True, slots=True)
class _Recorded:
    purge: Purge
    intent: Record
    at: int


class _NoneDeleted(Exception):
    """A list of indices of which none was deleted, and each is to be tried alone."""

    def __init__(self, recorded: Sequence[_Recorded], message: str) -> None:
        super().__init__(message)
        self.recorded = recorded
        self.message = message


class Purger:
    """Deletes what a plan says, under a permit that is asked for before each request that destroys."""

    def __init__(
        self,
        *,
        deleter: Deleter,
        roller: Roller,
        appender: Appender,
        permit: Permit,
        clock: Clock,
        pseudonyms: Pseudonyms,
        policy: Policy,
        blocks: DeletionBlocks,
        control: ControlStore | None = None,
    ) -> None:
        self._blocks = blocks
        self._deleter = deleter
        self._roller = roller
        self._appender = appender
        self._permit = permit
        self._clock = clock
        self._pseudonyms = pseudonyms
        self._policy = policy
        self._control = control
        self._planned_under: dict[str, frozenset[Hold]] = {}
        """By cycle, the holds that its plans know of."""

    def carry_out(
        self,
        category: Category,
        purges: Sequence[Purge],
        cycle: str,
        results: Results,
        holds: Collection[Hold] = (),
    ) -> None:
        """Carry purges out and add what became of them to `results`; whole indices first, they free the most.

        `holds` are those that the plan knows of: where one has been added since, nothing more is sent.

        Raises Refused when the right to destroy was lost, and ClusterUnavailable when the ledger does not answer;
        all that was begun by then has its outcome, or gets it at the next start.
        """
        self._planned_under[cycle] = frozenset(holds)
        try:
            self._carry_out(category, purges, cycle, results)
        finally:
            del self._planned_under[cycle]
            self._blocks.end(job_of(cycle))

    def _carry_out(self, category: Category, purges: Sequence[Purge], cycle: str, results: Results) -> None:
        whole = [p for p in purges if p.action is Action.DELETE_INDEX]
        for batch in _batches(whole):
            ready = [p for p in batch if p.rollover is None or self._roll_over(category, p, cycle, results)]
            self._delete_whole(category, ready, cycle, results)
        for purge in purges:
            if purge.action is Action.DELETE_DOCUMENTS:
                self._trim(self._intend(category, purge, purge.action, cycle), results)

    def _fresh_permit(self, recorded: Sequence[_Recorded]) -> FreshPermit:
        known = self._planned_under.get(str(recorded[0].intent.get("cycle")), frozenset())
        return FreshPermit(self._permit, self._clock, self._appender, recorded, holds_unchanged(self._control, known))

    def is_gone(self, uuid: str) -> bool:
        """Whether the cluster says for certain that there is no such index any more."""
        there = self._look([uuid])
        return there is not None and uuid not in there

    def names_of(self, uuids: Iterable[str]) -> dict[str, str]:
        """Return the names of those of these indices that exist, by their uuid."""
        return {uuid: existing.name for uuid, existing in self._deleter.existing(list(uuids)).items()}

    def _intend(self, category: Category, purge: Purge, action: str, cycle: str) -> _Recorded:
        # Measured before the record is sent: what the ledger takes for it counts against its lifetime.
        at = self._clock.now()
        index = self._pseudonyms.index_name(self._policy.patterns, purge.facts.name)
        intent = self._appender.append(
            Entry(
                kind=Kind.INTENT,
                category=category.id,
                clause=str(category.clause),
                action=str(action),
                target=(index, purge.facts.uuid),
                evidence=evidence_of(purge.facts, purge.documents),
                reason=self._without_names(purge),
                cycle=cycle,
            )
        )
        return _Recorded(purge, intent, at)

    def _without_names(self, purge: Purge) -> str:
        return self._pseudonyms.hide(self._policy.patterns, purge.facts.name, purge.reason)

    def _finish(
        self,
        recorded: _Recorded,
        outcome: Outcome,
        reason: str,
        results: Results,
        documents: int | None = None,
        by_label: Mapping[str, int] | None = None,
    ) -> None:
        uuid, job = recorded.purge.facts.uuid, _job(recorded)
        if outcome is Outcome.DONE:
            self._blocks.went(uuid, job)
        elif outcome is not Outcome.UNKNOWN:  # else its deletion may still be waiting on the master
            reason = "; ".join(part for part in (reason, self._blocks.take_off(uuid, job)) if part)
        # What Elasticsearch says names the index, and a tenant's index has its subject in the name.
        reason = self._pseudonyms.hide(self._policy.patterns, recorded.purge.facts.name, reason)
        record = self._appender.append(answer(recorded.intent, outcome, reason, documents))
        results.count(outcome)
        if documents is not None:
            done = Done(
                purge=recorded.purge,
                record=int(record["sequence"]),
                documents=documents,
                by_label=by_label or {},
            )
            results.done.append(done)
        if outcome is Outcome.DONE:
            results.failures.pop(uuid, None)
        else:
            results.failures[uuid] = (recorded.purge, reason)

    def _roll_over(self, category: Category, purge: Purge, cycle: str, results: Results) -> bool:
        """Roll a write index over, so that it can be deleted; True if it is an ordinary index now.

        Where that is refused for a reason that lasts, the index is planned anew: without a rollover it is trimmed.
        """
        uuid = purge.facts.uuid
        rolled = self._roller.roll_over(category, purge.facts, purge.rollover or "", purge.reason, cycle)
        results.count(rolled.outcome)
        if rolled.outcome is Outcome.DONE:
            results.failures.pop(uuid, None)
            return True
        results.failures[uuid] = (purge, rolled.reason)
        if rolled.refused is not None and not purge.ordered:
            results.refused[uuid] = rolled.refused
            results.changed.add(uuid)
        return False

    def _delete_whole(self, category: Category, purges: Sequence[Purge], cycle: str, results: Results) -> None:
        """Delete indices as a list; where the list is refused, or its intents took too long, each under its own."""
        recorded = [self._intend(category, p, p.action, cycle) for p in purges]
        try:
            # What is written to now is not blocked at all; what is blocked is looked at once more.
            quiet = self._quiet(self._unchanged(recorded, results), results)
            self._delete(self._unchanged(quiet, results, blocked=True), results)
        except _NoneDeleted as none:
            for one in none.recorded:
                self._finish(one, Outcome.REFUSED, none.message, results)
            if len(none.recorded) > 1:
                for one in none.recorded:
                    self._delete_whole(category, [one.purge], cycle, results)

    def _quiet(self, recorded: Sequence[_Recorded], results: Results) -> list[_Recorded]:
        """Return those that nothing is written to any more, from before the last look until they are gone."""
        if not recorded:
            return []
        try:
            quiet = self._blocks.put_on([one.purge for one in recorded], _job(recorded[0]))
        except RequestRejected as error:
            if len(recorded) > 1:
                message = f"the list was refused a write block ({error.kind}): each is tried alone"
                raise _NoneDeleted(recorded, message) from None
            self._finish(recorded[0], Outcome.REFUSED, f"its writes could not be stopped: {error.message}", results)
            return []
        except OutcomeUnknown as error:
            for one in recorded:
                self._finish(one, Outcome.REFUSED, f"its writes could not be stopped: {error.message}", results)
            return []
        except (Refused, ClusterUnavailable) as error:
            for one in recorded:
                self._finish(one, Outcome.REFUSED, f"not sent: {error.message}", results)
            raise
        for one in recorded:
            if one.purge.facts.uuid not in quiet:
                results.changed.add(one.purge.facts.uuid)
                self._finish(one, Outcome.REFUSED, "blocked by somebody since it was planned: planned anew", results)
        return [one for one in recorded if one.purge.facts.uuid in quiet]

    def _unchanged(self, recorded: Sequence[_Recorded], results: Results, *, blocked: bool = False) -> list[_Recorded]:
        """Return those that are exactly what was planned; the others leave the batch and are planned anew."""
        if not recorded:
            return []
        names = [r.purge.facts.name for r in recorded]
        try:
            now = self._deleter.identities(names)
        except RequestRejected as error:
            if len(recorded) > 1:
                message = f"the list was refused a last look ({error.kind}): each is tried alone"
                raise _NoneDeleted(recorded, message) from None
            self._finish(recorded[0], Outcome.REFUSED, f"not looked at: {error.message}", results)
            return []
        same: list[_Recorded] = []
        for one in recorded:
            facts, identity = one.purge.facts, now.get(one.purge.facts.name)
            if identity is None or identity.uuid != facts.uuid:
                if identity is not None and blocked:  # made anew under its name: the block is on the wrong one
                    self._blocks.take_off_other(identity.uuid, facts.uuid, _job(one))
                self._finish(one, Outcome.REFUSED, "not the index that was planned any more", results)
            elif identity.sequence_numbers != facts.sequence_numbers:
                results.changed.add(facts.uuid)
                self._finish(one, Outcome.REFUSED, "written to since it was planned: planned anew", results)
            else:
                same.append(one)
        return same

    def _delete(self, batch: Sequence[_Recorded], results: Results) -> None:
        """Delete a list of indices, and record what a look afterwards shows of each."""
        if not batch:
            return
        error = self._send_delete(batch, results)
        if isinstance(error, RequestRejected) and len(batch) > 1:
            raise _NoneDeleted(batch, f"the list was refused ({error.kind}): each is tried alone")
        there = self._look([one.purge.facts.uuid for one in batch])
        for one in batch:
            if there is None:
                self._finish(one, Outcome.UNKNOWN, "the cluster cannot be read", results)
            elif one.purge.facts.uuid in there:
                # A request whose answer was lost may still be waiting on the master: not gone is not failed.
                outcome = Outcome.UNKNOWN if isinstance(error, OutcomeUnknown) else Outcome.FAILED
                self._finish(one, outcome, error.message if error else "the index is still there", results)
            else:
                results.purged_indices += 1
                results.purged_documents += one.purge.documents
                self._finish(one, Outcome.DONE, "the index is gone", results, one.purge.documents)

    def _send_delete(self, batch: Sequence[_Recorded], results: Results) -> RequestRejected | OutcomeUnknown | None:
        """Send one DELETE; return what went wrong, if anything. What is true is found out by looking again."""
        try:
            with self._fresh_permit(batch).destructive():
                self._deleter.delete_indices([one.purge.facts.name for one in batch])
        except (RequestRejected, OutcomeUnknown) as error:
            return error
        except StaleIntent as stale:
            raise _NoneDeleted(batch, stale.message) from None
        except (Refused, ClusterUnavailable) as error:
            for one in batch:
                self._finish(one, Outcome.REFUSED, f"not sent: {error.message}", results)
            raise
        return None

    def _due(self, purge: Purge) -> Due:
        if purge.facts.timestamp is None:
            raise ValueError(f"{purge.facts.name}: nobody can tell which of its documents are due")
        return Due(timestamp=purge.facts.timestamp, earliest=self._policy.earliest, cut=purge.cut)

    def _trim(self, recorded: _Recorded, results: Results) -> None:
        purge = recorded.purge
        facts = purge.facts
        order = Trim(
            index=facts.name,
            uuid=facts.uuid,
            takes=purge.takes or self._due(purge),
            spare=purge.spare,
        )
        try:
            trimmed = self._deleter.trim(order, self._fresh_permit([recorded]).destructive)
        except OutcomeUnknown as error:
            self._finish(recorded, Outcome.UNKNOWN, error.message, results)
        except RequestRejected as error:
            self._finish(recorded, Outcome.FAILED, error.message, results)
        except StaleIntent as error:
            self._finish(recorded, Outcome.REFUSED, error.message, results)
        except ClusterUnavailable as error:
            # Perhaps of this index only: if the whole cluster is away, recording this says so.
            self._finish(recorded, Outcome.UNKNOWN, f"interrupted: {error.message}", results)
        except Refused as error:
            self._finish(recorded, Outcome.UNKNOWN, f"interrupted: {error.message}", results)
            raise
        else:
            self._trimmed(recorded, trimmed, results)

    def _trimmed(self, recorded: _Recorded, trimmed: Trimmed, results: Results) -> None:
        results.purged_documents += trimmed.deleted
        if trimmed.left:
            reason = f"{trimmed.left} of the documents are left"
            self._finish(recorded, Outcome.FAILED, reason, results, trimmed.deleted, trimmed.by_label)
        else:
            results.trimmed.append(recorded.purge.facts.uuid)
            none_left = "none of the documents is left"
            self._finish(recorded, Outcome.DONE, none_left, results, trimmed.deleted, trimmed.by_label)

    def _look(self, uuids: Sequence[str]) -> dict[str, bool] | None:
        """Return which indices exist (and whether they were rolled over), or None if that cannot be known now."""
        try:
            return {uuid: existing.rolled_over for uuid, existing in self._deleter.existing(uuids).items()}
        except (ClusterUnavailable, RequestRejected) as error:
            _log.warning("look again", **{"event.outcome": "unknown", "error.message": error.message})
            return None


def _job(recorded: _Recorded) -> str:
    return job_of(str(recorded.intent.get("cycle", "")))


def _batches(purges: Sequence[Purge]) -> Iterator[list[Purge]]:
    batch: list[Purge] = []
    size = 0
    for purge in purges:
        length = len(purge.facts.name.encode()) * 3 + 1  # a name's bytes may be percent-encoded
        if batch and (len(batch) == BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(purge)
        size += length
    if batch:
        yield batch
