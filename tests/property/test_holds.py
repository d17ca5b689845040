"""What holds of every plan while subjects are held and erasures are ordered, whatever the indices look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import DUE_AGE, LIMIT, MARGIN, NOW, apart, category, facts, forbidden, index
from naming import having
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import Block, CategoryFacts, Evidence, IndexFacts
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.plan import Action, Plan, Purge
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.selection import Every, HasField

MEDIA = category("media", max_age=None, never_stored=True)
patient = settings(deadline=None)  # the machine may be busy


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document: how old it is (None: nobody knows), and whether it is of a held subject."""

    age: int | None
    held: bool


@dataclass(frozen=True, kw_only=True)
class World:
    """Indices with their documents, and the facts that a look shows of them."""

    documents: dict[str, tuple[Document, ...]]
    facts: CategoryFacts

    def without_holds(self) -> CategoryFacts:
        """What the same look would show if nobody were held."""
        free = (replace(one, matches=(), matching_documents=0, matching_due=0) for one in self.facts.indices)
        return replace(self.facts, indices=tuple(free), holds={})

    def survivors(self, name: str, made: Plan) -> list[Document]:
        """The documents of an index after the plan was carried out."""
        left = list(self.documents[name])
        for one in made.purge:
            if one.facts.name == name:
                left = [d for d in left if not _takes(one, d)]
        return left


def _takes(purge: Purge, document: Document) -> bool:
    if purge.action is Action.DELETE_INDEX or purge.takes == Every():
        return True
    due = document.age is not None and document.age > DUE_AGE
    return due and not (document.held and purge.spare)


near_the_border = st.integers(DUE_AGE - 2, DUE_AGE + 2) | st.integers(DUE_AGE - 2 * DAY, DUE_AGE + 2 * DAY)
past_it = st.integers(DUE_AGE + 1, DUE_AGE + 2 * DAY)
ages = st.none() | past_it | near_the_border | st.integers(0, LIMIT + DAY)
helds = st.sampled_from([False, False, True])
undated = st.lists(st.builds(Document, age=st.none(), held=helds), min_size=1, max_size=3)
due = st.lists(st.builds(Document, age=past_it, held=helds), min_size=1, max_size=3)
documents = st.lists(st.builds(Document, age=ages, held=helds), max_size=5) | undated | due
rarely = st.sampled_from([False, False, False, True])
blocks = st.just(frozenset[Block]()) | st.frozensets(st.sampled_from(list(Block)))


@st.composite
def looked_at(draw: st.DrawFn, name: str, those: Sequence[Document], aliases: Sequence[str]) -> IndexFacts:
    held = [d for d in those if d.held]
    stream = draw(st.sampled_from([None, None, "logs-stream"]))
    own_aliases = tuple(sorted(draw(st.sets(st.sampled_from(aliases))))) if aliases else ()
    last_trim = draw(st.none() | st.integers(NOW - 2 * MARGIN, NOW))
    evidence = Evidence(oldest=None, first_seen=NOW - DAY, documents=1, last_trim=last_trim)
    return index(
        name,
        ages=[d.age for d in those if d.age is not None],
        undated=sum(d.age is None for d in those),
        index_age=draw(near_the_border),
        container=stream is None and draw(rarely),
        stream=stream,
        write_index=draw(rarely),
        aliases=own_aliases,
        mounted=draw(rarely),
        end_time=draw(st.none() | st.integers(NOW - HOUR, NOW + HOUR)),
        blocks=draw(blocks),
        evidence=None if last_trim is None else evidence,
        matches=(having(("sdkappid", f"held in {name}")),) if held else (),
        matching_documents=len(held),
        matching_due=sum(d.age is not None and d.age > DUE_AGE for d in held),
    )


