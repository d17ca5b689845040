"""The operator's word is known again: an older one, another index, or one that lost something is refused."""

from __future__ import annotations

from typing import Any

import pytest

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.own.control_documents import STOP
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.state_keys import CONTROL, HOLDS
from retention_enforcer.enforcement.preconditions.control_memory import ControlMemory, raise_if_control_lost

HOLD = Hold(id="h1", owner="o", reason="r", until=10**15, category="logs")
KNOWN = {"recorded": {"h1": "hold h1 on category logs"}}


def memory(until: int = 7, **more: Any) -> dict[str, Any]:
    return ControlMemory(position=IndexPosition(uuid="u", until=until), **more).body()


@pytest.mark.parametrize(
    ("position", "control", "known", "says"),
    [
        pytest.param(("u", 0), Control(), {}, None, id="nothing was ever seen"),
        pytest.param(("u", 7), Control(holds=(HOLD,)), {CONTROL: memory(), HOLDS: KNOWN}, None, id="as it was"),
        pytest.param(("u", 9), Control(holds=(HOLD,)), {CONTROL: memory(), HOLDS: KNOWN}, None, id="more was said"),
        pytest.param(("u", 6), Control(), {CONTROL: memory()}, "older", id="restored in place"),
        pytest.param(("v", 9), Control(), {CONTROL: memory()}, "another index", id="made anew"),
        pytest.param(("u", 9), Control(), {CONTROL: memory(), HOLDS: KNOWN}, "h1", id="a hold is gone"),
        pytest.param(("u", 9), Control(removed=frozenset({"h1"})), {HOLDS: KNOWN}, None, id="a hold was removed"),
        pytest.param(
            ("u", 9), Control(), {CONTROL: memory(given_up=("h1",)), HOLDS: KNOWN}, None, id="a hold was given up"
        ),
        pytest.param(("u", 9), Control(), {CONTROL: memory(stopped_at=5)}, "stop flag", id="the flag is gone"),
        pytest.param(("u", 9), Control(), {STOP: {"at": 5}}, "stop flag", id="a flag that was confirmed is gone"),
        pytest.param(("u", 9), Control(resumed_at=5), {CONTROL: memory(stopped_at=5)}, None, id="it was resumed"),
        pytest.param(
            ("u", 9), Control(resumed_at=4), {CONTROL: memory(stopped_at=5)}, "stop flag", id="an earlier was resumed"
        ),
        pytest.param(("u", 9), Control(stopped_at=5), {CONTROL: memory(stopped_at=5)}, None, id="it still stands"),
        pytest.param(("u", 9), Control(), {CONTROL: {"uuid": "u", "sequence": 7}}, None, id="an earlier form"),
    ],
)
def test_what_the_operators_word_lost_is_refused(
    position: tuple[str, int], control: Control, known: dict[str, Any], says: str | None
) -> None:
    now = IndexPosition(uuid=position[0], until=position[1])
    if says is None:
        raise_if_control_lost(now, control, known)
        return
    with pytest.raises(Refused, match=says) as refused:
        raise_if_control_lost(now, control, known)
    assert "ledger adopt" in refused.value.remedy
