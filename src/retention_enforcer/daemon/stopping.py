"""The operator's stop: seen by the acting daemon, obeyed, and confirmed."""

from __future__ import annotations

import structlog

from retention_enforcer.daemon.gate import Gate
from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.own.control_documents import RESUMED, STOP, resumed_at, stopped_at
from retention_enforcer.enforcement.ports import Clock, DocumentStore

_log = structlog.get_logger()

_WAIT = 60.0
"""Seconds after which a request under way was answered or timed out."""


class StopFlag:
    """Closes the gate while the flag is set, and says so where the operator waits for it."""

    def __init__(self, flags: DocumentStore, state: DocumentStore, gate: Gate, clock: Clock, instance: str) -> None:
        self._flags = flags
        self._state = state
        self._gate = gate
        self._clock = clock
        self._instance = instance
        self._obeyed: int | None = None

    def look(self) -> None:
        """Look at the flag; obey it, or a resume, if it is news."""
        at = stopped_at(self._flags.load([STOP]).get(STOP))
        if at == self._obeyed:
            return
        if at is None:
            self._raise_if_lost()
            self._gate.open("stop")
            _log.warning("resumed by the operator", **{"event.action": "resume"})
        elif self._gate.close("stop", "stopped by the operator", _WAIT):
            self._state.save(STOP, {"at": at, "instance": self._instance}, self._clock.now())
            _log.warning("stopped by the operator: nothing is deleted", **{"event.action": "stop"})
        else:
            return  # a request is still under way: confirmed at the next look
        self._obeyed = at

    def _raise_if_lost(self) -> None:
        """Raise Refused where the flag is gone, and no operator has taken it back, or given it up (`ledger adopt`)."""
        resumed = self._flags.load([RESUMED]).get(RESUMED)
        confirmed = self._state.load([STOP]).get(STOP)
        with readable("the operator's resume"):
            taken_back = resumed_at(resumed)
            given_up = confirmed is None or int(confirmed["at"]) == 0
        if not given_up and self._obeyed is not None and taken_back < self._obeyed:
            raise Refused(
                "the stop flag is missing in retention-control without a resume: nothing is deleted",
                "run `retention-enforcer resume` to go on, or `retention-enforcer stop` again",
            )
