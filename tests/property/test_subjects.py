"""What holds for any id, any fields and any documents."""

from __future__ import annotations

import re
import unicodedata
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.domain.deletion import MOST_TERMS
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy import SubjectFields
from retention_enforcer.domain.subjects import (
    NUMBERS,
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
FIELDS = SubjectFields(account="account", application="application", user="user")


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
    condition = ExactField(name="f", numeric=NUMBERS[type_]).condition(str(number))
    if not first <= number <= last:
        assert condition is None
    elif number < 0:
        assert isinstance(condition, Inexact)
    else:
        assert condition == ("f", number)


@settings(deadline=None)
@given(st.sampled_from(sorted(NUMBERS)), IDS)
def test_what_is_asked_of_a_number_reads_as_the_id(type_: str, id_: str) -> None:
    condition = ExactField(name="f", numeric=NUMBERS[type_]).condition(id_)
    if isinstance(condition, tuple):
        assert re.fullmatch("[0-9]+", id_, re.ASCII)
        assert str(condition[1]) == id_


EXACT = st.sampled_from(
    [
        None,
        Inexact(reason="?"),
        ExactField(name="f"),
        ExactField(name="f", numeric=(0, 9)),
        ExactField(name="f", longest=1),
    ]
)


@settings(deadline=None)
@given(EXACT, EXACT, IDS, IDS)
def test_a_match_is_complete_and_certain(
    of_application: ExactField | Inexact | None, of_user: ExactField | Inexact | None, application: str, user: str
) -> None:
    subject = subject_of(application=application, user=user)
    found = match(subject, FIELDS, {"application": of_application, "user": of_user})
    single = [
        exact.condition(id_) if isinstance(exact, ExactField) else exact
        for exact, id_ in ((of_application, application), (of_user, user))
    ]
    if isinstance(found, Match):
        assert list(found.conditions) == single
    elif found is None:
        assert None in single
    else:
        assert None not in single
        assert found in single


# --- queries --------------------------------------------------------------------------------------------

VALUE = st.sampled_from(["a", "b", "1", 1, 2])
CONDITION = st.tuples(st.sampled_from(["x", "y"]), VALUE)
MATCHES = st.lists(st.lists(CONDITION, min_size=1, max_size=2).map(lambda c: Match(conditions=tuple(c))), max_size=6)


def fulfils(document: dict[str, object], query: dict) -> bool:
    """Read the few kinds of queries that are made here, as Elasticsearch would."""
    ((kind, body),) = query.items()
    if kind == "match_none":
        return False
    if kind == "term":
        ((name, how),) = body.items()
        return document[name] == how["value"]
    if kind == "terms":
        ((name, values),) = body.items()
        return document[name] in values
    assert kind == "bool"
    if "filter" in body:
        assert body.keys() == {"filter"}
        assert body["filter"]
        return all(fulfils(document, clause) for clause in body["filter"])
    assert body.keys() == {"should", "minimum_should_match"}
    assert body["minimum_should_match"] == 1
    return any(fulfils(document, clause) for clause in body["should"])


@settings(deadline=None)
@given(MATCHES)
def test_any_of_several_finds_exactly_what_one_of_them_matches(matches: list[Match]) -> None:
    query = query_of_any(matches)
    for x, y in product(["a", "b", "1", 1, 2], repeat=2):
        document: dict[str, object] = {"x": x, "y": y}
        expected = any(all(document[name] == value for name, value in m.conditions) for m in matches)
        assert fulfils(document, query) == expected


def test_many_values_of_one_field_are_few_queries_of_which_none_is_too_large() -> None:
    matches = [Match(conditions=(("f", str(number)),)) for number in range(2 * MOST_TERMS + 1)]
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
