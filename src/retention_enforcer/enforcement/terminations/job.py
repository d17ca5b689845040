"""The work on terminations and requests: register, purge, look again, erase, watch, close, forget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.own.state_keys import TERMINATIONS
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.domain.terminations.findings import AmbiguousOwner, Outstanding, termination_findings
from retention_enforcer.domain.terminations.plan import SubjectPlan, queries_of
from retention_enforcer.domain.terminations.records import (
    CLOSED,
    ERASED,
    FORGOTTEN,
    seen_at,
)
from retention_enforcer.domain.terminations.states import (
    Termination,
    Times,
    closes,
    forgotten,
    is_late,
    may_be_forgotten,
    may_purge,
    times_of,
)
from retention_enforcer.domain.wording import counted, verb
from retention_enforcer.enforcement.erasure.eraser import Eraser, PendingErasure
from retention_enforcer.enforcement.erasure.write_blocks import WriteBlocks
from retention_enforcer.enforcement.lifecycles.ended import EndedLifecycles
from retention_enforcer.enforcement.ports import Clock, Requests
from retention_enforcer.enforcement.scope import Scope, named_run
from retention_enforcer.enforcement.terminations.applications import OwnedApplications
from retention_enforcer.enforcement.terminations.purge import PurgeObservation, SubjectPurge
from retention_enforcer.enforcement.terminations.registrar import Intake, Registrar, TerminationRecorder

_RUN_PASSES = 3
"""How often one run looks again for what was written, or refused, while it purged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminationResult:
    """What one run of the work came to."""

    terminations: tuple[Termination, ...]
    findings: tuple[Finding, ...]
    late: bool
    """Whether a promise to somebody is over, and not everything is erased."""


