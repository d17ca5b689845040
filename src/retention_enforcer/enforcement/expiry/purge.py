"""Carries a plan's purges out: intent recorded, act, look again, outcome recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import RefusedRollover
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import Outcome, evidence_of
from retention_enforcer.domain.plan import Action, Purge
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.selection import Due, Existing, Trim, Trimmed
from retention_enforcer.domain.wording import verb
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.expiry.rollovers import Roller
from retention_enforcer.enforcement.ledger.acts import Acts
from retention_enforcer.enforcement.ledger.fresh_permit import Intended, StaleIntent
from retention_enforcer.enforcement.ports import Deleter
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


class _NoneDeleted(Exception):
    """A list of indices of which none was deleted, and each is to be tried alone."""

    def __init__(self, intended: Sequence[Intended[Purge]], message: str) -> None:
        super().__init__(message)
        self.intended = intended
        self.message = message


class Purger:
    """Deletes what a plan says, under a permit that is asked for before each request that destroys."""

    def __init__(self, deleter: Deleter, roller: Roller, blocks: DeletionBlocks, acts: Acts, earliest: int) -> None:
        self._deleter = deleter
        self._roller = roller
        self._blocks = blocks
        self._acts = acts
        self._earliest = earliest

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
        run = _Run(
            deleter=self._deleter,
            roller=self._roller,
            blocks=self._blocks,
            acts=self._acts,
            earliest=self._earliest,
            category=category,
            cycle=cycle,
            results=results,
            raise_if_held=self._acts.holds_unchanged(holds),
        )
        try:
            run.carry_out(purges)
        finally:
            self._blocks.end(run.job)

    def is_gone(self, uuid: str) -> bool:
        """Whether the cluster says for certain that there is no such index any more."""
        there = _look(self._deleter, [uuid])
        return there is not None and uuid not in there

    def names_of(self, uuids: Iterable[str]) -> dict[str, str]:
        """Return the names of those of these indices that exist, by their uuid."""
        return {uuid: existing.name for uuid, existing in self._deleter.existing(list(uuids)).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The purges of one category in one run."""

    deleter: Deleter
    roller: Roller
    blocks: DeletionBlocks
    acts: Acts
    earliest: int
    category: Category
    cycle: str
    results: Results
    raise_if_held: Callable[[], None]

    @property
    def job(self) -> str:
        return job_of(self.cycle)

    def carry_out(self, purges: Sequence[Purge]) -> None:
        whole = [p for p in purges if p.action is Action.DELETE_INDEX]
        for batch in _batches(whole):
            self._delete_whole([p for p in batch if p.rollover is None or self._roll_over(p)])
        for purge in purges:
            if purge.action is Action.DELETE_DOCUMENTS:
                self._trim(self._record_intent(purge))

    def _record_intent(self, purge: Purge) -> Intended[Purge]:
        return self.acts.record_intent(
            purge,
            self.category,
            str(purge.action),
            index=purge.facts.name,
            uuid=purge.facts.uuid,
            reason=purge.reason,
            evidence=evidence_of(purge.facts, purge.documents),
            cycle=self.cycle,
        )

    def _finish(
        self,
        one: Intended[Purge],
        outcome: Outcome,
        reason: str,
        documents: int | None = None,
        by_label: Mapping[str, int] | None = None,
    ) -> None:
        uuid = one.what.facts.uuid
        if outcome is Outcome.DONE:
            self.blocks.went(uuid, self.job)
        elif outcome is not Outcome.UNKNOWN:  # else its deletion may still be waiting on the master
            reason = "; ".join(part for part in (reason, self.blocks.take_off(uuid, self.job)) if part)
        finished = self.acts.finish(one, outcome, reason, documents)
        self.results.count(outcome)
        if documents is not None:
            done = Done(purge=one.what, record=finished.record, documents=documents, by_label=by_label or {})
            self.results.done.append(done)
        if outcome is Outcome.DONE:
            self.results.failures.pop(uuid, None)
        else:
            self.results.failures[uuid] = (one.what, finished.reason)

    def _refuse(self, intended: Iterable[Intended[Purge]], reason: str) -> None:
        for one in intended:
            self._finish(one, Outcome.REFUSED, reason)

    def _plan_anew(self, one: Intended[Purge], reason: str) -> None:
        self.results.changed.add(one.what.facts.uuid)
        self._finish(one, Outcome.REFUSED, f"{reason}: planned again")

    def _roll_over(self, purge: Purge) -> bool:
        """Roll a write index over, so that it can be deleted; True if it is an ordinary index now.

        Where that is refused for a reason that lasts, the index is planned anew: without a rollover it is trimmed.
        """
        uuid, results = purge.facts.uuid, self.results
        rolled = self.roller.roll_over(self.category, purge.facts, purge.rollover or "", purge.reason, self.cycle)
        results.count(rolled.outcome)
        if rolled.outcome is Outcome.DONE:
            results.failures.pop(uuid, None)
            return True
        results.failures[uuid] = (purge, rolled.reason)
        if rolled.refused is not None and not purge.ordered:
            results.refused[uuid] = rolled.refused
            results.changed.add(uuid)
        return False

    # --- whole indices ---

    def _delete_whole(self, purges: Sequence[Purge]) -> None:
        """Delete indices as a list; where the list is refused, or its intents took too long, each under its own."""
        intended = [self._record_intent(purge) for purge in purges]
        try:
            # What is written to now is not blocked at all; what is blocked is looked at once more.
            quiet = self._quiet(self._unchanged(intended))
            self._delete(self._unchanged(quiet, blocked=True))
        except _NoneDeleted as none:
            self._refuse(none.intended, none.message)
            if len(none.intended) > 1:
                for one in none.intended:
                    self._delete_whole([one.what])

    def _quiet(self, intended: Sequence[Intended[Purge]]) -> list[Intended[Purge]]:
        """Return those that nothing is written to any more, from before the last look until they are gone."""
        if not intended:
            return []
        try:
            quiet = self.blocks.put_on([one.what for one in intended], self.job)
        except RequestRejected as error:
            if len(intended) > 1:
                message = (
                    f"the write block was refused for several indices at once ({error.kind}): each index is tried alone"
                )
                raise _NoneDeleted(intended, message) from None
            self._refuse(intended, f"its writes could not be blocked: {error.message}")
            return []
        except OutcomeUnknown as error:
            self._refuse(intended, f"its writes could not be blocked: {error.message}")
            return []
        except (Refused, ClusterUnavailable) as error:
            self._refuse(intended, f"not sent: {error.message}")
            raise
        for one in intended:
            if one.what.facts.uuid not in quiet:
                self._plan_anew(one, "its writes were blocked by somebody else after it was planned")
        return [one for one in intended if one.what.facts.uuid in quiet]

    def _unchanged(self, intended: Sequence[Intended[Purge]], *, blocked: bool = False) -> list[Intended[Purge]]:
        """Return those that are exactly what was planned; the others leave the batch and are planned anew."""
        if not intended:
            return []
        try:
            now = self.deleter.identities([one.index for one in intended])
        except RequestRejected as error:
            if len(intended) > 1:
                message = (
                    f"the last check was refused for several indices at once ({error.kind}): each index is tried alone"
                )
                raise _NoneDeleted(intended, message) from None
            self._refuse(intended, f"the last check failed: {error.message}")
            return []
        same: list[Intended[Purge]] = []
        for one in intended:
            facts, version = one.what.facts, now.get(one.index)
            if version is None or version.uuid != facts.uuid:
                if version is not None and blocked:  # made anew under its name: the block is on the wrong one
                    self.blocks.take_off_other(version.uuid, facts.uuid, self.job)
                self._finish(one, Outcome.REFUSED, "another index has its name now")
            elif version.sequence_numbers != facts.sequence_numbers:
                self._plan_anew(one, "documents were written to it after it was planned")
            else:
                same.append(one)
        return same

    def _delete(self, intended: Sequence[Intended[Purge]]) -> None:
        """Delete a list of indices, and record what a look afterwards shows of each."""
        if not intended:
            return
        error = self._send_delete(intended)
        if isinstance(error, RequestRejected) and len(intended) > 1:
            raise _NoneDeleted(
                intended,
                f"the deletion of several indices at once was refused ({error.kind}): each index is tried alone",
            )
        there = _look(self.deleter, [one.what.facts.uuid for one in intended])
        for one in intended:
            if there is None:
                self._finish(one, Outcome.UNKNOWN, "the cluster cannot be read")
            elif one.what.facts.uuid in there:
                # A request whose answer was lost may still be waiting on the master: not gone is not failed.
                outcome = Outcome.UNKNOWN if isinstance(error, OutcomeUnknown) else Outcome.FAILED
                self._finish(one, outcome, error.message if error else "the index is still there")
            else:
                self.results.purged_indices += 1
                self.results.purged_documents += one.what.documents
                self._finish(one, Outcome.DONE, "the index is gone", one.what.documents)

    def _send_delete(self, intended: Sequence[Intended[Purge]]) -> RequestRejected | OutcomeUnknown | None:
        """Send one DELETE; return what went wrong, if anything. What is true is found out by looking again."""
        try:
            with self.acts.permit(intended, self.raise_if_held).destructive():
                self.deleter.delete_indices([one.index for one in intended])
        except (RequestRejected, OutcomeUnknown) as error:
            return error
        except StaleIntent as stale:
            raise _NoneDeleted(intended, stale.message) from None
        except (Refused, ClusterUnavailable) as error:
            self._refuse(intended, f"not sent: {error.message}")
            raise
        return None

    # --- documents ---

    def _due(self, purge: Purge) -> Due:
        if purge.facts.timestamp is None:
            raise ValueError(f"{purge.facts.name} has no timestamp, so its due documents are unknown")
        return Due(timestamp=purge.facts.timestamp, earliest=self.earliest, cut=purge.cut)

    def _trim(self, one: Intended[Purge]) -> None:
        purge = one.what
        takes = purge.takes or self._due(purge)
        order = Trim(index=one.index, uuid=purge.facts.uuid, takes=takes, spare=purge.spare)
        try:
            trimmed = self.deleter.trim(order, self.acts.permit([one], self.raise_if_held).destructive)
        except OutcomeUnknown as error:
            self._finish(one, Outcome.UNKNOWN, error.message)
        except RequestRejected as error:
            self._finish(one, Outcome.FAILED, error.message)
        except StaleIntent as error:
            self._finish(one, Outcome.REFUSED, error.message)
        except ClusterUnavailable as error:
            # Perhaps of this index only: if the whole cluster is away, recording this says so.
            self._finish(one, Outcome.UNKNOWN, f"interrupted: {error.message}")
        except Refused as error:
            self._finish(one, Outcome.UNKNOWN, f"interrupted: {error.message}")
            raise
        else:
            self._trimmed(one, trimmed)

    def _trimmed(self, one: Intended[Purge], trimmed: Trimmed) -> None:
        self.results.purged_documents += trimmed.deleted
        if trimmed.left:
            reason = f"{trimmed.left:,} of the documents {verb(trimmed.left, 'is', 'are')} left"
            self._finish(one, Outcome.FAILED, reason, trimmed.deleted, trimmed.by_label)
        else:
            self.results.trimmed.append(one.what.facts.uuid)
            self._finish(one, Outcome.DONE, "none of the documents is left", trimmed.deleted, trimmed.by_label)


def _look(deleter: Deleter, uuids: Sequence[str]) -> dict[str, Existing] | None:
    """Return which indices exist, or None if that cannot be known now."""
    try:
        return deleter.existing(uuids)
    except (ClusterUnavailable, RequestRejected) as error:
        _log.warning(
            "the outcome could not be verified", **{"event.outcome": "unknown", "error.message": error.message}
        )
        return None


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
