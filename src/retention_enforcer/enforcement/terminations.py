"""The work on terminations and requests: register, purge, look again, erase, watch, close, forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.ledger import Outcome
from retention_enforcer.domain.names import governed_part
from retention_enforcer.domain.plan import Purge
from retention_enforcer.domain.policy import Policy
from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.domain.subjects import SubjectKind
from retention_enforcer.domain.termination_findings import Undone, termination_findings
from retention_enforcer.domain.termination_plan import SubjectPlan, asked_in, not_narrowed, plan_purges, sought_of
from retention_enforcer.domain.terminations import (
    OpenItem,
    Purged,
    Termination,
    Times,
    after_look,
    categories_of,
    closes,
    forgotten,
    is_late,
    may_be_forgotten,
    may_purge,
    times_of,
)
from retention_enforcer.enforcement.cycle import Scope
from retention_enforcer.enforcement.erasing import OWN, Eraser, Erasing
from retention_enforcer.enforcement.ports import Clock, Counts, Owners, Requests
from retention_enforcer.enforcement.purge import Purger, Results
from retention_enforcer.enforcement.registrar import Registrar, RequestsMemory, TerminationBook
from retention_enforcer.enforcement.settle import cycle_of
from retention_enforcer.enforcement.subject_look import SubjectLook, SubjectObserver
from retention_enforcer.enforcement.write_blocks import WriteBlocks

_log = structlog.get_logger()

TERMINATIONS = "terminations"

_PASSES = 3
"""How often one run looks again for what was written, or refused, while it purged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminationResult:
    """What one run of the work came to."""

    terminations: tuple[Termination, ...]
    findings: tuple[Finding, ...]
    late: bool
    """Whether a promise to somebody is over, and not everything is erased."""
    unknown: bool = False
    """Whether an intent is left whose outcome is not known: it is looked at again before the next run."""


