"""Kinds of findings and of open items: no others can be made, each is used, and each says what it means."""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from pathlib import Path
from typing import get_type_hints

import pytest

from builders import index
from retention_enforcer.domain.facts import Doubt
from retention_enforcer.domain.findings import Finding, FindingKind, Severity
from retention_enforcer.domain.plan import SkipKind
from retention_enforcer.domain.terminations.certificate import KeptCopy
from retention_enforcer.domain.terminations.states import OpenItem, OpenItemKind
from retention_enforcer.reporting.findings_page import findings_page

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
NODES = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
EACH = pytest.mark.parametrize("kinds", [FindingKind, OpenItemKind])


@pytest.mark.parametrize(
    ("of", "kinds"), [(Finding, FindingKind), (OpenItem, OpenItemKind), (KeptCopy, OpenItemKind)], ids=str
)
def test_none_is_made_of_any_other_kind(of: type, kinds: type[StrEnum]) -> None:
    assert get_type_hints(of)["kind"] is kinds, "which mypy sees to"
    with pytest.raises(ValueError, match=f"is not a valid {kinds.__name__}"):
        kinds("another")


@EACH
def test_each_is_used(kinds: type[StrEnum]) -> None:
    used = {
        node.attr for node in NODES if isinstance(node, ast.Attribute) and ast.unparse(node.value) == kinds.__name__
    }
    assert used >= {*kinds.__members__}


def test_each_says_what_is_wrong_in_one_sentence_that_no_other_has() -> None:
    for meanings in [k.meaning for k in FindingKind], [k.meaning for k in OpenItemKind]:
        assert [meaning for meaning in meanings if not re.fullmatch(r"[A-Z][^.]+\.", meaning)] == []
        assert len({*meanings}) == len(meanings)


def test_the_page_has_a_row_for_each() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", findings_page(), re.MULTILINE)
    assert rows == [*FindingKind, *OpenItemKind]


def test_whatever_is_in_doubt_or_left_alone_is_a_finding_of_the_same_name() -> None:
    kinds = {kind.value for kind in FindingKind}
    assert {doubt.value for doubt in Doubt} <= kinds
    assert {kind.value for kind in SkipKind} - kinds == {"set-apart"}
    assert {FindingKind(doubt).severity for doubt in Doubt} == {Severity.ERROR}, "what is in doubt is not proven"


def test_a_finding_is_as_urgent_as_its_kind_or_milder() -> None:
    for kind in FindingKind:
        assert Finding.of(kind, None, "a text", "a remedy").severity is kind.severity
        assert Finding.of(kind, None, "a text", "a remedy", milder=True).severity is Severity.WARNING


def test_a_finding_about_an_index_has_its_name_and_its_uuid() -> None:
    about = Finding.of(FindingKind.OVERDUE, "logs", "a text", "a remedy", index=index("logs-a"))
    assert (about.index, about.uuid, about.about) == ("logs-a", "uuid-of-logs-a", None)
    other = Finding.of(FindingKind.HELD, "logs", "a text", "a remedy", about="h1")
    assert (other.index, other.uuid, other.about) == (None, None, "h1")
