"""What holds for any policy, pattern and duration."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naming import named
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND, format_duration, parse_duration
from retention_enforcer.domain.policy.names import IndexPattern, overlap
from retention_enforcer.domain.policy.promises import Category, Clause, Policy, fingerprint
from retention_enforcer.domain.timestamps import Timestamp
from retention_enforcer.policy_file import load_policy_text

TRTC = (Path(__file__).parents[2] / "config" / "trtc.yaml").read_text()

# No application's id holds a dash, so that both letters tell its place from a literal's.
NAMES = ["".join(letters) for length in range(7) for letters in product("a-", repeat=length)]
PARTS = st.sampled_from(["a", "-", "*", "{application}"])
PATTERNS = st.lists(PARTS, max_size=3).filter(lambda parts: parts.count("{application}") <= 1).map("".join)
"""At most three parts: if two of them share a name at all, they share one of at most six letters."""

DURATIONS = st.builds(int.__mul__, st.integers(0, 999_999_999), st.sampled_from([SECOND, MINUTE, HOUR, DAY]))


@settings(deadline=None)  # the machine may be busy
@given(PATTERNS.map(IndexPattern), PATTERNS.map(IndexPattern))
def test_patterns_overlap_exactly_if_a_name_matches_both(one: IndexPattern, other: IndexPattern) -> None:
    shared = [name for name in NAMES if one.matches(name) and other.matches(name)]
    assert overlap(one, other) == overlap(other, one) == bool(shared), shared[:1]


@settings(deadline=None)  # the machine may be busy
@given(PATTERNS)
def test_a_pattern_overlaps_itself(text: str) -> None:
    assert overlap(IndexPattern(text), IndexPattern(text))


@settings(deadline=None)  # the machine may be busy
@given(st.builds(int.__mul__, st.integers(0, 999_999_999), st.just(SECOND)) | DURATIONS)
def test_a_duration_is_read_back_as_it_was_written(duration: int) -> None:
    assert parse_duration(format_duration(duration)) == duration


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=8) | st.text("0123456789smhd -.", max_size=8))
def test_a_text_is_a_duration_or_refused_with_a_sentence(text: str) -> None:
    if re.fullmatch(r"\s*(0|[1-9][0-9]*)[smhd]\s*", text, re.ASCII):
        assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)
    else:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)


LOGS = Category(
    id="logs",
    clause=Clause(document="Privacy", section="6", item="logs", updated="2022-08-11"),
    indices=(IndexPattern("shop-logs-*"),),
    subjects=named(application="app"),
    max_age=14 * DAY,
)
POLICY = Policy(name="shop", categories=(LOGS, replace(LOGS, id="more", indices=(IndexPattern("shop-more-*"),))))
SETTINGS: dict[str, Any] = {"grace": DAY, "max_share": 0.5, "lifecycle": "auto"}

NAME = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
LIMIT = st.integers(1, 10**12)
FIELDS = st.builds(named, account=st.none() | NAME, application=st.none() | NAME, user=st.none() | NAME)
OF_A_CATEGORY = {
    "id": NAME,
    "indices": st.lists(NAME.map(IndexPattern), min_size=1, max_size=3).map(tuple),
    "timestamp": st.none() | st.builds(Timestamp, NAME, st.sampled_from([None, "s", "ms", "yyyyMMddHHmmss"])),
    "subjects": FIELDS,
    "owns": FIELDS,
    "max_age": st.none() | LIMIT,
    "after_termination": st.none() | LIMIT,
    "never_stored": st.booleans(),
    "forbidden_fields": st.lists(NAME, max_size=2).map(tuple),
    "rollover": LIMIT,
    "enforce": st.booleans(),
    "foreign_lifecycle": st.sampled_from(["leave", "adopt"]),
}
OF_A_POLICY = {
    "margin": LIMIT,
    "on_request": LIMIT,
    "earliest": LIMIT,
    "ignore": st.lists(NAME.map(IndexPattern), max_size=2).map(tuple),
}
OF_THE_SETTINGS = {
    "grace": LIMIT,
    "max_share": st.floats(0.01, 1),
    "lifecycle": st.sampled_from(["auto", "ilm", "direct"]),
}


def test_each_field_of_a_category_is_drawn_but_for_its_clause() -> None:
    assert set(OF_A_CATEGORY) == set(Category.__slots__) - {"clause"}
    assert set(OF_A_POLICY) == set(Policy.__slots__) - {"name", "categories"}


@settings(deadline=None)  # the machine may be busy
@given(st.data())
def test_whatever_decides_deletions_changes_the_fingerprint(data: st.DataObject) -> None:
    drawn = data.draw(st.sampled_from([*OF_A_CATEGORY, *OF_A_POLICY, *OF_THE_SETTINGS]))
    value = data.draw((OF_A_CATEGORY | OF_A_POLICY | OF_THE_SETTINGS)[drawn])
    policy, settings = POLICY, SETTINGS
    if drawn in OF_A_CATEGORY:
        policy = replace(POLICY, categories=(replace(LOGS, **{drawn: value}), POLICY.categories[1]))
    elif drawn in OF_A_POLICY:
        policy = replace(POLICY, **{drawn: value})
    else:
        settings = SETTINGS | {drawn: value}
    same = (policy, settings) == (POLICY, SETTINGS)
    assert (fingerprint(policy, **settings) == fingerprint(POLICY, **SETTINGS)) == same


@settings(deadline=None)  # the machine may be busy
@given(st.builds(Clause, document=st.text(), section=st.text(), item=st.text(), updated=st.text()))
def test_the_wording_of_a_clause_leaves_the_fingerprint(clause: Clause) -> None:
    worded = replace(POLICY, categories=tuple(replace(category, clause=clause) for category in POLICY.categories))
    assert fingerprint(worded, **SETTINGS) == fingerprint(POLICY, **SETTINGS)


def test_comments_and_blank_lines_leave_the_fingerprint() -> None:
    bare = "\n".join(line.split(" #")[0] for line in TRTC.splitlines() if not line.lstrip().startswith("#"))
    policies = [load_policy_text(text, "trtc.yaml") for text in (TRTC, bare)]
    assert fingerprint(policies[0], **SETTINGS) == fingerprint(policies[1], **SETTINGS)


def loads_or_is_refused_in_a_few_lines(text: str) -> None:
    refusal = None
    try:
        load_policy_text(text, "trtc.yaml")
    except ConfigurationError as error:
        refusal = error
    if refusal is not None:
        assert refusal.message.startswith("trtc.yaml:")
        line = int(refusal.message.split(":")[1])
        assert 1 <= line <= text.count("\n") + text.count("\r") + 3
        assert 1 <= len(str(refusal).splitlines()) <= 4
        assert refusal.remedy


SCRAPS = st.sampled_from([*"{}[]:-,#&*!|>'\"%@`? \n\t~\0é", "null", "true", "1", "14d", "- ", "<<: ", "---\n", "[]"])


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, len(TRTC)), st.integers(0, 12), st.lists(SCRAPS, max_size=4).map("".join))
def test_a_damaged_policy_is_loaded_or_refused_but_never_breaks_the_loader(start: int, cut: int, new: str) -> None:
    loads_or_is_refused_in_a_few_lines(TRTC[:start] + new + TRTC[start + cut :])


VALUES = st.recursive(
    st.sampled_from(["1", "14d", "true", '"x"', "x", "2022-08-11", "-1", "1.5", '""']),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["id", "account", "document"]), inner, max_size=2).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        )
    ),
    max_leaves=4,
)
KEYS = [*OF_A_CATEGORY, "clause"]


@settings(deadline=None)  # the machine may be busy
@given(
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=13),
    st.dictionaries(st.sampled_from([*OF_A_POLICY]), VALUES),
)
def test_any_value_under_any_key_is_read_or_refused(category: dict[str, str], policy: dict[str, str]) -> None:
    top = "".join(f"{key}: {value}\n" for key, value in policy.items())
    entry = ", ".join(f"{key}: {value}" for key, value in category.items())
    loads_or_is_refused_in_a_few_lines(f"version: 1\nname: a\n{top}categories:\n- {{{entry}}}\n")
