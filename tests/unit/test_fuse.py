"""The fuse: what may go unannounced, and what an approval releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, index
from retention_enforcer.domain.control import Shown
from retention_enforcer.domain.expiry.fuse import (
    FLOOR,
    FuseLimits,
    Soon,
    UnsafePlan,
    covered_by,
    raise_if_unsafe,
    raise_if_unsafe_lifecycles,
    released_by,
)
from retention_enforcer.domain.foresight import Gap
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.plan import Action, Plan, Purge
from retention_enforcer.domain.selection import HasField


def purge(name: str, documents: int, *, foreseen: int = 0) -> Purge:
    return Purge(
        facts=index(name=name),
        action=Action.DELETE_INDEX,
        documents=documents,
        due=NOW - DAY,
        reason="due",
        cut=NOW,
        foreseen=foreseen,
    )


def shown(*purges: Purge) -> dict[tuple[str, str], Shown]:
    """An approval of purges as they are."""
    return {p.pair: Shown(documents=p.documents, foreseen=p.foreseen) for p in purges}


def plan(*purges: Purge, documents: int = 10_000) -> Plan:
    return Plan(category="logs", as_of=NOW, limit=DAY, documents=documents, purge=purges)


@pytest.mark.parametrize(
    "safe",
    [
        plan(),
        plan(purge("a", 5_000)),
        plan(purge("a", 2_000), purge("b", 3_000)),
        plan(purge("a", 10_000, foreseen=10_000)),
        plan(purge("a", 2_500), purge("b", 5_000, foreseen=5_000)),
        plan(purge("a", 7_000, foreseen=4_000)),
        plan(purge("a", FLOOR - 1), documents=FLOOR - 1),
    ],
    ids=[
        "nothing",
        "half",
        "half in two",
        "foreseen",
        "half of the rest",
        "half of the rest in one",
        "a small category",
    ],
)
def test_a_plan_within_the_share_passes(safe: Plan) -> None:
    raise_if_unsafe(safe, FuseLimits(max_share=0.5))


@pytest.mark.parametrize(
    "unsafe",
    [
        plan(purge("a", 5_001)),
        plan(purge("a", 3_000), purge("b", 2_001)),
        plan(purge("a", FLOOR), documents=FLOOR),
    ],
    ids=["one more than half", "in two", "a category at the floor"],
)
def test_a_plan_beyond_the_share_is_refused_with_its_numbers_and_the_way_to_approve_it(unsafe: Plan) -> None:
    with pytest.raises(UnsafePlan) as refused:
        raise_if_unsafe(unsafe, FuseLimits(max_share=0.5))
    assert f"of {unsafe.documents:,} documents" in refused.value.message
    assert unsafe.hash in refused.value.remedy
    assert refused.value.released == ()


def test_approved_purges_are_released_while_the_rest_is_refused() -> None:
    approved, other = purge("a", 9_000), purge("b", 9_000)
    limits = FuseLimits(max_share=0.5, approved=shown(approved))
    raise_if_unsafe(plan(approved), limits)
    with pytest.raises(UnsafePlan) as refused:
        raise_if_unsafe(plan(approved, other, documents=18_000), FuseLimits(max_share=0.4, approved=limits.approved))
    assert refused.value.released == (approved,)


@pytest.mark.parametrize(("rest", "safe"), [(2_500, True), (2_501, False)])
def test_what_was_approved_counts_neither_in_the_share_nor_in_its_whole(rest: int, safe: bool) -> None:
    approved, other = purge("a", 5_000), purge("b", rest)
    found = refusal(plan(approved, other), 0.5, shown(approved))
    assert (found is None) is safe


@pytest.mark.parametrize(("rest", "safe"), [(2_500, True), (2_501, False)])
def test_what_was_foreseen_counts_neither_in_the_share_nor_in_its_whole(rest: int, safe: bool) -> None:
    some = plan(purge("a", 5_000, foreseen=5_000), purge("b", rest))
    assert (refusal(some, 0.5, {}) is None) is safe


def test_a_small_rest_beside_an_approval_is_no_small_category() -> None:
    approved, other = purge("a", 9_500), purge("b", 500)
    unsafe = refusal(plan(approved, other), 0.5, shown(approved))
    assert unsafe is not None
    assert "500 of 500 documents" in unsafe.message
    assert unsafe.released == (approved,)


NOW_DUE = [
    ("as shown", 9_000, 0, True),
    ("fewer than shown", 8_000, 0, True),
    ("one more than shown", 9_001, 0, False),
    ("more, and all of them foreseen since", 9_400, 400, True),
    ("one more than was foreseen since", 9_401, 400, False),
]


@pytest.mark.parametrize(("documents", "foreseen", "covered"), [pytest.param(*c, id=i) for i, *c in NOW_DUE])
@pytest.mark.parametrize("already", [0, 700], ids=["", "of which some were foreseen when it was shown"])
def test_an_approval_is_for_what_was_shown_and_what_was_foreseen_since(
    documents: int, foreseen: int, covered: bool, already: int
) -> None:
    seen = shown(purge("a", 9_000, foreseen=already))
    planned = purge("a", documents, foreseen=already + foreseen if foreseen else 0)
    limits = FuseLimits(max_share=0.01, approved=seen)
    assert (covered_by(planned, limits) == documents) is covered
    assert released_by(plan(planned), limits) == ((planned,) if covered else ())


def test_documents_of_another_categorys_index_are_no_part_of_the_whole() -> None:
    """They hold a forbidden field, and go by an order; what is to go by age has the same whole with and without."""
    elsewhere = replace(
        purge("other", 9_900), ordered=True, action=Action.DELETE_DOCUMENTS, takes=HasField(fields=("secret",))
    )
    assert refusal(plan(purge("a", 5_000), elsewhere), 0.5, {}) is None
    assert refusal(plan(purge("a", 5_001), elsewhere), 0.5, {}) is not None


GAPS = [
    (Gap(length=20 * DAY, horizon=15 * MINUTE, nothing_younger=True), "the last check was 20 d before this one", True),
    (Gap(length=HOUR, horizon=15 * MINUTE, nothing_younger=False), "the last check was 1 h before this one", False),
    (Gap(length=-DAY, horizon=15 * MINUTE, nothing_younger=False), "the last check was 1 d after this one", False),
]


@pytest.mark.parametrize(("gap", "words", "stepped"), GAPS)
def test_a_refusal_after_a_gap_names_it(gap: Gap, words: str, stepped: bool) -> None:
    some = replace(plan(purge("a", 9_000)), gap=gap)
    unsafe = refusal(some, 0.5, {})
    assert unsafe is not None
    assert words in unsafe.message
    assert ("clock" in unsafe.message) is stepped
    assert "more than 15 min apart foresee nothing" in unsafe.remedy
    with pytest.raises(UnsafePlan, match=words):
        raise_if_unsafe_lifecycles(replace(plan(), gap=gap), [soon(9_000)], HALF)


def test_an_approval_covers_an_index_by_its_uuid_and_one_action_only() -> None:
    planned = purge("a", 9_000)
    for pair in [(planned.facts.name, "delete_index"), (planned.facts.uuid, "delete_documents")]:
        limits = FuseLimits(max_share=0.5, approved={pair: Shown(documents=9_000, foreseen=0)})
        with pytest.raises(UnsafePlan) as refused:
            raise_if_unsafe(plan(planned), limits)
        assert refused.value.released == ()


def test_a_refusal_says_how_much_would_go_and_counts_the_surprising_only() -> None:
    some = plan(purge("a", 6_000), purge("b", 1_500, foreseen=500), purge("c", 2_000, foreseen=2_000))
    with pytest.raises(UnsafePlan) as refused:
        raise_if_unsafe(some, FuseLimits(max_share=0.5))
    assert "logs: refused to delete 7,000 of 7,500 documents in 2 indices at once" in refused.value.message
    assert "93.3% exceeds the fuse's limit of 50.0%; 2,500 more were foreseen or approved" in refused.value.message
    assert refused.value.exit_code == 4


SHARES = st.floats(0.01, 1)


def refusal(some: Plan, share: float, approved: Mapping[tuple[str, str], Shown]) -> UnsafePlan | None:
    try:
        raise_if_unsafe(some, FuseLimits(max_share=share, approved=approved))
    except UnsafePlan as unsafe:
        return unsafe
    return None


@st.composite
def rows(draw: st.DrawFn) -> tuple[Plan, dict[tuple[str, str], Shown]]:
    purges, approved = [], {}
    for number in range(draw(st.integers(0, 6))):
        documents = draw(st.integers(0, 9_000))
        planned = purge(f"logs-{number}", documents, foreseen=draw(st.integers(0, documents)))
        purges.append(planned)
        if draw(st.booleans()):
            seen = draw(st.integers(0, 9_000))
            approved[planned.pair] = Shown(documents=seen, foreseen=draw(st.integers(0, seen)))
    whole = sum(p.documents for p in purges)
    return plan(*purges, documents=draw(st.integers(whole, whole + 30_000))), approved


@given(rows(), SHARES)
def test_no_more_goes_that_nothing_covers_than_the_share_allows(
    made: tuple[Plan, dict[tuple[str, str], Shown]], share: float
) -> None:
    some, approved = made
    limits = FuseLimits(max_share=share, approved=approved)
    unsafe = refusal(some, share, approved)
    goes = some.purge if unsafe is None else unsafe.released
    surprising = sum(p.documents - covered_by(p, limits) for p in goes)
    covered = sum(covered_by(p, limits) for p in some.purge)
    assert all(0 <= covered_by(p, limits) <= p.documents for p in some.purge)
    if some.documents >= FLOOR:
        assert surprising <= share * (some.documents - covered)
    if unsafe is not None:
        assert surprising == 0


@given(rows(), SHARES, st.data())
def test_a_plan_in_pieces_lets_no_more_through_than_as_one(
    made: tuple[Plan, dict[tuple[str, str], Shown]], share: float, data: st.DataObject
) -> None:
    """What is taken out of a whole plan and planned anew, with more documents, is judged with all the rest."""
    some, approved = made
    if not some.purge or refusal(some, share, approved) is not None:
        return
    again = data.draw(st.sampled_from(some.purge))
    grown = replace(again, documents=again.documents + data.draw(st.integers(0, 20_000)))
    together = replace(some, purge=(*(p for p in some.purge if p is not again), grown))
    if refusal(together, share, approved) is None and some.documents >= FLOOR:
        limits = FuseLimits(max_share=share, approved=approved)
        assert sum(p.documents - covered_by(p, limits) for p in together.purge) <= share * some.documents


@given(rows(), SHARES, SHARES)
def test_what_a_share_refuses_every_smaller_share_refuses(
    made: tuple[Plan, dict[tuple[str, str], Shown]], one: float, other: float
) -> None:
    some, approved = made
    smaller, larger = (refusal(some, share, approved) for share in sorted((one, other)))
    assert smaller or not larger


# --- what lifecycles would delete within a day --------------------------------------------------------

HALF = FuseLimits(max_share=0.5)


def soon(documents: int, *, foreseen: int = 0) -> Soon:
    return Soon(uuid=f"u{documents}", documents=documents, foreseen=foreseen)


@pytest.mark.parametrize(
    ("some", "attached"),
    [
        (plan(), [soon(5_000)]),
        (plan(purge("a", 2_000)), [soon(3_000)]),
        (plan(purge("a", 8_000, foreseen=8_000)), [soon(1_000)]),
        (plan(), [soon(8_000, foreseen=8_000), soon(1_000)]),
        (plan(), [soon(9_000, foreseen=8_000)]),
        (plan(purge("a", 9_000)), []),
        (plan(purge("a", 9_000)), [soon(1_000, foreseen=1_000)]),
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
        (plan(), [soon(9_001, foreseen=8_000)]),
        (plan(purge("a", 5_000, foreseen=5_000)), [soon(2_501)]),
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
    limits = FuseLimits(max_share=0.5, approved=shown(approved))
    raise_if_unsafe_lifecycles(plan(approved), [soon(2_500)], limits)
