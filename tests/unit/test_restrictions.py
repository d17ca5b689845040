"""What security hides, as privileges say it."""

from __future__ import annotations

from typing import Any

import pytest

from retention_enforcer.cluster.restrictions import Restrictions, _grant

ALL = {"names": ["logs-*"], "privileges": ["read", "view_index_metadata"]}
FIELDS = {**ALL, "field_security": {"grant": ["*"], "except": ["sdkappid"]}}
FEW = {**ALL, "field_security": [{"grant": ["message"]}]}
DOCUMENTS = {**ALL, "query": ['{"term": {"a": 1}}']}
NOTHING_HIDDEN = {**ALL, "field_security": [{"grant": ["*"]}]}
MAINTENANCE = {**ALL, "privileges": ["maintenance"]}


@pytest.mark.parametrize(
    ("entries", "hidden"),
    [
        ([], None),
        ([ALL], None),
        ([NOTHING_HIDDEN], None),
        ([FIELDS], "fields"),
        ([FEW], "fields"),
        ([DOCUMENTS], "documents"),
        ([DOCUMENTS, ALL], None),
        ([DOCUMENTS, {**ALL, "names": "*", "privileges": ["all"]}], None),
        ([DOCUMENTS, MAINTENANCE], "documents"),
        ([DOCUMENTS, {**ALL, "names": ["other-*"]}], "documents"),
        ([DOCUMENTS, {**ALL, "names": ["/logs-.*/"]}], "documents"),
        ([{**DOCUMENTS, "names": ["/.*/"]}], "documents"),
        ([{**DOCUMENTS, "names": ["other-*"]}], None),
        ([{**DOCUMENTS, "names": ["logs-?"]}], "documents"),
        ([{**DOCUMENTS, "names": ["logs.a"]}], None),
        ([{**DOCUMENTS, "names": ["stream"]}], "documents"),
    ],
)
def test_an_index_is_hidden_in_part_unless_an_entry_lets_all_of_it_be_read(
    entries: list[dict[str, Any]], hidden: str | None
) -> None:
    text = Restrictions(grants=tuple(map(_grant, entries))).on(["logs-a", "stream"], "logs-a")
    assert text == (hidden and f"security hides {hidden} of logs-a from the enforcer")


def test_where_it_cannot_be_read_anything_may_be_hidden() -> None:
    text = Restrictions(unread="not allowed").on(["logs-a"], "it")
    assert text == "it is unknown whether security hides a part of it from the enforcer: not allowed"
