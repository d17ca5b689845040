"""The fuse: what may go unannounced, and what an approval releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, index
from retention_enforcer.domain.fuse import (
    FLOOR,
    FuseLimits,
    Soon,
    UnsafePlan,
    raise_if_unsafe,
    raise_if_unsafe_lifecycles,
)
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


def test_what_was_approved_does_not_count_against_the_share() -> None:
    approved, other = purge("a", 5_000), purge("b", 5_000)
    raise_if_unsafe(plan(approved, other), FuseLimits(max_share=0.5, approved=frozenset({approved.pair})))


def test_an_approval_covers_an_index_by_its_uuid_and_one_action_only() -> None:
    planned = purge("a", 9_000)
    for pair in [(planned.facts.name, "delete_index"), (planned.facts.uuid, "delete_documents")]:
        with pytest.raises(UnsafePlan) as refused:
            raise_if_unsafe(plan(planned), FuseLimits(max_share=0.5, approved=frozenset({pair})))
        assert refused.value.released == ()


def test_a_refusal_says_how_much_would_go_and_counts_the_surprising_only() -> None:
    some = plan(purge("a", 6_000), purge("b", 1_500), purge("c", 2_000, foreseen=True))
    with pytest.raises(UnsafePlan) as refused:
        raise_if_unsafe(some, FuseLimits(max_share=0.5))
    assert refused.value.message == (
        "logs: 7,500 of 10,000 documents in 2 indices would go at once, 75.0% where 50.0% is the most: refused"
    )
    assert refused.value.exit_code == 4


PURGES = st.lists(st.tuples(st.integers(0, 9_000), st.booleans(), st.booleans()), max_size=6)
SHARES = st.floats(0.01, 1)


def refusal(some: Plan, share: float, approved: frozenset[tuple[str, str]]) -> UnsafePlan | None:
    try:
        raise_if_unsafe(some, FuseLimits(max_share=share, approved=approved))
    except UnsafePlan as unsafe:
        return unsafe
    return None


@given(PURGES, st.integers(0, 30_000), SHARES, SHARES)
def test_what_a_share_refuses_every_smaller_share_refuses(
    rows: list[tuple[int, bool, bool]], documents: int, one: float, other: float
) -> None:
    purges = [purge(f"logs-{n}", count, foreseen=seen) for n, (count, seen, _) in enumerate(rows)]
    approved = frozenset(p.pair for p, (_, _, released) in zip(purges, rows, strict=True) if released)
    some = plan(*purges, documents=documents)
    smaller, larger = (refusal(some, share, approved) for share in sorted((one, other)))
    assert smaller or not larger
    for unsafe in filter(None, (smaller, larger)):
        assert set(unsafe.released) == {p for p in purges if p.pair in approved}


# --- what lifecycles would delete within a day --------------------------------------------------------

HALF = FuseLimits(max_share=0.5)


def soon(documents: int, *, foreseen: bool = False) -> Soon:
    return Soon(uuid=f"u{documents}", documents=documents, foreseen=foreseen)


@pytest.mark.parametrize(
    ("some", "attached"),
    [
        (plan(), [soon(5_000)]),
        (plan(purge("a", 2_000)), [soon(3_000)]),
        (plan(purge("a", 9_000, foreseen=True)), [soon(5_000)]),
        (plan(), [soon(9_000, foreseen=True), soon(5_000)]),
        (plan(purge("a", 9_000)), []),
        (plan(purge("a", 9_000)), [soon(5_000, foreseen=True)]),
        (plan(documents=FLOOR - 1), [soon(FLOOR - 1)]),
    ],
)
def test_lifecycles_within_the_share_may_be_attached(some: Plan, attached: list[Soon]) -> None:
    raise_if_unsafe_lifecycles(some, attached, HALF)


@pytest.mark.parametrize(
    ("some", "attached"),
    [
        (plan(), [soon(5_001)]),
        (plan(), [soon(2_500), soon(2_501)]),
        (plan(purge("a", 2_000)), [soon(3_001)]),
        (plan(documents=FLOOR), [soon(FLOOR)]),
    ],
)
def test_what_lifecycles_delete_within_a_day_counts_with_what_goes_now(some: Plan, attached: list[Soon]) -> None:
    with pytest.raises(UnsafePlan, match="within a day") as refused:
        raise_if_unsafe_lifecycles(some, attached, HALF)
    assert refused.value.released == ()


def test_what_was_approved_does_not_count_with_what_lifecycles_delete() -> None:
    approved = purge("a", 5_000)
    limits = FuseLimits(max_share=0.5, approved=frozenset({approved.pair}))
    raise_if_unsafe_lifecycles(plan(approved), [soon(5_000)], limits)