class TerminationWork:
    """One run after another; everything between two is in the registry."""

    def __init__(
        self,
        *,
        registrar: Registrar,
        book: TerminationBook,
        requests: Requests,
        owners: Owners,
        observer: SubjectObserver,
        counts: Counts,
        purger: Purger,
        write_blocks: WriteBlocks,
        eraser: Eraser,
        pseudonyms: Pseudonyms,
        clock: Clock,
        grace: int,
    ) -> None:
        self._registrar = registrar
        self._book = book
        self._requests = requests
        self._owners = owners
        self._observer = observer
        self._counts = counts
        self._purger = purger
        self._write_blocks = write_blocks
        self._eraser = eraser
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._grace = grace

    def run(self, scope: Scope) -> TerminationResult:
        """Run once. Raises Refused and ClusterUnavailable where it could not be brought to its end."""
        cycle = cycle_of(TERMINATIONS)
        with structlog.contextvars.bound_contextvars(**{"retention.cycle": cycle}):
            self._write_blocks.restore(cycle)
            terminations, requests = self._registrar.register(scope.control)
            undecided = self._find_applications(scope.policy, terminations)
            unknown = False
            if scope.may_act:
                unknown = self._purge(scope, terminations, undecided, cycle)
                self._forget(terminations, requests)
                self._settle_erased(terminations, self._eraser.carry_on())
                self._close(terminations)
            returned = self._returned(scope, terminations)
            late = {key: t for key, t in terminations.items() if is_late(t, self._times(scope, t), self._clock.now())}
            undone = Undone(refused=requests.refused, undecided=undecided, returned=returned, late=frozenset(late))
            return TerminationResult(
                terminations=tuple(terminations.values()),
                findings=tuple(termination_findings(terminations.values(), undone)),
                late=bool(late),
                unknown=unknown,
            )

    def _times(self, scope: Scope, termination: Termination) -> Times:
        return times_of(scope.policy, termination, self._grace)

    # --- whose applications ---

    def _find_applications(self, policy: Policy, terminations: dict[str, Termination]) -> dict[str, str]:
        """Add to each open account's applications those that belong to it now; return why that cannot be told.

        Found out before the documents that say so are gone, and kept when these are. One that certainly belongs to
        another account by now, by a newer document, is let go: it is not this customer's any more.
        """
        undecided = {}
        for key, termination in terminations.items():
            if not termination.is_open or termination.kind is not SubjectKind.ACCOUNT or termination.subject is None:
                continue
            account = termination.subject.id
            try:
                owned = self._owners.of(policy, account, termination.applications, self._clock.now())
            except Refused as error:
                undecided[key] = f"its applications cannot be told: {error.message}; {error.mend}"
                continue
            if owned.undecided:
                undecided[key] = f"{len(owned.undecided)} applications are not taken along: " + "; ".join(
                    sorted(set(owned.undecided.values()))
                )
            doubtful = owned.others | owned.undecided.keys()
            found = sorted({*termination.applications, *owned.applications[account]} - doubtful)
            if found != list(termination.applications):
                terminations[key] = replace(termination, applications=tuple(found))
                self._book.enter(terminations[key], "resolved", f"{len(found)} applications")
        return undecided

    # --- purging ---

    def _purge(
        self, scope: Scope, terminations: dict[str, Termination], undecided: Mapping[str, str], cycle: str
    ) -> bool:
        """Purge all that may be purged now, and look again; True if the outcome of an intent is not known."""
        self._note_interrupted(scope, terminations)
        now = self._clock.now()
        due = {
            key: t
            for key, t in terminations.items()
            if may_purge(t, self._times(scope, t), now) and not (key in undecided and _blind(undecided[key]))
        }
        if not due:
            return False
        self._begin(due, terminations)
        sought = [one for termination in due.values() for one in sought_of(scope.policy, termination)]
        look = self._observer.look(scope, sought)
        outcomes: set[Outcome] = set()
        for _ in range(_PASSES):
            plans = self._plans(scope.policy, look, due)
            if not any(plan.purges for plan in plans.values()):
                break
            outcomes |= self._carry_out(scope, plans, terminations, cycle)
            self._note_interrupted(scope, terminations)  # before another purge of the same index is announced
            look = self._observer.look(scope, sought)
        self._take_stock(scope.policy, look, due, terminations, undecided)
        return Outcome.UNKNOWN in outcomes

    def _begin(self, due: Mapping[str, Termination], terminations: dict[str, Termination]) -> None:
        for key, termination in due.items():
            if termination.begun_at is None:
                terminations[key] = replace(termination, begun_at=self._clock.now())
                self._book.enter(terminations[key], "purging")

    def _carry_out(
        self, scope: Scope, plans: Mapping[str, SubjectPlan], terminations: dict[str, Termination], cycle: str
    ) -> set[Outcome]:
        """Carry the purges out, where an account's applications are found last; return how they ended."""
        outcomes: set[Outcome] = set()
        for category in sorted(scope.policy.categories, key=lambda c: bool(c.owns)):
            purges = plans[category.id].purges if category.id in plans and category.enforce else []
            if not purges:
                continue
            counted = {purge.facts.uuid: self._announce(purge) for purge in purges}
            results = Results()
            try:
                with self._write_blocks.lifted([purge for purge in purges if purge.takes is not None], cycle):
                    self._purger.carry_out(category, purges, cycle, results, scope.control.holds)
            finally:
                outcomes |= results.outcomes.keys()
                for done in results.done:
                    took = done.by_label if done.purge.takes is not None else counted[done.purge.facts.uuid]
                    self._note(scope.policy, category.id, done.purge.facts, took, terminations, record=done.record)
        return outcomes

    def _announce(self, purge: Purge) -> dict[str, int]:
        """Write down what a purge is about to take of whom, so that neither count nor bytes are lost in a crash.

        The bytes of all whom it asks for: what comes while it runs goes with it, also of one who had nothing there.
        """
        facts = purge.facts
        counted = self._counts.by_label(facts.name, facts.spared) if facts.spared else {}
        self._eraser.begin(facts.name, facts.uuid, sorted({match.label for match in facts.spared}), counted)
        return counted

    def _note(
        self,
        policy: Policy,
        category: str,
        facts: IndexFacts,
        took: Mapping[str, int],
        terminations: dict[str, Termination],
        *,
        record: int | None = None,
    ) -> None:
        """Write down what a purge took of whom; without a record it is one that was interrupted."""
        for label, documents in sorted(took.items()):
            termination = terminations[label]
            how = f"outcome {record}" if record is not None else "interrupted, counted afterwards"
            text = f"{documents} documents of index {facts.uuid}, {how}"
            written = self._book.record(termination, "purged", text)
            purged = Purged(
                category=category,
                index=self._pseudonyms.index_name(policy.patterns, facts.name),
                uuid=facts.uuid,
                documents=documents,
                at=self._clock.now(),
                record=record if record is not None else written,
            )
            terminations[label] = replace(
                termination, purges=(*termination.purges, purged), found_at=purged.at, purged_at=None, erased_at=None
            )
            self._book.save(terminations[label])
        self._eraser.noted(facts.uuid)

    def _note_interrupted(self, scope: Scope, terminations: dict[str, Termination]) -> None:
        """Write down what purges took that could not say so themselves: what is not there any more.

        Looked for on behalf of those for whom they were, whether or not anything is due for them now.
        """
        interrupted = {uuid: one for uuid, one in self._eraser.pending().items() if one.expected}
        concerned = {label for one in interrupted.values() for label in one.expected} & terminations.keys()
        if not interrupted:
            return
        sought = [one for label in sorted(concerned) for one in sought_of(scope.policy, terminations[label])]
        look = self._observer.look(scope, sought)
        for uuid, erasing in interrupted.items():
            category, facts = look.place_of(uuid)
            if facts is None and not self._purger.is_gone(uuid):
                continue  # it cannot be looked into now
            if facts is not None and look.cannot_tell(category, facts.name):
                continue
            left = self._counts.by_label(facts.name, facts.spared) if facts and facts.held_documents else {}
            took = {
                label: erasing.expected[label] - left.get(label, 0)
                for label in concerned & erasing.expected.keys()
                if erasing.expected[label] > left.get(label, 0) and not _is_noted(terminations[label], erasing)
            }
            known = IndexFacts.gone(erasing.progress.index, uuid) if facts is None else facts
            self._note(scope.policy, category or _category_of(scope.policy, known.name), known, took, terminations)

    def _take_stock(
        self,
        policy: Policy,
        look: SubjectLook,
        due: Mapping[str, Termination],
        terminations: dict[str, Termination],
        undecided: Mapping[str, str],
    ) -> None:
        """Write down what is left of whom, and where it was looked for."""
        now = self._clock.now()
        plans = self._plans(policy, look, due)
        left = self._left(look)
        for key in due:
            termination = terminations[key]
            items = [item for plan in plans.values() for item in plan.doubts.get(key, [])]
            items += not_narrowed(policy, termination, now)
            if key in undecided:
                items.append(OpenItem(kind="owner-undecided", text=undecided[key]))
            looked_in = {
                category.id: len(look.sought[category.id].indices)
                for category in categories_of(policy, termination.ask)
                if category.id in look.sought
            }
            changed = after_look(
                termination, left=left.get(key, 0), open_items=self._hidden(policy, items), looked_in=looked_in, now=now
            )
            if changed == termination:
                continue
            terminations[key] = changed
            if changed.purged_at is not None and termination.purged_at is None:
                self._book.record(changed, "verified", f"no document is left, {changed.documents} were purged")
            self._book.save(changed)

    def _plans(self, policy: Policy, look: SubjectLook, due: Mapping[str, Termination]) -> dict[str, SubjectPlan]:
        plans = {}
        for id_, sought in look.sought.items():
            category = policy.category(id_)
            asked = asked_in(policy, category, due.values())
            plans[id_] = plan_purges(category, sought, look.held[id_], asked, self._clock.now())
            if not category.enforce:
                plans[id_].doubt(asked.labels, f"{id_} is reported only: enforce is false in the policy")
        return plans

    def _left(self, look: SubjectLook) -> dict[str, int]:
        left: dict[str, int] = {}
        for facts in look.sought.values():
            for index in facts.indices:
                if index.held_documents:
                    for label, documents in self._counts.by_label(index.name, index.spared).items():
                        left[label] = left.get(label, 0) + documents
        return left

    def _hidden(self, policy: Policy, items: Sequence[OpenItem]) -> list[OpenItem]:
        hide = self._pseudonyms.hide_everywhere
        return [replace(item, text=hide(policy.patterns, item.text)) for item in dict.fromkeys(items)]

    # --- afterwards ---

    def _settle_erased(self, terminations: dict[str, Termination], pending: Mapping[str, Erasing]) -> None:
        """Write down for whom every file is clean now."""
        under_way = {label for one in pending.values() for label in (*one.labels, *one.again)}
        for key, termination in terminations.items():
            clean = termination.purged_at is not None and key not in under_way
            if clean and termination.erased_at is None:
                terminations[key] = replace(termination, erased_at=self._clock.now())
                self._book.enter(terminations[key], "erased", "no deleted document is left in any file")

    def _close(self, terminations: dict[str, Termination]) -> None:
        for key, termination in terminations.items():
            if closes(termination, self._clock.now()):
                terminations[key] = replace(termination, closed_at=self._clock.now())
                self._book.enter(terminations[key], "closed", f"{termination.documents} documents were purged")

    def _forget(self, terminations: dict[str, Termination], requests: RequestsMemory) -> None:
        """Forget the raw ids of those that ended long enough ago, here and in the requests, to the last byte."""
        now = self._clock.now()
        needed = {t.subject for t in terminations.values() if not may_be_forgotten(t, now)}
        old = [(t, t.subject) for t in terminations.values() if t.subject is not None and t.subject not in needed]
        if old:
            for name, uuid in self._observer.own_indices().items():
                self._eraser.begin(name, uuid, [OWN])  # before the deletion: a crash must not lose the bytes
        for termination, subject in old:
            self._requests.forget(subject, requests.sequence)
            terminations[termination.key] = forgotten(termination)
            self._book.enter(terminations[termination.key], "forgotten", "only the pseudonym is left")

    def _returned(self, scope: Scope, terminations: Mapping[str, Termination]) -> dict[str, int]:
        """Return of which closed subjects there are documents again, and how many: reported, not purged."""
        closed = [t for t in terminations.values() if t.closed_at is not None and not t.is_forgotten]
        sought = [one for termination in closed for one in sought_of(scope.policy, termination)]
        return self._left(self._observer.look(scope, sought)) if sought else {}


def _is_noted(termination: Termination, erasing: Erasing) -> bool:
    """Whether it was written down already what the announced purge took, before a crash."""
    return any(p.uuid == erasing.progress.uuid and p.record > erasing.after for p in termination.purges)


def _category_of(policy: Policy, name: str) -> str:
    """Return which category an index belonged to that is gone."""
    return next(iter(policy.claimants(governed_part(name))), "")


def _blind(why: str) -> bool:
    """Whether nothing at all is known of an account's applications, so that its purge has to wait."""
    return why.startswith("its applications cannot be told")
