"""For whose documents an index is asked, where they may stand in several places."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import category
from naming import after, field, having, named, one, tag
from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces
from retention_enforcer.domain.subjects.identity import (
    NUMBERS,
    AnyOf,
    Condition,
    ExactField,
    Inexact,
    Match,
    subject_of,
)
from retention_enforcer.domain.subjects.query import SubjectQuery

UIN, OWNER = ExactField(name="uin"), ExactField(name="owner", numeric=NUMBERS["long"])
APP = ExactField(name="app")
TAGGED = ExactField(name="tags.value", key=Key(path="tags", field="tags.key", text="user.id"))
TEXT = ExactField(name="_q", prefix="user.id=")
UNSURE = Inexact(reason="uin is of type text")
LISTED = SubjectPlaces(
    account=field("uin") + field("owner"), application=field("app"), user=(tag("user.id"), after("user.id="))
)
EXACT: dict[Place, ExactField | Inexact | None] = {
    Place(field="uin"): UIN,
    Place(field="owner"): OWNER,
    Place(field="app"): APP,
    tag("user.id"): TAGGED,
    after("user.id="): TEXT,
}
LOGS = category("logs", indices=["logs-*"], subjects=LISTED)
ALONG = SubjectQuery(label="t", subject=subject_of(application="1"), account="100")


def test_an_applications_documents_are_not_an_accounts_if_any_place_names_another() -> None:
    (found,) = ALONG.in_index(LOGS, "logs-a", None, EXACT)
    assert isinstance(found, Match)
    other = AnyOf(
        fields=(UIN, OWNER), conditions=(Condition(where=UIN, value="100"), Condition(where=OWNER, value=100))
    )
    assert found == replace(having((APP, "1")), label="t", unless_other=other)
    assert found.fits({APP: ["1"]})
    assert found.fits({APP: ["1"], OWNER: [100]})
    assert found.fits({APP: ["1"], UIN: ["7"], OWNER: [100]}), "it names this account as well"
    assert not found.fits({APP: ["1"], UIN: ["7"]})
    assert not found.fits({APP: ["1"], OWNER: [7]})


def test_where_one_place_may_name_another_account_nothing_is_told_of_its_applications() -> None:
    assert ALONG.in_index(LOGS, "logs-a", None, {**EXACT, Place(field="uin"): UNSURE}) == (UNSURE,)
    (found,) = ALONG.in_index(LOGS, "logs-a", None, {**EXACT, Place(field="uin"): None})
    assert isinstance(found, Match)
    assert found.unless_other == one(OWNER, 100)
    (doubt,) = replace(ALONG, account="eve").in_index(LOGS, "logs-a", None, {**EXACT, Place(field="uin"): None})
    assert isinstance(doubt, Inexact)
    assert doubt.reason == "owner cannot contain this account, but may contain another one"


def test_an_account_is_told_by_the_places_that_can_tell() -> None:
    sought = SubjectQuery(label="t", subject=subject_of(account="100"))
    found, doubt = sought.in_index(LOGS, "logs-a", None, {**EXACT, Place(field="uin"): UNSURE})
    assert isinstance(found, Match)
    assert (found.parts, doubt) == ((one(OWNER, 100),), UNSURE)
    assert found.label == "t"


@pytest.mark.parametrize("of_a_hold", [False, True])
def test_a_user_is_told_where_all_places_can_tell_and_single_but_for_a_hold(of_a_hold: bool) -> None:
    sought = SubjectQuery(label="t", subject=subject_of(application="1", user="eve"), spare_tenants_own=of_a_hold)
    (found,) = sought.in_index(LOGS, "logs-a", None, EXACT)
    assert isinstance(found, Match)
    assert found.single is not of_a_hold
    values = {APP: ["1"], TAGGED: ["eve"], TEXT: ["x", "user.id=eve"]}
    assert found.fits(values)
    assert found.fits(values | {TEXT: ["user.id=eva"]}) is of_a_hold
    assert sought.in_index(LOGS, "logs-a", None, {**EXACT, tag("user.id"): UNSURE}) == (UNSURE,)
    assert sought.in_index(LOGS, "logs-a", None, {**EXACT, Place(field="app"): None}) == ()


def test_a_number_in_another_spelling_is_found_in_each_place_of_texts() -> None:
    sought = SubjectQuery(label="t", subject=subject_of(application="12", user="5"))
    (found,) = sought.in_index(LOGS, "logs-a", None, EXACT)
    assert isinstance(found, Match)
    spelled = sought.spelled_otherwise(LOGS, found)

    def fits(**values: list[str]) -> bool:
        places = {"app": APP, "tags": TAGGED, "q": TEXT}
        return any(one.fits({places[name]: those for name, those in values.items()}) for one in spelled)

    assert fits(app=["12.0"], tags=["5"])
    assert fits(app=["1.2e1"], q=["user.id=5.0"])
    assert fits(app=["12"], q=["user.id=5.0"])
    assert not fits(app=["12"], tags=["5"])
    assert not fits(app=["12.0"], tags=["6"])
    assert not fits(app=["12"], q=["5.0"])
    account = SubjectQuery(label="t", subject=subject_of(account="5"))
    (of_numbers,) = account.in_index(
        category("logs", indices=["logs-*"], subjects=named(account="owner")), "logs-a", None, EXACT
    )
    assert isinstance(of_numbers, Match)
    assert account.spelled_otherwise(LOGS, of_numbers) == (), "a field of numbers has one spelling"
