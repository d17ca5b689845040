"""Which applications go along with a terminated account."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, replace

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.findings import AmbiguousOwner
from retention_enforcer.domain.terminations.plan import applications_of
from retention_enforcer.domain.terminations.records import RESOLVED, resolved_to
from retention_enforcer.domain.terminations.states import Termination
from retention_enforcer.domain.wording import counted, verb
from retention_enforcer.enforcement.ports import Clock, Owners
from retention_enforcer.enforcement.terminations.registrar import TerminationRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedApplications:
    """Finds them, and writes down which it found."""

    owners: Owners
    book: TerminationRecorder
    pseudonyms: Pseudonyms
    clock: Clock

    def find(self, policy: Policy, terminations: MutableMapping[str, Termination]) -> dict[str, AmbiguousOwner]:
        """Add to each open account's applications those that belong to it now; return which cannot be told.

        Found out before the documents that say so are gone, and kept when these are. One that certainly belongs to
        another account by now, by a newer document, is let go: it is not this customer's any more.
        """
        undecided = {}
        for key, termination in terminations.items():
            if not termination.is_open or termination.kind is not SubjectKind.ACCOUNT or termination.subject is None:
                continue
            account = termination.subject.id
            try:
                owned = self.owners.of(policy, account, termination.applications, self.clock.now())
            except Refused as error:
                text = f"its applications are unknown: {error.message}; {error.remedy}"
                undecided[key] = AmbiguousOwner(text=text)
                continue
            if owned.undecided:
                reasons = "; ".join(sorted(set(owned.undecided.values())))
                number = len(owned.undecided)
                text = f"{counted(number, 'application')} {verb(number, 'is', 'are')} not included: {reasons}"
                undecided[key] = AmbiguousOwner(text=text, applications=frozenset(owned.undecided))
            found = applications_of(termination, owned, account)
            if found != termination.applications:
                terminations[key] = replace(termination, applications=found)
                self.book.enter(terminations[key], RESOLVED, resolved_to(found, self.pseudonyms))
        return undecided
