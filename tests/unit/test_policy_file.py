"""The policy file: what is accepted, and what every kind of wrong file is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from naming import after, field, named, tag
from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE
from retention_enforcer.domain.policy.names import IndexPattern
from retention_enforcer.domain.policy.places import Key, Place, SubjectPlaces
from retention_enforcer.domain.policy.promises import EARLIEST, Category, Policy
from retention_enforcer.domain.timestamps import AT_TIMESTAMP, Timestamp
from retention_enforcer.policy_file import load_policy, load_policy_text, policy_schema

TRTC = Path(__file__).parents[2] / "config" / "trtc.yaml"

GOOD = """\
version: 1
name: shop
margin: 1h
on_request: 7d
categories:
  - id: logs
    clause: {document: Privacy, section: 6, item: logs, updated: 2022-08-11}
    indices: ["shop-logs-*"]
    subjects: {application: app, user: user_id}
    max_age: 14d
  - id: keys
    clause: {document: Privacy, section: "7", item: keys, updated: 2022-08-11}
    indices: ["shop-keys", "shop-keys-{application}-*"]
    subjects: {account: owner, application: app}
    owns: {account: owner, application: app}
    after_termination: 7d
"""
"""Lines 1-16; the tables below change one place each."""


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_policy_text(text, "shop.yaml")
    return caught.value


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} has to stand in the good policy once"
    return GOOD.replace(old, new)


# (what is wrong, what is replaced, by what, the line named, a piece of the message, a piece of the remedy)
WRONG = [
    # text that is not plain YAML
    ("a tab", "name: shop", "\tname: shop", 2, "this is not YAML", "no tabs"),
    ("an open bracket", '["shop-logs-*"]', '["shop-logs-*"', 9, "this is not YAML", "indentation"),
    ("an unquoted {application}", '"shop-keys"', "shop-{application}", 13, "this is not YAML", "in quotes"),
    ("an unquoted wildcard", '"shop-logs-*"', "*logs", 8, "*logs is a YAML alias", "in quotes"),
    ("a control character", "name: shop", "name: sh\x07op", 2, "invalid character", "plain text"),
    (
        "a duplicate key",
        "margin: 1h",
        "margin: 1h\nmargin: 2h",
        4,
        "'margin' is set twice, first in line 3",
        "keep one",
    ),
    ("a duplicate key in a category", "max_age: 14d", "max_age: 14d\n    max_age: 15d", 11, "'max_age' is set", "one"),
    ("an anchor", "on_request: 7d", "on_request: &week 7d", 4, "anchors (&)", "write out"),
    ("an alias", "margin: 1h", "margin: *hour", 3, "*hour is a YAML alias", "write out"),
    ("a merge key", "    max_age: 14d", "    <<: {max_age: 14d}", 10, "merge keys", "write out"),
    ("a tag", "name: shop", "name: !!str shop", 2, "tags (!)", "remove the tag"),
    ("a second document", "on_request: 7d", "on_request: 7d\n---", 5, "a second document", "one policy"),
    ("a list as a key", "margin: 1h", "[margin]: 1h", 3, "a key is a list", "a word"),
    ("a value left out", "margin: 1h", "margin:", 3, "a value is missing", "write a value"),
    ("a null", "max_age: 14d", "max_age: null", 10, "a value is missing", "write a value"),
    ("too deep a nesting", "margin: 1h", "margin: [[[[[[[[[[1]]]]]]]]]]", 3, "nested too deeply", "six levels"),
    # the shape
    ("an unknown key", "margin: 1h", "margn: 1h", 3, "margn: unknown key", "write margin"),
    ("an unknown key like no other", "margin: 1h", "zzz: 1h", 3, "zzz: unknown key", "use one of: version, name"),
    ("an unknown key of a category", "max_age: 14d", "maxage: 14d", 10, "category logs, maxage", "write max_age"),
    ("an unknown key of a clause", "item: logs", "itm: logs", 7, "category logs, clause.itm", "write item"),
    (
        "an unknown subject",
        "user: user_id",
        "person: user_id",
        9,
        "category logs, subjects.person",
        "use one of: account",
    ),
    ("a user that owns", "owns: {account: owner,", "owns: {user: u, account: owner,", 15, "owns.user", "use one of"),
    ("no name", "name: shop\n", "", 1, "name is missing", "add name"),
    ("no version", "version: 1\n", "", 1, "version is missing", "add version"),
    ("no indices", '    indices: ["shop-logs-*"]\n', "", 6, "category logs: indices is missing", "add indices"),
    (
        "half of owns",
        "owns: {account: owner, application: app}",
        "owns: {account: owner}",
        15,
        "application is missing",
        "",
    ),
    (
        "an unknown key of a timestamp",
        "max_age: 14d",
        "timestamp: {feld: t, unit: ms}\n    max_age: 14d",
        10,
        "category logs, timestamp.feld: unknown key",
        "write field",
    ),
    (
        "a timestamp without its field",
        "max_age: 14d",
        "timestamp: {unit: ms}\n    max_age: 14d",
        10,
        "timestamp: field is missing",
        "add field",
    ),
    (
        "a timestamp that is a list",
        "max_age: 14d",
        "timestamp: [t]\n    max_age: 14d",
        10,
        "timestamp: ['t'] is not a timestamp",
        "the name of a field",
    ),
    (
        "an unknown unit of a timestamp",
        "max_age: 14d",
        "timestamp: {field: t, unit: minutes}\n    max_age: 14d",
        10,
        "timestamp.unit: 'minutes' is neither a unit nor a pattern",
        "s, ms, us or ns, or a pattern",
    ),
    (
        "a timestamp coarser than the margin",
        "max_age: 14d",
        "timestamp: {field: t, unit: yyyyMMdd}\n    max_age: 14d",
        10,
        "a value in yyyyMMdd is only exact to 1d, too coarse for a margin of 1h",
        "margin to at least 2d",
    ),
    ("an unknown version", "version: 1", "version: 2", 1, "2 is not a supported version", "write version: 1"),
    ("a version in quotes", "version: 1", 'version: "1"', 1, "'1' is not a supported version", "write version: 1"),
    (
        "a version that is a switch",
        "version: 1",
        "version: true",
        1,
        "true is not a supported version",
        "write version: 1",
    ),
    ("a bare number", "max_age: 14d", "max_age: 14", 10, "max_age: 14 has no unit", "write 14d, not 14"),
    ("a bare number in quotes", "max_age: 14d", 'max_age: "14"', 10, "'14' is not a duration", "14d"),
    ("a sexagesimal number", "margin: 1h", "margin: 1:30", 3, "'1:30' is not a duration", "90s"),
    ("an unknown unit", "max_age: 14d", "max_age: 2w", 10, "'2w' is not a duration", "14d"),
    ("a fraction", "max_age: 14d", "max_age: 1.5d", 10, "'1.5d' is not a duration", "whole number"),
    ("a negative duration", "max_age: 14d", "max_age: -14d", 10, "'-14d' is negative", "above zero"),
    ("a duration that is a list", "max_age: 14d", "max_age: [14d]", 10, "is not a duration", "14d"),
    (
        "a word for a switch",
        "max_age: 14d",
        "max_age: 14d\n    enforce: no",
        11,
        "'no' is neither true nor false",
        "true",
    ),
    (
        "a switch in quotes",
        "max_age: 14d",
        'max_age: 14d\n    enforce: "false"',
        11,
        "'false' is neither",
        "without quotes",
    ),
    (
        "a word that is not offered",
        "max_age: 14d",
        "max_age: 14d\n    foreign_lifecycle: take",
        11,
        "'take'",
        "'adopt'",
    ),
    ("a name that is a switch", "name: shop", "name: true", 2, "true is not text", "in quotes"),
    ("an empty text", "name: shop", 'name: ""', 2, "the text is empty", "write a text"),
    ("a name in place of a list", '["shop-logs-*"]', "shop-logs-*", 8, "this is not a list", "a list, such as"),
    ("an empty list", '["shop-logs-*"]', "[]", 8, "the list is empty", "at least one"),
    ("an empty ignore", "margin: 1h", "ignore: []", 3, "ignore: the list is empty", "remove the line"),
    (
        "a list in place of a clause",
        "{document: Privacy, section: 6, item: logs, updated: 2022-08-11}",
        "[6]",
        7,
        "mapping",
        "",
    ),
    ("a time that is none", "margin: 1h", "earliest: last year", 3, "'last year' is not a time", "2015-01-01"),
    # the rules
    ("zero", "max_age: 14d", "max_age: 0d", 10, "max_age: 0s is not longer than zero", "such as 14d"),
    ("a margin of zero", "margin: 1h", "margin: 0s", 3, "margin: 0s is not", "such as 1h"),
    (
        "a limit within the margin",
        "max_age: 14d",
        "max_age: 1h",
        10,
        "1h is not longer than the margin of 1h",
        "margin",
    ),
    ("a request within the margin", "on_request: 7d", "on_request: 30m", 4, "30m is not longer than", "reduce margin"),
    (
        "a termination within it",
        "after_termination: 7d",
        "after_termination: 1h",
        16,
        "1h is not longer",
        "reduce margin",
    ),
    (
        "too coarse a rollover",
        "max_age: 14d",
        "max_age: 14d\n    rollover: 7d",
        11,
        "a rollover of 7d",
        "at most 167h,",
    ),
    ("a name in capitals", "name: shop", "name: Shop", 2, "'Shop' is not a valid name", "lower case"),
    ("an id with a blank", "id: logs", "id: my logs", 6, "'my logs' is not a valid name", "lower case"),
    ("a duplicate id", "id: keys", "id: logs", 11, "'logs' is already the id", "unique"),
    ("the reserved id", "id: keys", "id: on-request", 11, "deletion on request", "another id"),
    ("no promise", "    max_age: 14d\n", "", 6, "category logs: the category promises nothing", "max_age"),
    (
        "a contradiction",
        "max_age: 14d",
        "max_age: 14d\n    never_stored: true",
        11,
        "never_stored excludes max_age",
        "remove",
    ),
    (
        "a day that is none",
        "item: logs, updated: 2022-08-11",
        "item: logs, updated: 2022-02-30",
        7,
        "not a date",
        "2022-08-11",
    ),
    (
        "a day without dashes",
        "item: logs, updated: 2022-08-11",
        "item: logs, updated: 20220811",
        7,
        "not a date",
        "2022-08-11",
    ),
    ("every index", "shop-logs-*", "*", 8, "'*' is not allowed", "every index"),
    ("a dot index", "shop-logs-*", ".security", 8, "is not allowed", "system"),
    ("an index of the enforcer", "shop-logs-*", "retention-*", 8, "is not allowed", "own indices"),
    ("the ledger by a wildcard", "shop-logs-*", "*-ledger", 8, "is not allowed", "own indices"),
    ("upper case", "shop-logs-*", "Shop-logs-*", 8, "is not allowed", "lower case"),
    ("a comma", "shop-logs-*", "shop-logs,shop-more", 8, "is not allowed", "one name per entry"),
    ("a leading -", "shop-logs-*", "-shop-logs", 8, "is not allowed", "begin with -"),
    ("date math", "shop-logs-*", "<shop-{now/d}>", 8, "is not allowed", "date math"),
    ("a remote index", "shop-logs-*", "far:shop-logs", 8, "is not allowed", "remote"),
    (
        "an impossible name to ignore",
        "margin: 1h",
        'ignore: ["a", "B"]',
        3,
        "ignore.entry 2: 'B' is not allowed",
        "lower",
    ),
    (
        "an application next to a wildcard",
        "shop-logs-*",
        "shop-{application}*",
        8,
        "is not allowed",
        "literal text",
    ),
    (
        "an application that no field names",
        "    subjects: {account: owner, application: app}\n",
        "",
        13,
        "indices.entry 2: 'shop-keys-{application}-*' contains an application",
        "subjects: {application: sdkappid}",
    ),
    (
        "a user without application",
        "{application: app, user: user_id}",
        "{user: user_id}",
        9,
        "user is set without application",
        "unique only within",
    ),
    *(
        (f"a user that is {what}", "user: user_id", f"user: {user}", 9, f"category logs, subjects.user{text}", remedy)
        for what, user, text, remedy in [
            ("a number of a list", "[user_id, true]", ".entry 2: true is not text", "in quotes"),
            ("an empty list", "[]", ": the list is empty", "at least one"),
            ("a list in a list", "[u, [user_id]]", ".entry 2: ['user_id'] is not text", "in quotes"),
            ("twice in a list", "[user_id, uid, user_id]", ".entry 3: 'user_id' is listed twice", "once"),
            ("a wildcard in a list", '[user_id, "u*"]', ".entry 2: 'u*' is not a valid name", "full name"),
            ("a path alone", "{path: tags}", ": key is missing", "add key"),
            ("a key alone", "{key: user.id}", ": path is missing", "add path"),
            ("a field in braces", "{field: user_id}", ": prefix is missing", "add prefix"),
            ("a prefix alone", '{prefix: "id="}', ": field is missing", "add field"),
            ("an empty prefix", '{field: _q, prefix: ""}', ".prefix: the text is empty", "write a text"),
            ("half of both", "{path: tags, key: k, prefix: p}", ".prefix: unknown key", "use one of: path, key"),
            ("a key misspelt", "{path: tags, key: k, keyfield: n}", ".keyfield: unknown key", "write key_field"),
            ("a wildcard in objects", '{path: "t*", key: k}', ": 't*.key' is not a valid name", "full name"),
            ("a key with a tab", '{path: tags, key: "a\\tb"}', ": it contains a character", "one line"),
            (
                "a pair twice",
                "[{path: t, key: k}, {path: t, key: k}]",
                ".entry 2: 't.value where",
                "once",
            ),
        ]
    ),
    (
        "an owner in nested objects",
        "owns: {account: owner,",
        "owns: {account: {path: tags, key: k},",
        15,
        "only be read from fields",
        "uin",
    ),
    (
        "an owner in a part",
        "owns: {account: owner,",
        'owns: {account: [{field: q, prefix: "a="}],',
        15,
        "only be read from fields",
        "uin",
    ),
    ("a field with a wildcard", "user: user_id", "user: user_*", 9, "'user_*' is not a valid name", "full name"),
    (
        "two that claim one index",
        "shop-keys-{application}-*",
        "shop-logs-{application}-*",
        13,
        "'shop-logs-*' of logs",
        "one category only",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [("max_age: 14d", "maxage: 14d", "unknown key"), ('["shop-logs-*"]', "[[a]]", "indices.entry 1")],
)
def test_a_list_with_one_faulty_entry_is_not_called_empty(old: str, new: str, text: str) -> None:
    alone = changed(old, new).split("  - id: keys")[0]
    error = refusal(alone)
    assert text in error.message
    assert "more below" not in error.remedy


@pytest.mark.parametrize(
    ("old", "new", "line", "text", "remedy"),
    [row[1:] for row in WRONG],
    ids=[row[0].replace(" ", "-") for row in WRONG],
)
def test_a_wrong_policy_is_refused_with_file_line_and_remedy(
    old: str, new: str, line: int, text: str, remedy: str
) -> None:
    error = refusal(changed(old, new))
    assert error.message.startswith(f"shop.yaml:{line}: ")
    assert text in error.message
    assert remedy in error.remedy
    assert "more below" not in error.remedy, "one mistake is one problem"
    assert 1 <= len(str(error).splitlines()) <= 4
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# only a remark\n", "the file is empty"),
        ("null\n", "a value is missing"),
        ("- version: 1\n", "this is not a mapping"),
        ("version\n", "this is not a mapping"),
        ("[" * 5_000, "nested too deeply"),
        ("- " * 5_000, "nested too deeply"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors"),
        ("version: 3\nretention: 14d\n", "3 is not a supported version"),
    ],
)
def test_text_that_is_no_policy_at_all_is_refused_at_its_first_line(text: str, message: str) -> None:
    error = refusal(text)
    assert error.message.startswith("shop.yaml:1: ")
    assert message in error.message


def test_of_several_problems_the_first_in_the_file_is_told_and_the_rest_counted() -> None:
    error = refusal(
        GOOD.replace("14d", "14").replace("on_request: 7d", "on_request: 7").replace("name: shop", "name: 1 2")
    )
    assert error.message == "shop.yaml:4: on_request: 7 has no unit"
    assert error.remedy.endswith("(1 more below, the next in line 10)")


def test_a_long_or_strange_value_does_not_flood_the_message() -> None:
    error = refusal(changed("max_age: 14d", f'max_age: "{"x" * 5_000}\\n\\e[31m"'))
    assert len(str(error)) < 400
    assert str(error).isprintable() or len(str(error).splitlines()) == 2
    assert "\x1b" not in str(error)


def test_yaml_types_never_change_what_was_written() -> None:
    text = changed("section: 6", "section: 6.10").replace("name: shop", "name: no").replace("item: keys", "item: 0x1F")
    policy = load_policy_text(text, "shop.yaml")
    assert policy.name == "no"
    assert policy.category("logs").clause.section == "6.10"
    assert policy.category("logs").clause.updated == "2022-08-11"
    assert policy.category("keys").clause.item == "0x1F"


def test_defaults_are_the_documented_ones() -> None:
    policy = load_policy_text(
        "version: 1\nname: a\ncategories:\n- id: b\n  clause: {document: d, section: s, item: i, updated: 2022-08-11}\n"
        '  indices: ["c-*"]\n  max_age: 14d\n',
        "a.yaml",
    )
    assert (policy.margin, policy.on_request, policy.earliest, policy.ignore) == (HOUR, 7 * DAY, EARLIEST, ())
    category = policy.categories[0]
    assert (category.timestamp, category.enforce, category.foreign_lifecycle) == (AT_TIMESTAMP, True, "leave")
    assert (category.rollover, category.never_stored, category.forbidden_fields) == (DAY, False, ())
    assert not category.subjects
    assert not category.owns


@pytest.mark.parametrize(("max_age", "rollover"), [("14d", DAY), ("10d", DAY), ("5d", 12 * HOUR), ("2h", 12 * MINUTE)])
def test_rollover_is_a_day_or_a_tenth_of_the_age(max_age: str, rollover: int) -> None:
    text = changed("max_age: 14d", f"max_age: {max_age}")
    assert load_policy_text(text, "shop.yaml").category("logs").rollover == rollover


def test_every_key_reaches_the_policy() -> None:
    text = changed(
        "    max_age: 14d\n",
        "    max_age: 14d\n    rollover: 12h\n    timestamp: event.created\n    enforce: false\n"
        '    foreign_lifecycle: adopt\n    forbidden_fields: ["audio"]\n    after_termination: 3d\n',
    ).replace("margin: 1h", 'margin: 2h\nearliest: 2020-01-01T00:00:00Z\nignore: ["metrics-*", other]')
    policy = load_policy_text(text, "shop.yaml")
    assert policy.ignore == (IndexPattern("metrics-*"), IndexPattern("other"))
    assert policy.earliest == 1_577_836_800_000
    logs = policy.category("logs")
    assert (logs.max_age, logs.after_termination, logs.rollover) == (14 * DAY, 3 * DAY, 12 * HOUR)
    assert (logs.timestamp, logs.enforce, logs.foreign_lifecycle) == (Timestamp("event.created"), False, "adopt")
    assert logs.forbidden_fields == ("audio",)
    assert logs.subjects == named(application="app", user="user_id")
    assert policy.category("keys").owns == named(account="owner", application="app")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("user_id", field("user_id")),
        ("[user_id]", field("user_id")),
        ("[sender, recipient]", field("sender") + field("recipient")),
        ("{path: tags, key: user.id, value: value}", (tag("user.id"),)),
        ("{path: tags, key: user.id}", (tag("user.id"),)),
        (
            "{path: process.tags, key: user.id, key_field: k, value: v.text}",
            (Place(field="process.tags.v.text", key=Key(path="process.tags", field="process.tags.k", text="user.id")),),
        ),
        ('{field: _q, prefix: "user.id="}', (after("user.id="),)),
        ("{field: _q, prefix: user.id=}", (after("user.id="),)),
        ('{field: _q, prefix: " id: "}', (after(" id: "),)),
        (
            '[user_id, {path: tags, key: user.id}, {path: tags, key: enduser.id}, {field: _q, prefix: "user.id="}]',
            (*field("user_id"), tag("user.id"), tag("enduser.id"), after("user.id=")),
        ),
    ],
)
def test_a_subject_is_in_a_field_in_nested_objects_after_a_text_or_in_any_of_several(
    written: str, read: tuple[Place, ...]
) -> None:
    policy = load_policy_text(changed("user: user_id", f"user: {written}"), "shop.yaml")
    assert policy.category("logs").subjects == SubjectPlaces(application=field("app"), user=read)
    assert len({str(place) for place in read}) == len(read)


def test_an_owner_can_be_in_several_fields() -> None:
    policy = load_policy_text(changed("owns: {account: owner,", "owns: {account: [owner, payer],"), "shop.yaml")
    assert policy.category("keys").owns.account == field("owner") + field("payer")


class TestFiles:
    """What stands in the place of a file."""

    def refusal(self, path: Path) -> ConfigurationError:
        with pytest.raises(ConfigurationError) as caught:
            load_policy(path)
        assert len(str(caught.value).splitlines()) == 2
        return caught.value

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "none.yaml"
        assert self.refusal(path).message == f"{path}: cannot be read: no such file or directory"

    def test_a_directory_is_no_policy(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path).message == f"{tmp_path}: cannot be read: is a directory"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_an_unreadable_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "shop.yaml"
        path.write_text(GOOD)
        path.chmod(0)
        assert self.refusal(path).message == f"{path}: cannot be read: permission denied"

    @pytest.mark.parametrize(
        ("content", "line", "message"),
        [
            (b"", ":1", "empty"),
            (b"version: 1\nname: caf\xe9\n", ":2", "not UTF-8"),
            (GOOD.encode("utf-16"), ":1", "not UTF-8"),
            (b"\x7fELF\x02\x01\x01\x00\x00\x00", ":1", "invalid character"),
            (b"#" * ((1 << 20) + 1), "", "larger than 1 MiB"),
        ],
        ids=["empty", "latin-1", "utf-16", "binary", "large"],
    )
    def test_a_file_that_holds_no_policy_is_refused(
        self, tmp_path: Path, content: bytes, line: str, message: str
    ) -> None:
        path = tmp_path / "shop.yaml"
        path.write_bytes(content)
        error = self.refusal(path)
        assert error.message.startswith(f"{path}{line}: ")
        assert message in error.message

    def test_earliest_is_held_against_the_clock_where_there_is_one(self, tmp_path: Path) -> None:
        path = tmp_path / "shop.yaml"
        path.write_text(GOOD.replace("margin: 1h", "margin: 1h\nearliest: 2026-01-30"), encoding="utf-8")
        now = 1_769_846_400_000  # 2026-01-31T08:00:00Z
        assert load_policy(path) == load_policy(path, now + 400 * DAY)
        with pytest.raises(ConfigurationError) as refused:
            load_policy(path, now)
        assert refused.value.message.startswith(f"{path}:4: earliest: 2026-01-30T00:00:00.000Z is less than")
        assert "before 2026-01-17" in refused.value.remedy

    def test_a_byte_order_mark_and_windows_lines_change_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "shop.yaml"
        path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
        assert load_policy(path) == load_policy_text(GOOD, "shop.yaml")


# The promises, by category: (max_age, after_termination, never stored, fields of account, application, user)
PROMISES: dict[str, tuple[int | None, int | None, bool, tuple[str | None, str | None, str | None]]] = {
    "console-configuration": (None, 7 * DAY, False, ("uin", "sdkappid", None)),
    "backend-logs": (14 * DAY, None, False, (None, "sdkappid", "user_id")),
    "dashboard": (14 * DAY, None, False, (None, "sdkappid", None)),
    "sdk-logs": (14 * DAY, None, False, (None, "sdkappid", "user_id")),
    "uin": (14 * DAY, None, False, ("uin", None, None)),
    "sdkappid": (14 * DAY, None, False, ("uin", "sdkappid", None)),
    "troubleshooting": (14 * DAY, None, False, (None, "sdkappid", None)),
    "media-content": (None, None, True, (None, None, None)),
    "temporary-keys": (None, 7 * DAY, False, (None, "sdkappid", None)),
    "application-logs": (None, 7 * DAY, False, (None, "sdkappid", None)),
}


@pytest.fixture
def policy() -> Policy:
    return load_policy(TRTC)


class TestTheDefaultPolicy:
    """`config/trtc.yaml` is what was promised, no more and no less."""

    def test_it_has_a_category_for_each_clause_with_its_promise(self, policy: Policy) -> None:
        def promise(category: Category) -> tuple[Any, ...]:
            subjects = category.subjects
            kinds = (subjects.account, subjects.application, subjects.user)
            fields = tuple(str(places[0]) if places else None for places in kinds)
            return category.max_age, category.after_termination, category.never_stored, fields

        assert len(policy.categories) == 10
        assert {category.id: promise(category) for category in policy.categories} == PROMISES
        assert policy.on_request == 7 * DAY
        assert policy.margin == HOUR

    def test_all_of_it_is_enforced(self, policy: Policy) -> None:
        assert all(category.enforce for category in policy.categories)

    def test_the_containers_are_the_records_of_customers(self, policy: Policy) -> None:
        containers = {p.text for category in policy.categories for p in category.indices if p.literal}
        assert containers == {"trtc-console-configuration", "trtc-temporary-keys", "trtc-uin", "trtc-sdkappid"}

    def test_applications_are_found_in_the_console_configuration_alone(self, policy: Policy) -> None:
        assert {category.id: category.owns for category in policy.categories if category.owns} == {
            "console-configuration": named(account="uin", application="sdkappid")
        }

    def test_media_may_exist_in_no_mapping(self, policy: Policy) -> None:
        assert policy.category("media-content").forbidden_fields == ("audio_data", "video_data")

    def test_an_application_names_its_log_indices(self, policy: Policy) -> None:
        pattern = policy.category("application-logs").indices[0]
        assert pattern.application_in("trtc-application-logs-1400000001-2026.01.31") == "1400000001"

    def test_every_clause_cites_a_document_and_its_day(self, policy: Policy) -> None:
        days = {(category.clause.document, category.clause.updated) for category in policy.categories}
        assert days == {
            ("TRTC privacy module", "2022-08-11"),
            ("TRTC data processing and security module", "2024-07-10"),
        }


class TestTheSchema:
    """What an editor is told agrees with what the loader accepts."""

    def test_it_knows_the_keys_and_forbids_others(self) -> None:
        schema = policy_schema()
        assert schema["required"] == ["version", "name", "categories"]
        assert schema["additionalProperties"] is False
        for name in ("CategoryEntry", "ClauseEntry", "SubjectsEntry", "OwnsEntry"):
            assert schema["$defs"][name]["additionalProperties"] is False
        assert schema["$defs"]["CategoryEntry"]["required"] == ["id", "clause", "indices"]

    def test_its_defaults_are_values_that_the_loader_accepts(self) -> None:
        properties = policy_schema()["properties"]
        written = {key: properties[key]["default"] for key in ("margin", "on_request", "earliest")}
        lines = "".join(f"{key}: {value}\n" for key, value in written.items())
        text = GOOD.replace("margin: 1h\non_request: 7d\n", lines)
        assert load_policy_text(text, "shop.yaml") == load_policy_text(GOOD, "shop.yaml")

    def test_it_allows_no_null(self) -> None:
        assert "null" not in repr(policy_schema())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("start", Timestamp("start")),
        ("{field: start}", Timestamp("start")),
        ("{field: none}", Timestamp("none")),
        ("{field: start, unit: us}", Timestamp("start", "us")),
        ("{field: time_bucket, unit: yyyyMMddHHmm}", Timestamp("time_bucket", "yyyyMMddHHmm")),
        ("{field: t, unit: \"yyyy-MM-dd'T'HH:mm:ss'Z'\"}", Timestamp("t", "yyyy-MM-dd'T'HH:mm:ss'Z'")),
        ("none", None),
    ],
)
def test_a_timestamp_is_a_field_a_field_with_its_unit_or_none_on_purpose(written: str, meant: Timestamp | None) -> None:
    policy = load_policy_text(changed("max_age: 14d", f"timestamp: {written}\n    max_age: 14d"), "shop.yaml")
    assert policy.categories[0].timestamp == meant


def test_one_fault_in_the_only_category_is_no_empty_list() -> None:
    alone = GOOD[: GOOD.index("  - id: keys")].replace("max_age", "maxage")
    assert "shop.yaml:10: category logs, maxage: unknown key" in refusal(alone).message
