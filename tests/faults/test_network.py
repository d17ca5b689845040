"""A fault at a request of a run: nothing false is said, nothing is sent twice, and the next run settles what is open.

The whole table, with every request and every fault, is in tests/soak.
"""

from __future__ import annotations

import pytest

from network import Place, Stage, assert_honest, assert_settled, fault_at, run_through
from proxy import Fault
from workbench import Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CASES = [
    (Place("PUT /retention-state/_doc/lease", 1), Fault.BLACK_HOLE_AFTER),
    (Place("GET /_cluster/state/metadata,routing_table,blocks", 1), Fault.SLOW_CLOSE),
    (Place("GET /_snapshot", 1), Fault.CUT),  # so short that it is cut within its headers
    (Place("PUT /retention-ledger/_create/{sequence}", 3), Fault.RESET_AFTER),
    (Place("POST /{indices}/_rollover/{indices}", 1), Fault.AWAY),
    (Place("DELETE /{indices}", 1), Fault.RESET_AFTER),
    (Place("DELETE /{indices}", 1), Fault.BLACK_HOLE_BEFORE),
    (Place("DELETE /{indices}", 1), Fault.CUT),
    (Place("DELETE /{indices}", 1), Fault.AWAY),
    (Place("PUT /{indices}/_bulk", 1), Fault.BLACK_HOLE_AFTER),
    (Place("PUT /{indices}/_bulk", 2), Fault.AWAY),
    (Place("PUT /{indices}/_settings", 1), Fault.AWAY),
    (Place("PUT /retention-terminations/_doc/{key}", 1), Fault.RESET_AFTER),
]


@pytest.fixture
def stage(bench: Workbench) -> Stage:
    bench.erases_for = 0
    made = Stage.of(bench)
    made.fill()
    return made


def test_a_run_with_a_faultless_network_leaves_nothing(stage: Stage) -> None:
    ran, proxy = run_through(stage, lambda request: None)
    assert assert_honest(stage, ran, proxy).startswith("exit 0; 0 left")
    assert_settled(stage)


@pytest.mark.parametrize(("place", "fault"), CASES, ids=[f"{place}, {fault}" for place, fault in CASES])
def test_nothing_false_is_said_and_the_next_run_ends_it(stage: Stage, place: Place, fault: Fault) -> None:
    ran, proxy = run_through(stage, fault_at(place, fault, stage.bench.prefix))
    assert proxy.spoiled, "no request was spoiled: the test is of nothing"
    assert_honest(stage, ran, proxy)
    assert_settled(stage)
