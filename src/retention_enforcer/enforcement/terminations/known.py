"""What is known of terminations and requests: what became of them, what was refused, when it was last looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.own.state_keys import LOOKED, REQUESTS
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Subject
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.document import termination_of
from retention_enforcer.domain.terminations.states import Termination, Times, times_of
from retention_enforcer.enforcement.ports import DocumentStore
from retention_enforcer.enforcement.terminations.intake import RequestsMemory, remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTerminations:
    """Reads what the daemon has written down; changes nothing."""

    policy: Policy
    registry: DocumentStore
    state: DocumentStore
    pseudonyms: Pseudonyms
    grace: int

    def terminations(self) -> list[Termination]:
        """Return all terminations whose subjects are remembered, in the order in which they were registered."""
        return remembered(self.registry)

    def looked_at(self) -> int | None:
        """Return when the daemon last took requests in and worked on all of them; None if it never did."""
        body = self.state.load([LOOKED]).get(LOOKED)
        with readable("what retention-state stores about the last processing of requests"):
            return int(body["at"]) if body is not None else None

    def refused(self) -> Mapping[int, str]:
        """Return the malformed requests that are still there, by their places, and why they were refused."""
        memory = self._requests()
        return memory.refused if memory is not None else {}

    def read_up_to(self) -> int:
        """Return the place of the last request that the daemon has read; -1 before the first."""
        memory = self._requests()
        return memory.position.until if memory is not None else -1

    def _requests(self) -> RequestsMemory | None:
        body = self.state.load([REQUESTS]).get(REQUESTS)
        return RequestsMemory.of(body) if body is not None else None

    def about(self, subject: Subject) -> list[Termination]:
        """Return all terminations of a subject, those that are forgotten too: they are found by its pseudonym."""
        pseudonym = self.pseudonyms.of(subject.text)
        old = (termination_of(body) for body in self.registry.all(pseudonym).values())
        known = [*old, *(t for t in self.terminations() if t.subject == subject)]
        return [t for t in known if t.kind is subject.kind]  # an account and an application can share an id

    def times(self, termination: Termination) -> Times:
        """Return the lengths that decide about a termination."""
        return times_of(self.policy, termination, self.grace)
