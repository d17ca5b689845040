"""Subjects: what an id is, which fields must have it, and when an index can tell exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from naming import after, field, having, named, tag
from retention_enforcer.cluster.subject_queries import query_of_any
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.policy.places import Place, SubjectPlaces
from retention_enforcer.domain.selection import OfSubjects
from retention_enforcer.domain.subjects.identity import (
    NUMBERS,
    AnyOf,
    Condition,
    ExactField,
    Inexact,
    Match,
    Naming,
    Subject,
    SubjectKind,
    decide_owners,
    id_problem,
    match,
    spellings,
    subject_of,
    whole_number,
)

APP, USER_ID = Place(field="sdkappid"), Place(field="user_id")
LISTED = SubjectPlaces(account=(Place(field="sender"), Place(field="recipient"), tag("account"), after("account=")))
ALL = named(account="uin", application="sdkappid", user="user_id")
ACCOUNT = subject_of(account="100")
APPLICATION = subject_of(application="14")
USER = subject_of(application="14", user="eve")
KEYWORD = ExactField(name="f")
LONG = ExactField(name="f", numeric=NUMBERS["long"])
UNSURE = Inexact(reason="f is of type double")

# --- ids ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1400000001",
        "eve@example.com",
        "-x",
        "_all",
        "..",
        "ä",
        "\uff11\uff14",
        "a b",
        "x" * 256,
        "ä" * 128,
        "{}",
        "a/b#?|",
    ],
)
def test_an_id_is_any_text_that_can_only_be_one_id(text: str) -> None:
    assert id_problem(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("*", "it has '*'"),
        ("14*", "it has '*'"),
        ("a,b", "it has ','"),
        ("<now>", "it has '<'"),
        ("now>", "it has '>'"),
        ("a\\b", r"it has '\\'"),
        ('"14"', "it has '\"'"),
        ("a\nb", "it has a control character"),
        ("14\n", "it has a control character"),
        ("\x00", "it has a control character"),
        ("a\x7f", "it has a control character"),
        ("a\x85b", "it has a control character"),
        (" 14", "it begins or ends with a blank"),
        ("14 ", "it begins or ends with a blank"),
        ("14\u00a0", "it begins or ends with a blank"),
        ("\u300014", "it begins or ends with a blank"),
        ("14\u2028", "it begins or ends with a blank"),
        ("14\u200b", "it begins or ends with a blank"),
        ("\ufeff14", "it begins or ends with a blank"),
        ("\u202e14", "it begins or ends with a blank"),
        ("a\ud800b", "it is not valid Unicode"),
        ("x" * 257, "it has more than 256 bytes"),
        ("ä" * 128 + "x", "it has more than 256 bytes"),
    ],
)
def test_what_is_no_id_is_refused_with_the_reason(text: str, why: str) -> None:
    problem = id_problem(text)
    assert problem is not None
    assert problem.startswith(why)


@pytest.mark.parametrize("text", ["secret-customer*", "secret-customer ", "secret-customer\n", "secret-customer" * 20])
def test_a_refused_id_is_never_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        subject_of(account=text)
    assert "secret-customer" not in f"{refused.value} {refused.value!r}"


# --- subjects -------------------------------------------------------------------------------------------


def test_a_subject_is_an_account_an_application_or_a_user_of_one() -> None:
    assert Subject(kind=SubjectKind.ACCOUNT, id="100") == ACCOUNT
    assert Subject(kind=SubjectKind.APPLICATION, id="14") == APPLICATION
    assert Subject(kind=SubjectKind.USER, id="eve", application="14") == USER


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"user": "eve"},
        {"account": "100", "application": "14"},
        {"account": "100", "user": "eve"},
        {"account": "100", "application": "14", "user": "eve"},
    ],
)
def test_anything_else_names_no_single_subject(named: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="exactly one subject") as refused:
        subject_of(**named)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "named", [{"account": ""}, {"application": ""}, {"application": "", "user": "e"}, {"application": "1", "user": ""}]
)
def test_an_empty_id_is_not_an_absent_one(named: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="is invalid"):
        subject_of(**named)


@pytest.mark.parametrize(
    ("kind", "application"), [(SubjectKind.USER, None), (SubjectKind.ACCOUNT, "14"), (SubjectKind.APPLICATION, "14")]
)
def test_only_a_user_has_an_application(kind: SubjectKind, application: str | None) -> None:
    with pytest.raises(ValueError, match="a user needs an application"):
        Subject(kind=kind, id="1", application=application)


def test_no_id_is_in_what_python_shows() -> None:
    shown = f"{USER!r} {USER} {having(('f', 'eve'))!r} {Naming(account='eve', application='14', newest=0)}"
    assert "eve" not in shown
    assert "14" not in shown


def test_the_text_of_a_user_has_its_application() -> None:
    assert (ACCOUNT.text, APPLICATION.text, USER.text) == ("100", "14", "14\neve")


@pytest.mark.parametrize(
    ("subject", "fields", "wanted"),
    [
        (ACCOUNT, ALL, ((field("uin"), "100"),)),
        (APPLICATION, ALL, ((field("sdkappid"), "14"),)),
        (USER, ALL, ((field("sdkappid"), "14"), (field("user_id"), "eve"))),
        (ACCOUNT, LISTED, ((LISTED.account, "100"),)),
        (ACCOUNT, named(application="sdkappid"), None),
        (APPLICATION, named(account="uin"), None),
        (USER, named(application="sdkappid"), None),
        (USER, named(user="user_id"), None),
        (ACCOUNT, named(), None),
    ],
)
def test_a_document_must_have_each_field_that_names_the_subject(
    subject: Subject, fields: SubjectPlaces, wanted: tuple[tuple[tuple[Place, ...], str], ...] | None
) -> None:
    assert subject.wanted(fields) == wanted


# --- fields ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "id_", "value"),
    [
        ("long", "0", 0),
        ("long", "14", 14),
        ("long", "9223372036854775807", 2**63 - 1),
        ("long", "9223372036854775808", None),
        ("unsigned_long", "18446744073709551615", 2**64 - 1),
        ("unsigned_long", "18446744073709551616", None),
        ("unsigned_long", "-1", None),
        ("integer", "2147483647", 2**31 - 1),
        ("integer", "2147483648", None),
        ("integer", "-2147483649", None),
        ("long", "1_000", None),
        ("long", "eve", None),
        ("long", "9" * 256, None),
        ("long", "9" * 5_000, None),
    ],
)
def test_a_number_is_asked_for_only_as_it_is_written(type_: str, id_: str, value: int | None) -> None:
    number = ExactField(name="f", numeric=NUMBERS[type_])
    assert number.condition(id_) == (None if value is None else Condition(where=number, value=value))


def test_a_negative_number_may_be_there_but_is_not_asked_for() -> None:
    assert isinstance(LONG.condition("-5"), Inexact)
    assert isinstance(LONG.condition("-9223372036854775808"), Inexact)
    assert LONG.condition("-9223372036854775809") is None


@pytest.mark.parametrize(
    ("longest", "id_", "exact"),
    [
        (4, "abcd", True),
        (4, "abcde", False),
        (4, "ääää", True),
        (4, "😀😀", True),
        (4, "😀😀😀", False),
        (None, "x" * 256, True),
    ],
)
def test_what_is_longer_than_a_keyword_takes_cannot_be_told(longest: int | None, id_: str, exact: bool) -> None:
    where = ExactField(name="f", longest=longest)
    condition = where.condition(id_)
    assert condition == Condition(where=where, value=id_) if exact else isinstance(condition, Inexact)


def test_what_stands_before_an_id_counts_in_its_length() -> None:
    where = ExactField(name="_q", longest=12, prefix="user.id=")
    assert where.condition("1234") == Condition(where=where, value="user.id=1234")
    found = where.condition("12345")
    assert isinstance(found, Inexact)
    assert "this id with its prefix" in found.reason


@pytest.mark.parametrize(
    ("application", "user", "expected"),
    [
        (ExactField(name="a"), ExactField(name="u.keyword"), having(("a", "14"), ("u.keyword", "eve"))),
        (LONG, KEYWORD, having((LONG, 14), (KEYWORD, "eve"))),
        (None, KEYWORD, None),
        (KEYWORD, None, None),
        (KEYWORD, LONG, None),
        (UNSURE, KEYWORD, UNSURE),
        (KEYWORD, UNSURE, UNSURE),
        (UNSURE, None, None),
        (UNSURE, LONG, None),
        (None, UNSURE, None),
    ],
)
def test_both_must_match_and_one_that_certainly_does_not_decides(
    application: ExactField | Inexact | None, user: ExactField | Inexact | None, expected: Match | Inexact | None
) -> None:
    assert match(USER, ALL, {APP: application, USER_ID: user}) == (() if expected is None else (expected,))


def test_only_the_subjects_own_fields_count() -> None:
    exact = {Place(field="uin"): UNSURE, APP: KEYWORD, USER_ID: None}
    assert match(APPLICATION, ALL, exact) == (having(("f", "14")),)


def test_a_category_without_the_field_cannot_tell() -> None:
    (found,) = match(USER, named(application="sdkappid"), {APP: None})
    assert isinstance(found, Inexact)


def test_a_field_that_was_not_asked_about_is_not_absent() -> None:
    with pytest.raises(KeyError):
        match(ACCOUNT, ALL, {APP: KEYWORD})


def test_a_match_has_a_condition() -> None:
    with pytest.raises(ValueError, match="every document"):
        having()
    with pytest.raises(ValueError, match="every document"):
        Match(parts=(AnyOf(fields=(KEYWORD,), conditions=()),))


# --- owners ---------------------------------------------------------------------------------------------


def naming(account: str, application: str, newest: int | None, *, ambiguous: bool = False) -> Naming:
    return Naming(account=account, application=application, newest=newest, ambiguous=ambiguous)


def test_an_application_belongs_to_the_account_of_its_newest_document() -> None:
    namings = [naming("a", "1", 10), naming("b", "1", 20), naming("a", "2", 30), naming("a", "2", 5)]
    decided = decide_owners(["a", "c"], namings, {})
    assert decided.applications == {"a": frozenset({"2"}), "c": frozenset()}
    assert decided.undecided == {}


@pytest.mark.parametrize(
    ("namings", "why"),
    [
        ([naming("a", "1", 10), naming("b", "1", 10)], "name 2 accounts"),
        ([naming("a", "1", None)], "plausible timestamp"),
        ([naming("a", "1", 10, ambiguous=True)], "several timestamps"),
        ([naming("a", "1", 20), naming("b", "1", 10, ambiguous=True)], "several timestamps"),
    ],
)
def test_what_cannot_be_told_is_nobodys(namings: list[Naming], why: str) -> None:
    decided = decide_owners(["a", "b"], namings, {})
    assert decided.applications == {"a": frozenset(), "b": frozenset()}
    assert why in decided.undecided["1"]


def test_documents_without_a_believable_timestamp_decide_nothing() -> None:
    decided = decide_owners(["a", "b"], [naming("a", "1", 10), naming("b", "1", None)], {})
    assert decided.applications == {"a": frozenset({"1"}), "b": frozenset()}


def test_an_older_tie_does_not_matter() -> None:
    namings = [naming("a", "1", 10), naming("b", "1", 10), naming("b", "1", 20)]
    assert decide_owners(["b"], namings, {}).applications == {"b": frozenset({"1"})}


def test_an_application_in_doubt_is_not_taken() -> None:
    decided = decide_owners(["a"], [naming("a", "1", 10)], {"1": "may be elsewhere"})
    assert (decided.applications, decided.undecided) == ({"a": frozenset()}, {"1": "may be elsewhere"})


def test_an_application_with_a_malformed_id_is_not_taken() -> None:
    decided = decide_owners(["a"], [naming("a", "1,2", 10)], {})
    assert decided.applications == {"a": frozenset()}
    assert "invalid" in decided.undecided["1,2"]


# --- several values in the fields of a pair -------------------------------------------------------------

PAIR = having(("app", "1"), ("user", "u"), label="pair", single=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"app": ["1"], "user": ["u"]}, True),
        ({"app": ["1", "1"], "user": ["u"]}, True),
        ({"app": ["1", "2"], "user": ["u"]}, False),
        ({"app": ["1"], "user": ["u", "v"]}, False),
        ({"app": ["2"], "user": ["u"]}, False),
        ({"app": ["1"]}, False),
    ],
)
def test_a_pair_fits_a_document_that_has_one_value_of_each(values: dict[str, list[str]], expected: bool) -> None:
    carried = {ExactField(name=name): those for name, those in values.items()}
    assert PAIR.fits(carried) is expected
    assert (OfSubjects(matches=(PAIR,)).labels(carried) == {"pair"}) is expected


def test_a_hold_on_a_pair_fits_whatever_may_be_of_it() -> None:
    values = {ExactField(name="app"): ["1", "2"], ExactField(name="user"): ["u", "v"]}
    assert replace(PAIR, single=False).fits(values)


def test_a_guarded_query_leaves_out_what_has_any_other_value() -> None:
    (clause,) = query_of_any([replace(PAIR, guarded=True)])["bool"]["should"]
    assert clause["bool"]["must_not"] == [
        {"range": {"app": {"lt": "1"}}},
        {"range": {"app": {"gt": "1"}}},
        {"range": {"user": {"lt": "u"}}},
        {"range": {"user": {"gt": "u"}}},
    ]
    assert len(query_of_any([PAIR, replace(PAIR, guarded=True)])["bool"]["should"]) == 2


def test_a_guarded_query_leaves_out_other_ids_after_the_same_text_and_no_other_texts() -> None:
    text = ExactField(name="_q", prefix="user.id=")
    pair = having(("app", "1"), (text, "user.id=5"), single=True, guarded=True)
    (clause,) = query_of_any([pair])["bool"]["should"]
    assert {"range": {"_q": {"lt": "user.id=5", "gte": "user.id="}}} in clause["bool"]["must_not"]
    assert {"range": {"_q": {"gt": "user.id=5", "lt": "user.id>"}}} in clause["bool"]["must_not"]


def test_a_guarded_query_leaves_out_whoever_stands_where_the_id_is_not_possible() -> None:
    number = ExactField(name="n", numeric=NUMBERS["long"])
    user = AnyOf(fields=(KEYWORD, number), conditions=(Condition(where=KEYWORD, value="eve"),))
    pair = Match(parts=(*having(("app", "1")).parts, user), single=True)
    (clause,) = query_of_any([replace(pair, guarded=True)])["bool"]["should"]
    assert {"exists": {"field": "n"}} in clause["bool"]["must_not"]
    values = {ExactField(name="app"): ["1"], KEYWORD: ["eve"]}
    assert pair.fits(values)
    assert not pair.fits({**values, number: [7]})


# --- numbers spelled otherwise ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("0042", 42),
        ("+42", 42),
        ("-042", -42),
        ("42.7", 42),
        ("4.2e1", 42),
        ("420E-1", 42),
        ("42d", 42),
        ("\uff14\uff12", 42),
        (".5", 0),
        ("1e9999", None),
        ("e5", None),
        ("", None),
        (".", None),
        ("d", None),
        ("4_2", None),
        ("0x2a", None),
        ("abc", None),
    ],
)
def test_a_text_is_read_as_elasticsearch_reads_it_into_a_field_of_numbers(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("id_", ["0042", "007", "-0", "+42", "42.0", "4.2e1", "\uff11\uff14", "٤"])
def test_an_id_that_a_field_of_numbers_has_in_another_spelling_is_in_doubt(id_: str) -> None:
    found = LONG.condition(id_)
    assert isinstance(found, Inexact)
    assert "use that spelling" in found.reason
    assert id_ not in found.reason
    assert KEYWORD.condition(id_) == Condition(where=KEYWORD, value=id_)


def test_other_spellings_are_those_of_whole_numbers_alone() -> None:
    assert spellings("1400000000")[:3] == ("1400000000.0", "1.4e9", "1.4e09")
    assert "1.4E+09" in spellings("1400000000")
    assert spellings("5") == ("5.0",)
    assert spellings("2000")[1:3] == ("2e3", "2e03")
    assert spellings("0042") == spellings("abc") == ()
    for text in ("1400000001", "1000", "12"):
        assert {whole_number(one) for one in spellings(text)} == {int(text)}
        assert text not in spellings(text)
        assert len(set(spellings(text))) == len(spellings(text))
