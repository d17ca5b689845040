"""Whatever indices are odd, each is named, once and alone, and all others are answered for."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention_enforcer.cluster.batches import Refusals, ask_each
from retention_enforcer.cluster.errors import SECURITY
from retention_enforcer.cluster.expressions import LONGEST_FIELDS, Batch, batches, by_fields
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, RequestRejected, RetentionError

NAMES = [f"index-{number:03}" for number in range(200)]
REJECTED = RequestRejected("it is odd", kind="illegal_argument_exception", status=400)


def ask(
    asked: Iterable[Batch], odd: Iterable[str], error: RetentionError = REJECTED
) -> tuple[list[str], Refusals, int]:
    refusals, sent = Refusals(), 0

    def request(expression: str) -> list[str]:
        nonlocal sent
        sent += 1
        names = NAMES if "*" in expression else expression.split(",")
        if set(names) & set(odd):
            raise error
        return names

    return [name for answer in ask_each(asked, refusals, request) for name in answer], refusals, sent


@given(st.sets(st.sampled_from(NAMES), max_size=60), st.booleans())
def test_each_odd_one_is_named_alone_and_the_others_are_answered(odd: set[str], wildcard: bool) -> None:
    asked = [Batch("index-*", tuple(NAMES))] if wildcard else list(batches(NAMES))
    answered, refusals, sent = ask(asked, odd)
    assert sorted(answered) == sorted(set(NAMES) - odd)
    assert refusals.causes.keys() == odd
    assert sent <= len(asked) + 2 + len(odd) * 2 * 9


def test_nothing_more_is_asked_where_all_is_well() -> None:
    assert ask([Batch("index-*", tuple(NAMES))], ())[2] == 1


def test_a_refusal_of_every_single_one_is_no_error() -> None:
    answered, refusals, _ = ask(list(batches(NAMES[:3])), NAMES)
    assert (answered, len(refusals.causes)) == ([], 3)


@pytest.mark.parametrize("error", [ClusterUnavailable("503"), RequestRejected("no", kind=SECURITY, status=403)])
def test_a_cluster_that_answers_for_nothing_is_an_error(error: RetentionError) -> None:
    with pytest.raises(type(error)):
        ask(list(batches(NAMES[:3])), NAMES, error)
    with pytest.raises(type(error)):
        ask([Batch("index-*", tuple(NAMES))], NAMES, error)


@pytest.mark.parametrize("error", [ClusterUnavailable("503"), RequestRejected("no", kind=SECURITY, status=403)])
def test_one_that_answers_for_others_is_none(error: RetentionError) -> None:
    answered, refusals, _ = ask(list(batches(NAMES)), NAMES[:2], error)
    assert (len(answered), sorted(refusals.causes)) == (198, NAMES[:2])


@pytest.mark.parametrize("error", [OutcomeUnknown("late"), RequestRejected("who?", kind=SECURITY, status=401)])
def test_a_lost_answer_or_wrong_credentials_are_errors_at_once(error: RetentionError) -> None:
    with pytest.raises(type(error)):
        ask(list(batches(NAMES)), NAMES[:1], error)


def test_what_is_gone_is_no_cause() -> None:
    gone = RequestRejected("no such index", kind="index_not_found_exception", status=404)
    answered, refusals, _ = ask(list(batches(NAMES)), NAMES[:1], gone)
    assert (len(answered), refusals.gone, refusals.causes) == (199, {NAMES[0]}, {})


FIELDS = st.text(st.sampled_from("ab.é-"), min_size=1, max_size=200)


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(FIELDS, max_size=12), max_size=12))
def test_every_field_is_asked_of_its_index_and_no_list_of_fields_is_too_long(wanted: dict[str, set[str]]) -> None:
    asked: dict[str, set[str]] = {}
    for names, fields in by_fields(wanted, list):
        size = sum(len(quote(field, safe="")) + 3 for field in fields)
        assert size <= LONGEST_FIELDS or len(fields) == 1
        for name in names:
            asked.setdefault(name, set()).update(fields)
    assert asked.keys() == {name for name, fields in wanted.items() if fields}
    assert all(fields <= asked[name] for name, fields in wanted.items() if fields)
