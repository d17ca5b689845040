"""What holds of every plan, whatever a category's indices look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from builders import LIMIT, MARGIN, NOW, apart, category, facts, index, plan, purge
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import Block, CategoryFacts, Evidence, IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.plan import Action, Plan, Purge
from retention_enforcer.domain.policy.promises import Category

BORDER = LIMIT - MARGIN
ROLLOVERS = (HOUR, DAY)


@dataclass(frozen=True, kw_only=True)
class Story:
    """An index as it is, whoever looks at it and when; `facts_at` is what a look shows."""

    name: str
    created: int
    timestamps: tuple[int, ...]
    undated: int
    container: bool
    stream: str | None
    write_index: bool
    aliases: tuple[str, ...]
    write_aliases: tuple[str, ...]
    mounted: bool
    end_time: int | None
    blocks: frozenset[Block]
    lifecycle: str | None
    last_trim: int | None
    unwritten: bool

    def facts_at(self, now: int) -> IndexFacts:
        evidence = Evidence(oldest=None, first_seen=self.created, documents=1, last_trim=self.last_trim)
        if self.unwritten:
            evidence = replace(evidence, sequence_numbers=(41,))
        return index(
            self.name,
            ages=[now - t for t in self.timestamps],
            undated=self.undated,
            index_age=now - self.created,
            now=now,
            container=self.container,
            stream=self.stream,
            write_index=self.write_index,
            aliases=self.aliases,
            write_aliases=self.write_aliases,
            mounted=self.mounted,
            end_time=self.end_time,
            blocks=self.blocks,
            lifecycle=self.lifecycle,
            evidence=None if self.last_trim is None and not self.unwritten else evidence,
        )


near_the_border = st.integers(-3, 3) | st.integers(-2 * DAY, 2 * DAY) | st.sampled_from([DAY * 11 // 10, -MARGIN // 2])
timestamps = st.builds(lambda away: NOW - BORDER + away, near_the_border) | st.integers(NOW - 20 * DAY, NOW)


@st.composite
def stories(draw: st.DrawFn, name: str, aliases: Sequence[str]) -> Story:
    own_aliases = tuple(sorted(draw(st.sets(st.sampled_from(aliases))))) if aliases else ()
    stream = draw(st.sampled_from([None, None, "logs-stream"]))
    write_index = draw(st.booleans())
    return Story(
        name=name,
        created=NOW - BORDER + draw(near_the_border),
        timestamps=tuple(draw(st.lists(timestamps, max_size=4))),
        undated=draw(st.sampled_from([0, 0, 0, 1, 7])),
        unwritten=draw(st.booleans()),
        container=stream is None and draw(st.sampled_from([False, False, False, True])),
        stream=stream,
        write_index=write_index,
        aliases=own_aliases,
        write_aliases=tuple(a for a in own_aliases if draw(st.booleans())) if write_index else (),
        mounted=draw(st.sampled_from([False, False, False, True])),
        end_time=draw(st.none() | st.integers(NOW - HOUR, NOW + HOUR)),
        blocks=draw(st.just(frozenset()) | st.frozensets(st.sampled_from(list(Block)))),
        lifecycle=draw(st.sampled_from([None, None, None, None, "theirs"])),
        last_trim=draw(st.none() | st.integers(NOW - 2 * MARGIN, NOW)),
    )


@st.composite
def worlds(draw: st.DrawFn, aliases: Sequence[str] = ("one", "two", "three")) -> tuple[Story, ...]:
    names = [f"logs-{number:06d}" for number in range(draw(st.integers(0, 5)))]
    return tuple(draw(stories(name, aliases)) for name in names)


categories = st.builds(
    lambda rollover, foreign: category(rollover=rollover, foreign_lifecycle=foreign),
    st.sampled_from(ROLLOVERS),
    st.sampled_from(["leave", "adopt"]),
)
doubts = st.lists(st.sampled_from(["logs-x", "logs-y"]), unique=True).map(lambda names: tuple(map(apart, names)))
holds = st.dictionaries(st.sampled_from(["logs-000000", "logs-000001"]), st.just("h1 of anna"), max_size=1)


@st.composite
def observed(draw: st.DrawFn) -> CategoryFacts:
    world = draw(worlds())
    return facts(*(story.facts_at(NOW) for story in world), set_apart=draw(doubts), holds=draw(holds))


def planned(under: Category, seen: CategoryFacts) -> Plan:
    return build_plan(under, MARGIN, seen, seen.as_of)


def whole(made: Plan) -> list[Purge]:
    return [p for p in made.purge if p.action is Action.DELETE_INDEX]


def trims(made: Plan) -> list[Purge]:
    return [p for p in made.purge if p.action is Action.DELETE_DOCUMENTS]


@given(categories, observed())
def test_each_observed_index_stands_in_the_plan_exactly_once(under: Category, seen: CategoryFacts) -> None:
    made = planned(under, seen)
    stands = [p.facts.uuid for p in made.purge] + [k.facts.uuid for k in made.keep] + [s.uuid for s in made.skip]
    assert sorted(map(str, stands)) == sorted(str(one.uuid) for one in (*seen.indices, *seen.set_apart))
    assert all(v.reason for v in (*made.purge, *made.keep, *made.skip))
    assert made.documents == sum(one.documents for one in seen.indices)


@given(categories, observed())
def test_what_is_in_doubt_held_or_somebody_elses_is_never_purged(under: Category, seen: CategoryFacts) -> None:
    names = {p.facts.name for p in planned(under, seen).purge}
    assert not names & {apart.name for apart in seen.set_apart}
    assert not names & set(seen.holds)
    if under.foreign_lifecycle == "leave":
        assert not names & {one.name for one in seen.indices if one.lifecycle}


@given(categories, observed())
def test_no_dated_document_goes_that_is_younger_than_limit_minus_margin_and_span(
    under: Category, seen: CategoryFacts
) -> None:
    cut = seen.as_of - BORDER
    for p in whole(planned(under, seen)):
        newest, oldest = p.facts.newest, p.facts.oldest
        if newest is not None and oldest is not None:
            assert oldest < cut
            assert newest < cut or 10 * (newest - oldest) <= 11 * under.rollover
            assert seen.as_of - newest > BORDER - under.rollover * 11 // 10


@given(categories, worlds())
def test_a_trim_takes_exactly_the_documents_before_its_cut(under: Category, world: tuple[Story, ...]) -> None:
    timestamps_of = {story.name: story.timestamps for story in world}
    for p in trims(planned(under, facts(*(story.facts_at(NOW) for story in world)))):
        assert p.cut == NOW - BORDER
        assert p.documents == sum(t < p.cut for t in timestamps_of[p.facts.name]) > 0


@given(categories, observed())
def test_documents_without_a_date_go_only_with_an_unwritten_index_whose_creation_is_due(
    under: Category, seen: CategoryFacts
) -> None:
    made = planned(under, seen)
    for p in whole(made):
        assert p.facts.undated == 0 or (p.facts.created < seen.as_of - BORDER and p.facts.unwritten)
    for p in trims(made):
        assert p.documents <= p.facts.documents - p.facts.undated


@given(categories, observed())
def test_an_index_without_documents_goes_only_past_the_whole_limit(under: Category, seen: CategoryFacts) -> None:
    for p in planned(under, seen).purge:
        if p.facts.documents == 0:
            assert p.action is Action.DELETE_INDEX
            assert seen.as_of - p.facts.created >= LIMIT
            assert not p.facts.write_index


@given(categories, observed())
def test_a_container_is_never_deleted_as_such(under: Category, seen: CategoryFacts) -> None:
    assert not [p for p in whole(planned(under, seen)) if p.facts.container]


@given(categories, observed())
def test_a_write_index_goes_only_after_its_rollover_and_nothing_else_is_rolled_over(
    under: Category, seen: CategoryFacts
) -> None:
    for p in planned(under, seen).purge:
        goes_whole = p.action is Action.DELETE_INDEX
        assert (p.rollover is not None) == (goes_whole and p.facts.write_index)


@given(categories, observed())
def test_no_alias_loses_all_its_indices_unless_it_is_rolled_over(under: Category, seen: CategoryFacts) -> None:
    gone = {p.facts.name: p for p in whole(planned(under, seen))}
    for alias in {alias for one in seen.indices for alias in one.aliases}:
        members = [one for one in seen.indices if alias in one.aliases]
        if all(one.name in gone for one in members):
            assert any(gone[one.name].rollover == alias for one in members)
            assert len(members) > 1


@given(categories, observed())
def test_nothing_that_a_block_a_mount_or_a_time_series_forbids_is_planned(under: Category, seen: CategoryFacts) -> None:
    made = planned(under, seen)
    for p in made.purge:
        if p.action is Action.DELETE_INDEX:
            assert p.facts.end_time is None or p.facts.end_time <= seen.as_of
        assert Block.READ_ONLY not in p.facts.blocks
    assert not [p for p in whole(made) if Block.METADATA in p.facts.blocks]
    assert not [p for p in trims(made) if p.facts.blocks & {Block.WRITE, Block.FLOOD_STAGE} or p.facts.mounted]


later = st.integers(0, 3) | st.integers(0, 30 * DAY) | st.sampled_from([MINUTE, HOUR, DAY])


@given(categories, worlds(aliases=()), later)
def test_what_is_purged_now_is_purged_at_any_later_time(under: Category, world: tuple[Story, ...], wait: int) -> None:
    now = planned(under, facts(*(story.facts_at(NOW) for story in world)))
    then = planned(under, facts(*(story.facts_at(NOW + wait) for story in world), now=NOW + wait))
    after = {p.facts.name: p for p in then.purge}
    for p in now.purge:
        assert p.facts.name in after
        assert after[p.facts.name].documents >= p.documents
        if p.action is Action.DELETE_INDEX:
            assert after[p.facts.name].action is Action.DELETE_INDEX


@given(categories, worlds(), later)
def test_with_aliases_too_but_for_the_index_that_stays_for_its_alias(
    under: Category, world: tuple[Story, ...], wait: int
) -> None:
    """An alias whose indices become due one after the other keeps one of them, which may have been due before."""
    now = planned(under, facts(*(story.facts_at(NOW) for story in world)))
    then = planned(under, facts(*(story.facts_at(NOW + wait) for story in world), now=NOW + wait))
    after = {p.facts.name: p for p in then.purge}
    gone = {p.facts.name for p in whole(then)}
    for p in now.purge:
        same = after.get(p.facts.name)
        if same is None or same.documents < p.documents:
            others = [
                {story.name for story in world if alias in story.aliases} - {p.facts.name} for alias in p.facts.aliases
            ]
            assert any(those <= gone for those in others)


@given(categories, observed())
def test_without_a_maximum_age_nothing_is_ever_purged(under: Category, seen: CategoryFacts) -> None:
    no_age = category(max_age=None, after_termination=DAY, foreign_lifecycle=under.foreign_lifecycle)
    assert planned(no_age, seen).purge == ()


# --- the hash of a plan -------------------------------------------------------------------------------

names = st.sampled_from(["logs-a", "logs-b", "logs-c", "logs-d"])
pairs = st.dictionaries(names, st.sampled_from(list(Action)))
Pairs = dict[str, Action]


def plan_of(these: Pairs, category_id: str = "backend-logs", foreseen: int = 0, surprising: int = 1) -> Plan:
    purges = (
        purge(name, action=action, documents=foreseen + surprising, foreseen=foreseen) for name, action in these.items()
    )
    return plan(*purges, category_id=category_id)


@given(pairs, st.data())
def test_the_hash_of_a_plan_depends_neither_on_order_nor_on_what_was_foreseen(
    these: Pairs, data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(these.items()))))
    other = replace(plan_of(shuffled, foreseen=99), as_of=NOW + HOUR, limit=DAY, documents=7)
    assert other.hash == plan_of(these).hash


@given(pairs, pairs)
def test_the_hashes_of_two_plans_are_equal_only_if_their_pairs_are(one: Pairs, other: Pairs) -> None:
    assert (plan_of(one).hash == plan_of(other).hash) is (one == other)


@given(pairs.filter(bool), st.integers(2, 99))
def test_the_hash_of_a_plan_depends_on_how_much_of_it_was_not_foreseen(these: Pairs, more: int) -> None:
    assert plan_of(these, surprising=more).hash != plan_of(these).hash


@given(pairs.filter(bool))
def test_the_hash_of_a_plan_depends_on_its_category(these: Pairs) -> None:
    assert plan_of(these).hash != plan_of(these, "sdk-logs").hash