class TerminationWork:
    """One run after another; everything between two is in the registry."""

    def __init__(
        self,
        *,
        registrar: Registrar,
        book: TerminationRecorder,
        requests: Requests,
        applications: OwnedApplications,
        purge: SubjectPurge,
        write_blocks: WriteBlocks,
        eraser: Eraser,
        ended: EndedLifecycles,
        clock: Clock,
        grace: int,
    ) -> None:
        self._registrar = registrar
        self._book = book
        self._requests = requests
        self._applications = applications
        self._purge = purge
        self._write_blocks = write_blocks
        self._eraser = eraser
        self._ended = ended
        self._clock = clock
        self._grace = grace

    def run(self, scope: Scope) -> TerminationResult:
        """Run once. Raises Refused and ClusterUnavailable where it could not be brought to its end."""
        with named_run(TERMINATIONS) as cycle:
            self._write_blocks.restore(cycle)
            run = self._begin(scope)
            if scope.may_act:
                self._purge_all(scope, run, cycle)
                self._forget(run.intake)
                self._settle_erased(run.terminations, self._eraser.carry_on())
                self._close(run.terminations)
            result = self._result(scope, run, self._write_blocks.restore(cycle))
            self._registrar.note_end()
            return result

    def _begin(self, scope: Scope) -> _Run:
        """Take in what was asked for, and find out whose applications go along."""
        intake = self._registrar.register(scope.control)
        self._purge.begin_again(intake.terminations, intake.told)
        return _Run(intake=intake, undecided=self._applications.find(scope.policy, intake.terminations))

    def _result(self, scope: Scope, run: _Run, unblocked: Mapping[str, str]) -> TerminationResult:
        now = self._clock.now()
        late = {key for key, t in run.terminations.items() if is_late(t, self._times(scope, t), now)}
        undone = Outstanding(
            refused=run.intake.requests.refused,
            undecided=run.undecided,
            unblocked=unblocked,
            returned=self._returned(scope, run.terminations),
            overruled=self._overruled(run.intake),
            late=frozenset(late),
        )
        return TerminationResult(
            terminations=tuple(run.terminations.values()),
            findings=(*termination_findings(run.terminations.values(), undone), *run.findings),
            late=bool(late),
        )

    def _overruled(self, intake: Intake) -> dict[int, str]:
        """Return the reinstatements that do not reach their subjects, since these go along with another's termination.

        Those only that were written after it: one from before was overruled by it.
        """
        index, found = intake.requests.position.uuid[:8], dict[int, str]()
        for key, termination in intake.terminations.items():
            if not termination.is_open or termination.subject is None or termination.kind is SubjectKind.USER:
                continue
            made_in, _, place = key.rpartition("-")
            after = int(place) if made_in == index else -1
            if termination.kind is SubjectKind.ACCOUNT:
                places = self._requests.reinstated(termination.applications, termination.applications, after)
            else:
                places = self._requests.reinstated((), (termination.subject.id,), after)
            found |= dict.fromkeys(places, key)
        return found

    def _times(self, scope: Scope, termination: Termination) -> Times:
        return times_of(scope.policy, termination, self._grace)

    # --- purging ---

    def _purge_all(self, scope: Scope, run: _Run, cycle: str) -> None:
        """Purge all that may be purged now, and look again."""
        self._purge.note_interrupted(scope, run.terminations)
        seen = self._look(scope, run)
        run.findings += self._ended.take_off_others(scope, seen.whole if seen else (), cycle)
        for _ in range(_RUN_PASSES):
            if seen is None or not seen.has_purges:
                break
            if not self._pass(scope, run, seen.plans, cycle):
                run.renew(self._begin(scope))  # somebody came back: what is due is not what it was
            self._purge.note_interrupted(scope, run.terminations)  # before another purge of it is announced
            seen = self._look(scope, run)
        self._leave_to_lifecycles(scope, run, seen, cycle)
        if seen:
            self._purge.take_stock(scope.policy, seen, run.terminations, run.undecided, run.failures)

    def _leave_to_lifecycles(self, scope: Scope, run: _Run, seen: PurgeObservation | None, cycle: str) -> None:
        """Leave what has to go whole and could not be deleted to a lifecycle; nothing where somebody came back.

        That is asked again afterwards: who comes back while it is attached must not wait for the next run.
        """
        if seen is not None and not self._registrar.must_look_again(run.intake):
            whole = self._purge.announce_whole(scope, seen.plans, run.terminations)
            run.findings += self._ended.leave(scope, seen.look.protected, whole, cycle)
            if not whole or not self._registrar.must_look_again(run.intake):
                return
        run.findings += self._ended.leave(scope, {}, {}, cycle)

    def _look(self, scope: Scope, run: _Run) -> PurgeObservation | None:
        """Look for all that may be purged now; None where that is nobody's."""
        due = self._due(scope, run)
        return self._purge.look(scope, due, run.undecided) if due else None

    def _due(self, scope: Scope, run: _Run) -> dict[str, Termination]:
        """Return what may be purged now, noted as begun; not an account of whose applications nothing is known."""
        now = self._clock.now()
        blind = {key for key, undecided in run.undecided.items() if undecided.is_blind}
        for key, termination in run.terminations.items():
            may = may_purge(termination, self._times(scope, termination), now)
            if may and key not in blind and termination.begun_at is None:
                run.terminations[key] = replace(termination, begun_at=now)
                self._book.enter(run.terminations[key], "purging")
        return {
            key: _without(t, run.undecided[key].applications) if key in run.undecided else t
            for key, t in run.terminations.items()
            if key not in blind and may_purge(t, self._times(scope, t), now)
        }

    def _pass(self, scope: Scope, run: _Run, plans: Mapping[str, SubjectPlan], cycle: str) -> bool:
        """Carry the purges out, where an account's applications are found last; False if a subject was reinstated.

        That is asked before each index, so that it does not matter how long the others take.
        """
        for category in sorted(scope.policy.categories, key=lambda c: bool(c.owns)):
            purges = plans[category.id].purges if category.id in plans and category.enforce else []
            whole = [purge for purge in purges if purge.takes is None]
            for some in [whole, *([purge] for purge in purges if purge.takes is not None)]:
                if not some:
                    continue
                if self._registrar.must_look_again(run.intake):
                    return False
                self._purge.carry_out(scope, category, some, run.terminations, run.failures, cycle)
        return True

    # --- afterwards ---

    def _settle_erased(
        self, terminations: MutableMapping[str, Termination], pending: Mapping[str, PendingErasure]
    ) -> None:
        """Write down for whom every file is clean now."""
        under_way = {label for one in pending.values() for label in (*one.labels, *one.again)}
        for key, termination in terminations.items():
            clean = termination.purged_at is not None and key not in under_way
            if clean and termination.erased_at is None:
                now = self._clock.now()
                terminations[key] = replace(termination, erased_at=now)
                text = seen_at(now, "no deleted document is left in any segment file")
                self._book.enter(terminations[key], ERASED, text)

    def _close(self, terminations: MutableMapping[str, Termination]) -> None:
        for key, termination in terminations.items():
            if closes(termination, self._clock.now()):
                terminations[key] = replace(termination, closed_at=self._clock.now())
                self._book.enter(
                    terminations[key],
                    CLOSED,
                    f"{counted(termination.documents, 'document')} {verb(termination.documents, 'was', 'were')} purged",
                )

    def _forget(self, intake: Intake) -> None:
        """Forget the raw ids of those that ended long enough ago, here and in the requests, to the last byte."""
        now = self._clock.now()
        terminations = intake.terminations
        needed = {t.subject for t in terminations.values() if not may_be_forgotten(t, now)}
        old = [(t, t.subject) for t in terminations.values() if t.subject is not None and t.subject not in needed]
        if old:
            self._eraser.begin_own()  # before the deletion: a crash must not lose the bytes
        for termination, subject in old:
            self._requests.forget(subject, intake.requests.position.until)
            terminations[termination.key] = forgotten(termination)
            self._book.enter(terminations[termination.key], FORGOTTEN, "only the pseudonym is left")

    def _returned(self, scope: Scope, terminations: Mapping[str, Termination]) -> dict[str, int]:
        """Return of which closed subjects there are documents again, and how many: reported, not purged.

        One that was reinstated may be there.
        """
        back = {t.subject for t in terminations.values() if t.reinstated or t.is_open}
        closed = [t for t in terminations.values() if t.closed_at is not None and t.subject and t.subject not in back]
        queries = [one for termination in closed for one in queries_of(scope.policy, termination)]
        return self._purge.left(self._purge.observer.look(scope, queries)).documents if queries else {}


def _without(termination: Termination, applications: Collection[str]) -> Termination:
    """Return a termination that takes none of these along."""
    return replace(termination, applications=tuple(a for a in termination.applications if a not in applications))


@dataclass(slots=True)
class _Run:
    """What is known in one run; renewed where requests came in while it purged."""

    intake: Intake
    undecided: dict[str, AmbiguousOwner]
    failures: dict[str, str] = field(default_factory=dict)
    """By the uuid of an index, why the last purge of it did not succeed."""
    findings: list[Finding] = field(default_factory=list)
    """About indices that are left to a lifecycle, or no longer."""

    @property
    def terminations(self) -> MutableMapping[str, Termination]:
        """All that are remembered, kept up to date."""
        return self.intake.terminations

    def renew(self, other: _Run) -> None:
        """Go on with what was taken in since."""
        self.intake, self.undecided = other.intake, other.undecided
