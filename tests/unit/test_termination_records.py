"""What the ledger tells of terminations, once the registry cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms
from retention_enforcer.domain.terminations.records import (
    Said,
    entry_about,
    expunged_entry,
    forgotten_along,
    history_in,
    purged_of,
    resolved_to,
    seen_at,
    terminated_at,
    unfounded,
    who_of,
)
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import Purged, Termination


def of(number: int) -> Termination:
    subject = subject_of(application="7")
    return Termination(
        key=f"abcdefgh-{number:012d}",
        request="r",
        pseudonym=Pseudonyms(b"k" * 32).of(subject.text),
        kind=subject.kind,
        ask=Ask.TERMINATE,
        subject=subject,
        registered_at=0,
        terminated_at=0,
    )


TIME = "2026-01-02T00:00:00.000Z"
Form = Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(params=["in fields", "in words alone, as records of before"])
def form(request: pytest.FixtureRequest) -> Form:
    """How the records of a test say what they say."""
    if request.param == "in fields":
        return list
    return lambda records: [{name: v for name, v in one.items() if name != "details"} for one in records]


def about(termination: Termination, action: str, said: Said | str = "", sequence: int = 1) -> dict[str, Any]:
    said = Said(said) if isinstance(said, str) else said
    entry = entry_about(termination, action, said, "enforcer")
    return {**entry.fields(), "sequence": sequence, "time": TIME}


def expunged(uuid: str) -> dict[str, Any]:
    entry = expunged_entry(uuid, "no deleted document is left, after 1 expunges")
    return {**entry.fields(), "sequence": 1, "time": TIME}


def test_each_round_of_the_same_subject_is_told_apart(form: Form) -> None:
    records = form(
        [
            about(of(1), "registered", terminated_at(0, "; reason hmac-sha256:x:y")),
            about(of(1), "cancelled", "reinstated"),
            about(of(2), "registered", terminated_at(0)),
            about(of(2), "purging"),
            about(of(3), "registered"),
            about(of(3), "closed", "5 documents were purged"),
        ]
    )
    told = history_in(records)
    assert told.open == {who_of(of(2))}
    assert told.ended == {who_of(of(1)), who_of(of(3))}


def test_an_index_is_unclean_until_it_was_expunged_after_the_last_purge(form: Form) -> None:
    records = form(
        [
            about(of(1), "purged", purged_of(5, "clean", "outcome 3")),
            about(of(1), "purged", purged_of(5, "again", "outcome 4")),
            expunged("clean"),
            expunged("again"),
            about(of(2), "purged", purged_of(1, "again", "outcome 9")),
            about(of(3), "purged", purged_of(1, "again", "interrupted, counted afterwards")),
        ]
    )
    assert history_in(records).unclean == {"again": {who_of(of(2)), who_of(of(3))}}


def test_what_is_not_about_terminations_tells_nothing() -> None:
    other = {**about(of(1), "registered"), "kind": "finding"}
    nothing = {"kind": "termination", "action": "purged", "reason": "nothing", "sequence": 2, "time": TIME}
    assert history_in([other, nothing, {}]).open == frozenset()


def said(*records: tuple[str, Said | str], start: int = 1) -> list[dict[str, Any]]:
    return [about(of(1), action, what, number) for number, (action, what) in enumerate(records, start)]


KEYED = Pseudonyms(b"k" * 32)
AT = 1_767_312_000_000  # 2026-01-02T00:00:00Z
FOUNDED = said(
    ("registered", terminated_at(0, "; reason hmac-sha256:x:y")),
    ("purged", purged_of(3, "u1", "outcome 2")),
    ("verified", seen_at(AT, "no document is left")),
    ("erased", seen_at(AT + 5, "no deleted document is left in any file")),
)
CLEAN = replace(
    of(1),
    purged_at=AT,
    erased_at=AT + 5,
    purges=(Purged(category="keys", index="keys", uuid="u1", documents=3, at=AT, record=2),),
)


def test_what_the_ledger_says_too_is_founded(form: Form) -> None:
    assert unfounded(CLEAN, form(FOUNDED), KEYED) == []
    less = replace(CLEAN, purged_at=None, erased_at=None, purges=())
    assert unfounded(less, form(FOUNDED), KEYED) == [], "less is not unfounded"
    older = said(("registered", terminated_at(0)), ("verified", "no document is left"))
    assert unfounded(replace(of(1), purged_at=AT - 60_000), form(older), KEYED) == [], "a record that does not say when"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"erased_at": AT + 4}, "everything was erased"),
        ({"purged_at": AT - 1}, "no document was left"),
        ({"terminated_at": 1}, "requested with effect from"),
        ({"closed_at": AT}, "closed"),
        ({"applications": ("8",)}, "1 application belonged to it"),
        ({"purges": (replace(CLEAN.purges[0], documents=4),)}, "4 documents of index u1"),
        ({"purges": (replace(CLEAN.purges[0], uuid="u2"),)}, "3 documents of index u2"),
    ],
)
def test_what_the_registry_alone_says_is_named(form: Form, change: dict[str, Any], named: str) -> None:
    (text,) = unfounded(replace(CLEAN, **change), form(FOUNDED), KEYED)
    assert named in text


def test_a_milestone_from_before_the_last_purge_is_none(form: Form) -> None:
    later = [*FOUNDED, *said(("purged", purged_of(1, "u1", "outcome 9")), start=5)]
    assert [text.split(" at ")[0] for text in unfounded(CLEAN, form(later), KEYED)] == [
        "that no document was left",
        "that everything was erased",
    ]


@pytest.mark.parametrize(
    ("applications", "founded"), [(("8", "9"), True), (("8",), False), ((), False), (("8", "10"), False)]
)
def test_which_applications_went_along_is_what_was_last_recorded(
    form: Form, applications: tuple[str, ...], founded: bool
) -> None:
    records = [*FOUNDED, *said(("resolved", "3 applications"), ("resolved", resolved_to(["8", "9"], KEYED)), start=5)]
    texts = unfounded(replace(CLEAN, applications=applications), form(records), KEYED)
    assert [" belonged to it" in text for text in texts] == ([] if founded else [True])
    assert unfounded(replace(CLEAN, applications=("8", "10")), form(records), Pseudonyms(b"o" * 32)) == [], (
        "another key"
    )


def test_of_one_that_is_forgotten_nobody_can_look_for_its_applications(form: Form) -> None:
    along = said(("resolved", resolved_to(["8", "9"], KEYED)), ("forgotten", "only the pseudonym is left"), start=5)
    assert unfounded(CLEAN, form([*FOUNDED, *along]), KEYED) == []
    assert forgotten_along(CLEAN, form([*FOUNDED, *along])) == 2
    assert forgotten_along(replace(CLEAN, applications=("8", "9")), form(along)) == 0
    assert forgotten_along(CLEAN, form(FOUNDED)) == 0
