"""A process knows its own indices again while it runs: changed, older or deviating ones are refused until adopted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.own.position import IndexPosition
from retention_enforcer.domain.own.settings import Deviation, OwnSeen
from retention_enforcer.domain.own.state_keys import ADOPTED
from retention_enforcer.enforcement.preconditions.own_indices import OwnWatch


class World:
    """The own indices as they are, and the state among them."""

    def __init__(self) -> None:
        self.uuids = {"ledger": "u1", "state": "u2"}
        self.deviations: tuple[Deviation, ...] = ()
        self.until = 5
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.looks = 0

    def look(self) -> dict[str, OwnSeen]:
        self.looks += 1
        return {name: OwnSeen(uuid=uuid, deviations=self.deviations) for name, uuid in self.uuids.items()}

    def position(self) -> IndexPosition:
        return IndexPosition(uuid=self.uuids["state"], until=self.until)

    def load(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.documents[key] for key in keys if key in self.documents}

    def save(self, key: str, body: Mapping[str, Any], now: int) -> None:
        self.documents[key] = body


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def watch(world: World) -> OwnWatch:
    made = OwnWatch(world, world)
    made.check()
    return made


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"uuids": {"ledger": "new", "state": "u2"}}, "ledger is not the same index as before"),
        ({"uuids": {"ledger": "u1", "state": "new"}}, "state is not the same index as before"),
        ({"until": 4}, "an older state than before"),
    ],
)
def test_what_was_lost_is_refused_again_and_again_until_it_is_adopted(
    world: World, watch: OwnWatch, change: dict[str, Any], says: str
) -> None:
    forgotten = []
    watch.forget = lambda: forgotten.append(True)
    vars(world).update(change)
    for _ in range(2):
        with pytest.raises(Refused, match=says) as refused:
            watch.check()
        assert "ledger adopt" in refused.value.remedy
    assert not forgotten
    world.save(ADOPTED, {"at": 7}, 7)
    watch.check()
    watch.check()
    assert forgotten == [True]


def test_more_of_the_same_is_as_it_was(world: World, watch: OwnWatch) -> None:
    world.until += 1
    watch.check()


def test_a_deviation_is_refused_with_what_destroys_nothing(world: World, watch: OwnWatch) -> None:
    world.deviations = (Deviation(index="control", what="index.lifecycle.name", text="it has one", repairable=True),)
    with pytest.raises(Refused, match="control is not as required: it has one") as refused:
        watch.check()
    assert "retention-enforcer setup" in refused.value.remedy


def test_one_look_serves_those_who_write_one_record_after_another(world: World, watch: OwnWatch) -> None:
    for _ in range(10):
        watch.check_again()
    assert world.looks == 1
