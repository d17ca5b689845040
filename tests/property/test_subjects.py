"""What holds for any id, any fields and any documents."""

from __future__ import annotations

import operator
import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naming import having
from retention_enforcer.cluster.subject_queries import first_after, query_of_any
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces
from retention_enforcer.domain.selection import MOST_TERMS, OfSubjects
from retention_enforcer.domain.subjects.identity import (
    NUMBERS,
    UNREAD,
    AnyOf,
    Condition,
    ExactField,
    Inexact,
    Match,
    Naming,
    decide_owners,
    id_problem,
    match,
    subject_of,
)

TEXTS = st.text(max_size=8) | st.text(' \t\n\u200b,*<>\\"a1', max_size=5) | st.text(min_size=60, max_size=300)
IDS = st.text("a1-_.é\uff11 ", min_size=1, max_size=4).map(lambda text: text.strip() or "0") | st.integers().map(str)


@settings(deadline=None)  # the machine may be busy
@given(TEXTS | st.text(st.characters(), max_size=3))
def test_an_id_has_nothing_that_could_be_more_than_itself(text: str) -> None:
    if id_problem(text) is None:
        assert 1 <= len(text.encode()) <= 256
        assert not set(text) & set(',*<>\\"')
        assert text == text.strip()
        assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)
        assert unicodedata.category(text[0]) != "Cf" != unicodedata.category(text[-1])
    else:
        with pytest.raises(ConfigurationError) as refused:
            subject_of(account=text)
        assert len(text) < 8 or text not in str(refused.value)


@settings(deadline=None)
@given(IDS, IDS, IDS, IDS)
def test_no_two_users_share_a_text(application: str, user: str, other_application: str, other: str) -> None:
    assert id_problem(application) is None
    one = subject_of(application=application, user=user)
    two = subject_of(application=other_application, user=other)
    assert (one.text == two.text) == (one == two)


@settings(deadline=None)
@given(st.sampled_from(sorted(NUMBERS)), st.integers(-(2**66), 2**66) | st.integers(-3, 3))
def test_a_number_of_the_type_is_found_as_itself_or_left_undecided(type_: str, number: int) -> None:
    first, last = NUMBERS[type_]
    where = ExactField(name="f", numeric=NUMBERS[type_])
    condition = where.condition(str(number))
    if not first <= number <= last:
        assert condition is None
    elif number < 0:
        assert isinstance(condition, Inexact)
    else:
        assert condition == Condition(where=where, value=number)


@settings(deadline=None)
@given(st.sampled_from(sorted(NUMBERS)), IDS)
def test_what_is_asked_of_a_number_reads_as_the_id(type_: str, id_: str) -> None:
    condition = ExactField(name="f", numeric=NUMBERS[type_]).condition(id_)
    if isinstance(condition, Condition):
        assert re.fullmatch("[0-9]+", id_, re.ASCII)
        assert str(condition.value) == id_


# --- what documents are asked for, in whichever places --------------------------------------------------

FORMS = [
    ExactField(name="a"),
    ExactField(name="n", numeric=(0, 99)),
    ExactField(name="q", prefix="k="),
    ExactField(name="q", prefix="k"),
    ExactField(name="s", longest=1),
    ExactField(name="t.value", key=Key(path="t", field="t.key", text="k")),
    ExactField(name="t.value", key=Key(path="t", field="t.key", text="l")),
]
SMALL = st.sampled_from(["1", "2", "12", "k", "=1"])
VERDICTS = st.lists(st.sampled_from([None, Inexact(reason="?"), *FORMS]), min_size=1, max_size=3)


