"""What the operator says at this moment, looked at in the midst of work."""

from __future__ import annotations

from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.own.control_documents import ACCEPTED, STOP, control_of
from retention_enforcer.domain.own.state_keys import POLICY
from retention_enforcer.enforcement.ports import DocumentStore
from retention_enforcer.enforcement.terms import Terms, accepted_fingerprint


class OperatorsWord:
    """The stop flag and the accepted policy, read by their keys: one small request where nothing was said."""

    def __init__(self, terms: Terms, control: DocumentStore, state: DocumentStore) -> None:
        self._terms = terms
        self._control = control
        self._state = state

    def raise_if_against(self) -> None:
        """Raise Refused where the operator has stopped all deletion, or another policy is the accepted one."""
        said = self._control.load([ACCEPTED, STOP])
        if STOP in said:
            raise Refused("stopped by the operator", "no action needed: it is planned again after `resume`")
        with readable("the accepted policy in retention-control"):
            control = control_of(said)
        if control.accepted != self._terms.fingerprint:  # perhaps by the environment, whose word is kept elsewhere
            known = self._state.load([POLICY]).get(POLICY)
            self._terms.raise_if_not(accepted_fingerprint(control, known))
