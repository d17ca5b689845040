"""Carries a plan's purges out: intent recorded, act, look again, outcome recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import structlog

from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.facts import RefusedRollover
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.ledger.records import MOST_TOGETHER, Outcome, evidence_of
from retention_enforcer.domain.plan import Action, Purge
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.selection import Due, Existing, Trim, Trimmed
from retention_enforcer.domain.wording import verb
from retention_enforcer.enforcement.expiry.deletion_blocks import DeletionBlocks
from retention_enforcer.enforcement.expiry.rollovers import Roller
from retention_enforcer.enforcement.ledger.acts import Act, Acts, Ending, Finished
from retention_enforcer.enforcement.ledger.fresh_permit import Intended, StaleIntent
from retention_enforcer.enforcement.ports import Deleter
from retention_enforcer.enforcement.scope import job_of

_log = structlog.get_logger()

BATCH = MOST_TOGETHER
"""Indices in one DELETE: as many as have their intents in one request."""

MORE = 10
"""By so many indices lists grow again that were made smaller."""

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

    purged_indices: int = 0
    purged_documents: int = 0
    done: list[Done] = field(default_factory=list)
    trimmed: list[str] = field(default_factory=list)
    """Uuids of indices whose due documents were deleted."""
    changed: set[str] = field(default_factory=set)
    """Uuids of indices that were written to since they were planned: they have to be planned anew."""
    rolled: set[str] = field(default_factory=set)
    """Uuids of indices whose rollover was asked for, however that ended: it is not asked for again in the same run."""
    refused: dict[str, RefusedRollover] = field(default_factory=dict)
    """By index uuid, the rollovers that the cluster refused for a reason that lasts."""
    failures: dict[str, tuple[Purge, str]] = field(default_factory=dict)
    """By index uuid, what did not succeed in the end, and why."""

    def take_changed(self) -> set[str]:
        """Return the uuids of indices to be planned anew, and forget them."""
        changed, self.changed = self.changed, set()
        return changed


class _NoneDeleted(Exception):
    """A list of indices of which none was deleted, and each half is to be tried."""

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
            most=BATCH,
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


@dataclass(slots=True, kw_only=True)
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
    most: int
    """Indices in the next list: half as many once a list took so long that its intents were too old."""

    @property
    def job(self) -> str:
        return job_of(self.cycle)

    def carry_out(self, purges: Sequence[Purge]) -> None:
        whole = deque(p for p in purges if p.action is Action.DELETE_INDEX)
        while whole:
            batch = _next_batch(whole, self.most)
            self.most = min(BATCH, self.most + MORE)
            self._delete_whole([p for p in batch if p.rollover is None or self._roll_over(p)])
        for purge in purges:
            if purge.action is Action.DELETE_DOCUMENTS:
                self._trim(self.acts.record_intent(self._act(purge)))

    def _act(self, purge: Purge) -> Act[Purge]:
        return Act(
            what=purge,
            category=self.category,
            action=str(purge.action),
            index=purge.facts.name,
            uuid=purge.facts.uuid,
            reason=purge.reason,
            evidence=evidence_of(purge.facts, purge.documents),
            cycle=self.cycle,
        )

    def _finish(self, endings: Sequence[Ending[Purge]], by_label: Mapping[str, int] | None = None) -> None:
        """Record how purges ended, and take the write blocks off those indices that stay."""
        self.blocks.went([_uuid(e) for e in endings if e.outcome is Outcome.DONE], self.job)
        # The deletion of one whose outcome is unknown may still be waiting on the master.
        stay = [_uuid(e) for e in endings if e.outcome not in (Outcome.DONE, Outcome.UNKNOWN)]
        blocks = self.blocks.take_off(stay, self.job)
        told = [
            replace(e, reason="; ".join(part for part in (e.reason, blocks.get(_uuid(e), "")) if part)) for e in endings
        ]
        for ending, finished in zip(told, self.acts.finish_all(told), strict=True):
            self._note(ending, finished, by_label or {})

    def _note(self, ending: Ending[Purge], finished: Finished, by_label: Mapping[str, int]) -> None:
        purge, documents = ending.one.what, ending.documents
        if documents is not None:
            done = Done(purge=purge, record=finished.record, documents=documents, by_label=by_label)
            self.results.done.append(done)
        if ending.outcome is Outcome.DONE:
            self.results.failures.pop(purge.facts.uuid, None)
        else:
            self.results.failures[purge.facts.uuid] = (purge, finished.reason)

    def _refuse(self, intended: Iterable[Intended[Purge]], reason: str) -> None:
        self._finish([Ending(one, Outcome.REFUSED, reason) for one in intended])

    def _plan_anew(self, intended: Sequence[Intended[Purge]], reason: str) -> None:
        self.results.changed.update(one.what.facts.uuid for one in intended)
        self._refuse(intended, f"{reason}: planned again")

    def _roll_over(self, purge: Purge) -> bool:
        """Roll a write index over, so that it can be deleted; True if it is an ordinary index now.

        Where that is refused for a reason that lasts, the index is planned anew: without a rollover it is trimmed.
        """
        uuid, results = purge.facts.uuid, self.results
        rolled = self.roller.roll_over(self.category, purge.facts, purge.rollover or "", purge.reason, self.cycle)
        results.rolled.add(uuid)
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
        """Delete indices as a list; where the list is refused, or took too long, each half under intents of its own."""
        intended = self.acts.record_intents([self._act(purge) for purge in purges])
        try:
            # What is written to now is not blocked at all; what is blocked is looked at once more.
            quiet = self._quiet(self._unchanged(intended))
            self._delete(self._unchanged(quiet, blocked=True))
        except _NoneDeleted as none:
            self._refuse(none.intended, none.message)
            if len(none.intended) > 1:
                for half in _halves([one.what for one in none.intended]):
                    self._delete_whole(half)

    def _quiet(self, intended: Sequence[Intended[Purge]]) -> list[Intended[Purge]]:
        """Return those that nothing is written to any more, from before the last look until they are gone."""
        if not intended:
            return []
        try:
            stopped = self.blocks.put_on([one.what for one in intended], self.job)
        except RequestRejected as error:
            if len(intended) > 1:
                message = (
                    f"the write block was refused for several indices at once ({error.kind}): fewer are tried at once"
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
        doubtful = [one for one in intended if one.what.facts.uuid in stopped.doubtful]
        theirs = [one for one in intended if one.what.facts.uuid not in stopped.quiet | stopped.doubtful]
        self._refuse(doubtful, "not every shard confirmed that its writes have ended; check the cluster's health")
        self._plan_anew(theirs, "its writes were blocked by somebody else after it was planned")
        return [one for one in intended if one.what.facts.uuid in stopped.quiet]

    def _unchanged(self, intended: Sequence[Intended[Purge]], *, blocked: bool = False) -> list[Intended[Purge]]:
        """Return those that are exactly what was planned; the others leave the batch and are planned anew."""
        if not intended:
            return []
        try:
            now = self.deleter.identities([one.index for one in intended])
        except RequestRejected as error:
            if len(intended) > 1:
                message = (
                    f"the last check was refused for several indices at once ({error.kind}): fewer are tried at once"
                )
                raise _NoneDeleted(intended, message) from None
            self._refuse(intended, f"the last check failed: {error.message}")
            return []
        same: list[Intended[Purge]] = []
        others: list[Intended[Purge]] = []
        written: list[Intended[Purge]] = []
        for one in intended:
            facts, version = one.what.facts, now.get(one.index)
            if version is None or version.uuid != facts.uuid:
                if version is not None and blocked:  # made anew under its name: the block is on the wrong one
                    self.blocks.take_off_other(version.uuid, facts.uuid, self.job)
                others.append(one)
            elif version.sequence_numbers != facts.sequence_numbers:
                written.append(one)
            else:
                same.append(one)
        self._refuse(others, "another index has its name now")
        self._plan_anew(written, "documents were written to it after it was planned")
        return same

    def _delete(self, intended: Sequence[Intended[Purge]]) -> None:
        """Delete a list of indices, and record what a look afterwards shows of each."""
        if not intended:
            return
        error = self._send_delete(intended)
        if isinstance(error, RequestRejected) and len(intended) > 1:
            raise _NoneDeleted(
                intended,
                f"the deletion of several indices at once was refused ({error.kind}): fewer are tried at once",
            )
        there = _look(self.deleter, [one.what.facts.uuid for one in intended], [one.index for one in intended])
        endings = [_ending(one, there, error) for one in intended]
        gone = [ending.one.what for ending in endings if ending.outcome is Outcome.DONE]
        self.results.purged_indices += len(gone)
        self.results.purged_documents += sum(purge.documents for purge in gone)
        self._finish(endings)

    def _send_delete(self, intended: Sequence[Intended[Purge]]) -> RequestRejected | OutcomeUnknown | None:
        """Send one DELETE; return what went wrong, if anything. What is true is found out by looking again."""
        try:
            with self.acts.permit(intended, self.raise_if_held).destructive():
                self.deleter.delete_indices([one.index for one in intended])
        except (RequestRejected, OutcomeUnknown) as error:
            return error
        except StaleIntent as stale:
            self.most = max(1, len(intended) // 2)
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
            self._finish([Ending(one, Outcome.UNKNOWN, error.message)])
        except RequestRejected as error:
            self._finish([Ending(one, Outcome.FAILED, error.message)])
        except StaleIntent as error:
            self._finish([Ending(one, Outcome.REFUSED, error.message)])
        except ClusterUnavailable as error:
            # Perhaps of this index only: if the whole cluster is away, recording this says so.
            self._finish([Ending(one, Outcome.UNKNOWN, f"interrupted: {error.message}")])
        except Refused as error:
            self._finish([Ending(one, Outcome.UNKNOWN, f"interrupted: {error.message}")])
            raise
        else:
            self._trimmed(one, trimmed)

    def _trimmed(self, one: Intended[Purge], trimmed: Trimmed) -> None:
        self.results.purged_documents += trimmed.deleted
        if trimmed.left:
            reason = f"{trimmed.left:,} of the documents {verb(trimmed.left, 'is', 'are')} left"
            ending = Ending(one, Outcome.FAILED, reason, trimmed.deleted)
        else:
            self.results.trimmed.append(one.what.facts.uuid)
            ending = Ending(one, Outcome.DONE, "none of the documents is left", trimmed.deleted)
        self._finish([ending], trimmed.by_label)


def _uuid(ending: Ending[Purge]) -> str:
    return ending.one.what.facts.uuid


def _ending(
    one: Intended[Purge], there: Mapping[str, Existing] | None, error: RequestRejected | OutcomeUnknown | None
) -> Ending[Purge]:
    """Return how the deletion of an index ended, by the look after it and by what went wrong with the request."""
    if there is None:
        return Ending(one, Outcome.UNKNOWN, "the cluster cannot be read")
    if one.what.facts.uuid not in there:
        return Ending(one, Outcome.DONE, "the index is gone", one.what.documents)
    # A request whose answer was lost may still be waiting on the master: not gone is not failed.
    outcome = Outcome.UNKNOWN if isinstance(error, OutcomeUnknown) else Outcome.FAILED
    return Ending(one, outcome, error.message if error else "the index is still there")


def _look(deleter: Deleter, uuids: Sequence[str], names: Sequence[str] | None = None) -> dict[str, Existing] | None:
    """Return which indices exist, or None if that cannot be known now."""
    try:
        return deleter.existing(uuids, names)
    except (ClusterUnavailable, RequestRejected) as error:
        _log.warning(
            "the outcome could not be verified", **{"event.outcome": "unknown", "error.message": error.message}
        )
        return None


def _halves(purges: Sequence[Purge]) -> tuple[Sequence[Purge], Sequence[Purge]]:
    middle = (len(purges) + 1) // 2
    return purges[:middle], purges[middle:]


def _next_batch(purges: deque[Purge], most: int) -> list[Purge]:
    """Take as many from the front as one DELETE may name, one at least."""
    batch: list[Purge] = []
    size = 0
    while purges and len(batch) < most:
        size += len(quote(purges[0].facts.name, safe="")) + 1
        if batch and size > BATCH_BYTES:
            break
        batch.append(purges.popleft())
    return batch