@settings(deadline=None)
@given(VERDICTS, VERDICTS, SMALL, SMALL)
def test_a_match_is_complete_and_certain(
    applications: list[ExactField | Inexact | None], users: list[ExactField | Inexact | None], app: str, user: str
) -> None:
    verdicts = {Place(field=f"application {n}"): verdict for n, verdict in enumerate(applications)}
    of_users = {Place(field=f"user {n}"): verdict for n, verdict in enumerate(users)}
    places = SubjectPlaces(application=tuple(verdicts), user=tuple(of_users))
    for subject, kinds in (
        (subject_of(application=app), [(applications, app)]),
        (subject_of(application=app, user=user), [(applications, app), (users, user)]),
    ):
        found = match(subject, places, verdicts | of_users)
        said = [[v.condition(i) if isinstance(v, ExactField) else v for v in those] for those, i in kinds]
        possible = all(any(one is not None for one in those) for those in said)
        doubtful = any(isinstance(one, Inexact) for those in said for one in those)
        told = [one for one in found if isinstance(one, Match)]
        assert bool(found) == possible
        assert any(isinstance(one, Inexact) for one in found) == (possible and doubtful)
        if told:
            (carrying,) = told
            assert len(kinds) == 1 or not doubtful, "a pair is told where nothing is in doubt"
            for part, those in zip(carrying.parts, said, strict=True):
                assert set(part.conditions) == {one for one in those if isinstance(one, Condition)}
        elif possible and len(kinds) == 1:
            assert not any(isinstance(one, Condition) for one in said[0])


# --- queries --------------------------------------------------------------------------------------------

Document = dict[str, list[Any]]
"""The values of each field; of nested objects, `t`, each object."""


def fulfils(document: Document, query: dict[str, Any]) -> bool:
    """Read the few kinds of queries that are made here, as Elasticsearch would."""
    ((kind, body),) = query.items()
    if kind == "match_none":
        return False
    if kind == "nested":
        assert body.keys() == {"path", "query", "score_mode"}
        return any(fulfils({f"t.{name}": those for name, those in o.items()}, body["query"]) for o in document["t"])
    if kind == "exists":
        return bool(document[body["field"]])
    if kind in {"term", "terms", "range"}:
        ((name, how),) = body.items()
        wanted = how if kind == "terms" else [how["value"]] if kind == "term" else None
        return any(value in wanted if wanted is not None else _within(value, how) for value in document[name])
    assert kind == "bool"
    assert body.keys() in ({"filter"}, {"filter", "must_not"}, {"must_not"}, {"should", "minimum_should_match"})
    if "should" in body:
        assert body["minimum_should_match"] == 1
        return any(fulfils(document, clause) for clause in body["should"])
    must = all(fulfils(document, clause) for clause in body.get("filter", []))
    return must and not any(fulfils(document, clause) for clause in body.get("must_not", []))


def _within(value: Any, bounds: dict[str, Any]) -> bool:
    def key(one: Any) -> Any:
        return one.encode() if isinstance(one, str) else one

    compare = {"lt": operator.lt, "gt": operator.gt, "gte": operator.ge}
    return all(compare[bound](key(value), key(edge)) for bound, edge in bounds.items())


def values_of(document: Document) -> dict[ExactField, list[Any]]:
    """What Elasticsearch would give of a document."""
    found: dict[ExactField, list[Any]] = {}
    for where in FORMS:
        if where.key is None:
            found[where] = document[where.name]
        else:
            of_key = [o for o in document["t"] if where.key.text in o["key"]]
            found[where] = [value for o in of_key for value in o["value"]]
    return found


TEXTS_THERE = st.sampled_from(["1", "2", "12", "k=1", "k=2", "k=", "k1", "l=1", "k>", ""])
OBJECT = st.fixed_dictionaries(
    {
        "key": st.lists(st.sampled_from(["k", "l"]), max_size=1),
        "value": st.lists(st.sampled_from(["1", "2", "12"]), max_size=2),
    }
)
DOCUMENT = st.fixed_dictionaries(
    {
        **{name: st.lists(TEXTS_THERE, max_size=2) for name in "aqs"},
        "n": st.lists(st.sampled_from([1, 2, 12]), max_size=2),
        "t": st.lists(OBJECT, max_size=3),
    }
)
KIND = st.lists(st.sampled_from(FORMS), min_size=1, max_size=3, unique=True)


def part_of(fields: list[ExactField], id_: str) -> AnyOf:
    said = [where.condition(id_) for where in fields]
    return AnyOf(fields=tuple(fields), conditions=tuple(one for one in said if isinstance(one, Condition)))