@st.composite
def worlds(draw: st.DrawFn, aliases: Sequence[str] = ("one", "two")) -> World:
    names = [f"logs-{number:06d}" for number in range(draw(st.integers(0, 4)))]
    those = {name: tuple(draw(documents)) for name in names}
    indices = [draw(looked_at(name, those[name], aliases)) for name in names]
    held = {name: "h1" for name in names if draw(rarely)}
    return World(documents=those, facts=facts(*indices, holds=held))


def planned(seen: CategoryFacts, under: Category | None = None) -> Plan:
    return build_plan(under or category(), MARGIN, seen, NOW)


def whole(made: Plan) -> list[Purge]:
    return [p for p in made.purge if p.action is Action.DELETE_INDEX]


# --- expiry while subjects are held -------------------------------------------------------------------


@patient
@given(worlds())
def test_an_index_with_documents_of_held_subjects_is_never_deleted_whole(world: World) -> None:
    assert not [p for p in whole(planned(world.facts)) if p.facts.matching_documents]


@patient
@given(worlds())
def test_a_trim_spares_exactly_what_is_held_in_its_index(world: World) -> None:
    for p in planned(world.facts).purge:
        if p.action is Action.DELETE_DOCUMENTS:
            assert p.spare == p.facts.matches
            assert p.takes is None
            gone = len(world.documents[p.facts.name]) - len(world.survivors(p.facts.name, planned(world.facts)))
            assert p.documents == gone > 0


@patient
@given(worlds())
def test_every_document_that_is_held_survives_every_plan(world: World) -> None:
    made = planned(world.facts)
    for name, those in world.documents.items():
        left = world.survivors(name, made)
        assert [d for d in those if d.held] == [d for d in left if d.held]
        if name in world.facts.holds:
            assert left == list(those)


@patient
@given(worlds(aliases=()))
def test_a_hold_only_takes_from_what_would_go_without_it(world: World) -> None:
    free = {p.facts.name: p for p in planned(world.without_holds()).purge}
    for p in planned(world.facts).purge:
        assert p.facts.name in free
        assert p.documents <= free[p.facts.name].documents
        assert not (p.action is Action.DELETE_INDEX and free[p.facts.name].action is Action.DELETE_DOCUMENTS)


@patient
@given(worlds())
def test_with_aliases_too_but_for_an_index_whose_alias_a_held_one_saves(world: World) -> None:
    """Of an alias whose indices are all due one stays, and only loses its due documents: if one is held, that one."""
    free = {p.facts.name: p for p in planned(world.without_holds()).purge}
    for p in planned(world.facts).purge:
        same = free.get(p.facts.name)
        if same is None or p.documents > same.documents:
            sharing = [i for i in world.facts.indices if set(i.aliases) & set(p.facts.aliases)]
            assert any(i.matching_documents or i.name in world.facts.holds for i in sharing)


@patient
@given(worlds(aliases=()))
def test_what_nobody_holds_goes_as_if_there_were_no_holds(world: World) -> None:
    free = {i.name for i in world.facts.indices if not i.matching_documents and i.name not in world.facts.holds}
    with_holds, without = (
        {p.facts.name: p.pair for p in planned(seen).purge if p.facts.name in free}
        for seen in (world.facts, world.without_holds())
    )
    assert with_holds == without


@patient
@given(worlds(aliases=()))
def test_what_is_due_and_not_held_goes_where_nothing_else_forbids_it(world: World) -> None:
    purged = {p.facts.name for p in planned(world.facts).purge}
    for one in world.facts.indices:
        plain = not one.blocks and not one.mounted and one.end_time is None and one.evidence is None
        if plain and one.name not in world.facts.holds:
            assert (one.name in purged) or one.due == one.matching_due


# --- orders -------------------------------------------------------------------------------------------


