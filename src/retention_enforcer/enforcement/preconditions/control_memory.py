"""What is remembered of `retention-control`: an older one, or one made anew, is not taken for the operator's word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.own.control_documents import STOP
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.state_keys import CONTROL, HOLDS
from retention_enforcer.enforcement.holds.records import lost_holds
from retention_enforcer.enforcement.ports import ControlStore, DocumentStore

_ADOPT = "restore it, or find out what happened, add again what was lost and run `retention-enforcer ledger adopt`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMemory:
    """How far the operator's word went when it was last obeyed."""

    position: IndexPosition
    stopped_at: int = 0
    """When the operator set the flag that was last seen (epoch milliseconds); 0 where none was."""
    given_up: Collection[str] = field(default_factory=tuple)
    """Holds that were lost, as an operator knows who adopted that."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ControlMemory:
        """Read it from its document."""
        with readable("what retention-state stores about retention-control"):
            given_up = tuple(str(id_) for id_ in body.get("given_up", ()))
            return cls(position=IndexPosition.of(body), stopped_at=int(body.get("stopped_at", 0)), given_up=given_up)

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        given_up = {"given_up": list(self.given_up)} if self.given_up else {}
        return {**self.position.body(), "stopped_at": self.stopped_at, **given_up}


class ControlWatch:
    """Reads the operator's word, and refuses it where it is not what it was or lost something."""

    def __init__(self, index: DocumentStore, control: ControlStore, state: DocumentStore) -> None:
        self._index = index
        self._control = control
        self._state = state

    def read(self, obey: Callable[[Control], None], now: int) -> Control:
        """Return the operator's word once `obey` has taken note of it; then remember how far it goes.

        Raises Refused where it is older than it was, another index, or lacks a hold or a stop that nobody took back.
        """
        position = self._index.position()  # before what is in it: what is remembered is never ahead of what was read
        control = self._control.read()
        known = self._state.load([CONTROL, HOLDS, STOP])
        raise_if_control_lost(position, control, known)
        obey(control)
        after = ControlMemory(position=position, stopped_at=control.stopped_at or 0).body()
        if known.get(CONTROL) != after:
            self._state.save(CONTROL, after, now)
        return control

    def check(self) -> None:
        """Raise Refused where `read` would; writes nothing."""
        position, control = self._index.position(), self._control.read()
        raise_if_control_lost(position, control, self._state.load([CONTROL, HOLDS, STOP]))


def raise_if_control_lost(position: IndexPosition, control: Control, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise Refused where retention-control is not what `known`, from retention-state, says that it was."""
    body = known.get(CONTROL)
    memory = ControlMemory.of(body) if body else None
    if memory and not position.continues(memory.position):
        raise Refused("retention-control is another index than before, or an older state: nothing is deleted", _ADOPT)
    given_up = memory.given_up if memory else ()
    lost = [id_ for id_ in lost_holds(known.get(HOLDS), control) if id_ not in given_up]
    if lost:
        raise Refused(
            f"holds that nobody removed are missing in retention-control: {', '.join(lost)}; nothing is deleted", _ADOPT
        )
    if lost_stop(control, known):
        raise Refused("the stop flag is missing in retention-control without a resume: nothing is deleted", _ADOPT)


def lost_stop(control: Control, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a flag that was seen or confirmed is gone, and no operator took it back."""
    body, confirmed = known.get(CONTROL), known.get(STOP)
    with readable("the confirmed stop in retention-state"):
        seen = max(ControlMemory.of(body).stopped_at if body else 0, int(confirmed["at"]) if confirmed else 0)
    return control.stopped_at is None and seen > control.resumed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedControl:
    """What was lost of the operator's word, and is given up."""

    holds: tuple[str, ...]
    stop: bool


def adopt_control(index: DocumentStore, control: ControlStore, state: DocumentStore, now: int) -> AdoptedControl:
    """Go on with the operator's word as it is now."""
    position, word = index.position(), control.read()
    known = state.load([CONTROL, HOLDS, STOP])
    lost = tuple(lost_holds(known.get(HOLDS), word))
    state.save(CONTROL, ControlMemory(position=position, given_up=lost).body(), now)
    stop = lost_stop(word, known)
    if stop:
        state.save(STOP, {"at": 0, "instance": ""}, now)
    return AdoptedControl(holds=lost, stop=stop)