PARTS = st.builds(part_of, KIND, SMALL).filter(lambda part: bool(part.conditions))
MATCHES = st.lists(
    st.builds(
        Match,
        parts=st.lists(PARTS, min_size=1, max_size=2).map(tuple),
        unless_other=st.none() | PARTS,
        label=st.sampled_from("xy"),
    ),
    max_size=3,
)


@settings(deadline=None)
@given(MATCHES, DOCUMENT)
def test_any_of_several_finds_exactly_what_one_of_them_matches(matches: list[Match], document: Document) -> None:
    values = values_of(document)
    expected = any(match.fits(values) for match in matches)
    assert fulfils(document, query_of_any(matches)) == expected
    labels = OfSubjects(matches=tuple(matches)).labels(values)
    assert labels == {match.label for match in matches if match.fits(values)}


@settings(deadline=None)
@given(MATCHES, DOCUMENT)
def test_a_guarded_query_finds_what_names_nobody_else(matches: list[Match], document: Document) -> None:
    values = values_of(document)
    for one in matches:
        # Two of the places may hold one text, as user.id=1 does after `user.` and after `user.id=`: then it names two.
        if any(len({where.name for where in part.fields}) < len(part.fields) for part in one.parts):
            continue
        single = replace(one, single=True)
        assert fulfils(document, query_of_any([replace(single, guarded=True)])) == single.fits(values)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=4), st.text(max_size=4), st.text(max_size=4))
def test_texts_with_a_prefix_are_those_from_it_to_the_first_one_after(prefix: str, tail: str, other: str) -> None:
    after = first_after(prefix)
    for text in (prefix + tail, other, prefix[:-1] + other):
        begins = prefix.encode() <= text.encode() and (not after or text.encode() < after.encode())
        assert begins == text.startswith(prefix)


def test_a_document_with_more_objects_than_were_read_names_more_than_one() -> None:
    where = FORMS[5]
    pair = having((where, "1"), ("a", "2"), single=True, label="x")
    assert pair.fits({where: ["1"], FORMS[0]: ["2"]})
    assert not pair.fits({where: ["1", UNREAD], FORMS[0]: ["2"]})


def test_many_values_of_one_field_are_few_queries_of_which_none_is_too_large() -> None:
    matches = [having(("f", str(number))) for number in range(2 * MOST_TERMS + 1)]
    clauses = query_of_any(matches)["bool"]["should"]
    sizes = [len(clause["bool"]["filter"][0]["terms"]["f"]) for clause in clauses]
    assert sizes == [MOST_TERMS, MOST_TERMS, 1]


# --- owners ---------------------------------------------------------------------------------------------

NAMING = st.builds(
    Naming,
    account=st.sampled_from("abc"),
    application=st.sampled_from("12"),
    newest=st.none() | st.integers(0, 3),
    ambiguous=st.booleans(),
)


@settings(deadline=None)
@given(st.lists(NAMING, max_size=6), st.lists(st.sampled_from("abc"), unique=True))
def test_an_application_has_one_owner_at_most_and_none_in_doubt(namings: list[Naming], asked: list[str]) -> None:
    decided = decide_owners(asked, namings, {})
    assert list(decided.applications) == asked
    owned = [application for those in decided.applications.values() for application in those]
    assert len(owned) == len(set(owned))
    assert not set(owned) & decided.undecided.keys()
    for account, those in decided.applications.items():
        for application in those:
            dated = [n for n in namings if n.application == application and n.newest is not None]
            newest = max(n.newest or 0 for n in dated)
            assert {n.account for n in dated if n.newest == newest} == {account}


@settings(deadline=None)
@given(st.lists(NAMING, min_size=1, max_size=6))
def test_every_application_is_decided_or_reported(namings: list[Naming]) -> None:
    decided = decide_owners("abc", namings, {})
    owned = {application for those in decided.applications.values() for application in those}
    assert owned | decided.undecided.keys() == {n.application for n in namings}