@st.composite
def ordered(draw: st.DrawFn, world: World) -> CategoryFacts:
    """The same look, with forbidden fields elsewhere and any orders."""
    elsewhere = [
        draw(looked_at(f"else-{n}", those, ())) for n, those in enumerate(draw(st.lists(documents, max_size=2)))
    ]
    fields = [
        forbidden(one, field=field, documents=draw(st.integers(0, one.documents)))
        for one in elsewhere
        for field in draw(st.sets(st.sampled_from(["audio", "video"])))
    ]
    shut = apart("logs-shut")
    uuids = [*(i.uuid for i in world.facts.indices), *(i.uuid for i in elsewhere), str(shut.uuid), "of nothing"]
    pairs = [(uuid, action.value) for uuid in uuids for action in Action]
    held = {i.name: world.facts.holds.get(i.name) for i in (*world.facts.indices, *elsewhere) if draw(st.booleans())}
    holds = {name: facts(holds={name: "h2"}).holds[name] for name in held}
    return replace(
        world.facts,
        set_apart=(shut,),
        forbidden=tuple(fields),
        holds={**world.facts.holds, **holds},
        ordered=frozenset(pair for pair in pairs if draw(st.booleans())),
    )


orders = worlds().flatmap(ordered)


@patient
@given(orders)
def test_without_an_age_nothing_goes_that_was_not_ordered(seen: CategoryFacts) -> None:
    for under in (MEDIA, category("keys", max_age=None, after_termination=DAY)):
        made = planned(seen, under)
        assert all(p.pair in seen.ordered and p.ordered for p in made.purge)
        assert planned(replace(seen, ordered=frozenset()), under).purge == ()


@patient
@given(orders)
def test_nothing_held_and_nothing_in_doubt_goes_on_an_order(seen: CategoryFacts) -> None:
    for p in planned(seen, MEDIA).purge:
        assert p.facts.name not in seen.holds
        assert p.facts.name != "logs-shut"
        assert not (p.facts.matching_documents and p.takes in (None, Every()))


@patient
@given(orders)
def test_nothing_that_blocks_containers_or_write_indices_forbid_goes_on_an_order(seen: CategoryFacts) -> None:
    made = planned(seen, MEDIA)
    for p in made.purge:
        assert Block.READ_ONLY not in p.facts.blocks
        if p.action is Action.DELETE_INDEX:
            assert not p.facts.container
            assert Block.METADATA not in p.facts.blocks
            assert (p.rollover is not None) == p.facts.write_index
            assert p.documents == p.facts.documents
        else:
            assert not p.facts.blocks & {Block.WRITE, Block.FLOOD_STAGE}
            assert isinstance(p.takes, Every | HasField)
    for alias in ("one", "two"):
        members = {i.name for i in seen.indices if alias in i.aliases}
        assert not members or members - {p.facts.name for p in whole(made)}


@patient
@given(orders)
def test_an_order_takes_documents_by_fields_only_from_indices_that_have_them(seen: CategoryFacts) -> None:
    fields = {(f.index.uuid, f.field) for f in seen.forbidden if f.documents}
    for p in planned(seen, MEDIA).purge:
        if isinstance(p.takes, HasField):
            assert p.takes.fields
            assert all((p.facts.uuid, field) in fields for field in p.takes.fields)
            assert 0 < p.documents <= p.facts.documents
        else:
            assert p.facts in seen.indices


@patient
@given(orders)
def test_an_order_leaves_alone_what_goes_by_age(seen: CategoryFacts) -> None:
    by_age = {p.facts.name: p for p in planned(replace(seen, ordered=frozenset())).purge}
    with_order = planned(seen).purge
    assert {p.facts.name: p for p in with_order if not p.ordered} == by_age
    assert all(isinstance(p.takes, HasField) and p.pair in seen.ordered for p in with_order if p.ordered)


@patient
@given(orders)
def test_each_of_its_own_indices_stands_in_a_plan_of_orders_once(seen: CategoryFacts) -> None:
    made = planned(replace(seen, forbidden=()), MEDIA)
    stands = [p.facts.uuid for p in made.purge] + [k.facts.uuid for k in made.keep] + [str(s.uuid) for s in made.skip]
    assert sorted(stands) == sorted(str(one.uuid) for one in (*seen.indices, *seen.set_apart))
