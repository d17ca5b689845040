"""What the operator decided, as it counts for a job: holds, stop, the accepted policy. New decisions are recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.ledger.records import Entry, Kind
from retention_enforcer.domain.own.state_keys import POLICY
from retention_enforcer.enforcement.holds.records import HoldRecorder
from retention_enforcer.enforcement.ledger.appender import Appender
from retention_enforcer.enforcement.ports import Clock, ControlStore, DocumentStore
from retention_enforcer.enforcement.preconditions.control_memory import ControlWatch
from retention_enforcer.enforcement.scope import Scope
from retention_enforcer.enforcement.terms import Terms, accepted_fingerprint, words_of


class Decisions:
    """Reads what the operator decided, and under what a job may run. Shared by the threads of a process."""

    def __init__(
        self,
        *,
        terms: Terms,
        control: ControlStore,
        watch: ControlWatch,
        holds: HoldRecorder,
        appender: Appender,
        state: DocumentStore,
        clock: Clock,
        raise_if_voided: Callable[[], None],
    ) -> None:
        self._terms = terms
        self._control = control
        self._watch = watch
        self._holds = holds
        self._appender = appender
        self._state = state
        self._clock = clock
        self._raise_if_voided = raise_if_voided
        self._began = clock.now()
        self._lock = threading.Lock()

    def read(self) -> Control:
        """Return what was decided; what is new of holds is in the ledger before anything follows from it.

        Raises Refused where the decisions are not those that they were.
        """
        now = self._clock.now()
        with self._lock:
            control = self._watch.read(lambda control: self._holds.keep(self._terms.policy, control, now), now)
        return control.under(self._terms.fingerprint)

    def scope(self, control: Control) -> Scope:
        """Return under what a job may run now."""
        return self._terms.scope(control, may_act=self._accepted(control) and control.stopped_at is None)

    def _accepted(self, control: Control) -> bool:
        """Whether the policy here is the last one that was accepted; the first time this is seen, it is recorded."""
        mine = self._terms.fingerprint
        with self._lock:  # one category records it, and the others see that
            known = self._state.load([POLICY]).get(POLICY, {})
            if accepted_fingerprint(control, known) != mine:
                return False
            if known.get("recorded") != mine:
                self._appender.append(Entry(kind=Kind.POLICY, action="accepted", reason=mine, actor="operator"))
                self._state.save(POLICY, {**known, "recorded": mine}, self._clock.now())
        return True

    def register_environment(self) -> None:
        """Count the environment's acceptance from when it was first seen: no restart makes it later.

        From this process's beginning, not from when it got the lease: what was accepted while it waited is newer.
        Raises Refused where `policy accept` would: under this policy a hold covers less than before.
        """
        mine = self._terms.fingerprint
        known = self._state.load([POLICY]).get(POLICY, {})
        words = words_of(known)
        if self._terms.accept == mine and mine not in words:
            self._raise_if_voided()
            after = {"environment": {**words, mine: self._began}}
            if "recorded" in known:
                after["recorded"] = known["recorded"]
            self._state.save(POLICY, after, self._clock.now())

    def raise_if_unaccepted(self) -> None:
        """Raise Refused if nobody accepted the policy that is in force here."""
        known = self._state.load([POLICY]).get(POLICY)
        self._terms.raise_if_not(accepted_fingerprint(self._control.read(), known))
