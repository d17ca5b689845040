"""The fuse: what may go unannounced, and what an approval releases."""

from __future__ import annotations

import pytest

from builders import NOW, index
from retention_enforcer.domain.fuse import FLOOR, FuseLimits, UnsafePlan, raise_if_unsafe
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.plan import Action, Plan, Purge


def purge(name: str, documents: int, *, foreseen: bool = False) -> Purge:
    return Purge(
        facts=index(name=name),
        action=Action.DELETE_INDEX,
        documents=documents,
        due=NOW - DAY,
        reason="due",
        cut=NOW,
        foreseen=foreseen,
    )


def plan(*purges: Purge, documents: int = 10_000) -> Plan:
    return Plan(category="logs", as_of=NOW, limit=DAY, documents=documents, purge=purges)


@pytest.mark.parametrize(
    "safe",
    [
        plan(),
        plan(purge("a", 5_000)),
        plan(purge("a", 2_000), purge("b", 3_000)),
        plan(purge("a", 9_999, foreseen=True)),
        plan(purge("a", 5_000), purge("b", 5_000, foreseen=True)),
        plan(purge("a", FLOOR - 1), documents=FLOOR - 1),
    ],
    ids=["nothing", "half", "half in two", "foreseen", "half and foreseen", "a small category"],
)
def test_a_plan_within_the_share_passes(safe: Plan) -> None:
    raise_if_unsafe(safe, FuseLimits(max_share=0.5))


@pytest.mark.parametrize(
    "unsafe",
    [plan(purge("a", 5_001)), plan(purge("a", 3_000), purge("b", 2_001)), plan(purge("a", FLOOR), documents=FLOOR)],
    ids=["one more than half", "in two", "a category at the floor"],
)
def test_a_plan_beyond_the_share_is_refused_with_its_numbers_and_the_way_to_approve_it(unsafe: Plan) -> None:
    with pytest.raises(UnsafePlan) as refused:
        raise_if_unsafe(unsafe, FuseLimits(max_share=0.5))
    assert f"of {unsafe.documents:,} documents" in refused.value.message
    assert unsafe.hash in refused.value.mend
    assert refused.value.released == ()


def test_approved_purges_are_released_while_the_rest_is_refused() -> None:
    approved, other = purge("a", 9_000), purge("b", 9_000)
    limits = FuseLimits(max_share=0.5, approved=frozenset({approved.pair}))
    raise_if_unsafe(plan(approved), limits)
    with pytest.raises(UnsafePlan) as refused:
        raise_if_unsafe(plan(approved, other, documents=18_000), FuseLimits(max_share=0.4, approved=limits.approved))
    assert refused.value.released == (approved,)


def test_what_a_share_refuses_every_smaller_share_refuses() -> None:
    some = plan(purge("a", 3_000), purge("b", 100))
    verdicts = []
    for share in (0.1, 0.2, 0.3, 0.31, 0.4, 1.0):
        try:
            raise_if_unsafe(some, FuseLimits(max_share=share))
            verdicts.append(True)
        except UnsafePlan:
            verdicts.append(False)
    assert verdicts == sorted(verdicts) == [False, False, False, True, True, True]
