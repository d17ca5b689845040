"""Which write indices can be rolled over, and to what name."""

from __future__ import annotations

from typing import Any

import pytest

from builders import category, index
from retention_enforcer.domain.rollover import next_name, rollover_target


@pytest.mark.parametrize(
    ("name", "following"),
    [
        ("logs-000001", "logs-000002"),
        ("logs-1", "logs-000002"),
        ("logs-000009", "logs-000010"),
        ("logs-999999", "logs-1000000"),
        ("logs-2026.01.31-000007", "logs-2026.01.31-000008"),
        ("logs-2026-01-31", "logs-2026-01-000032"),
        ("a-1-000001", "a-1-000002"),
        ("-1", "-000002"),
        ("logs", None),
        ("logs000001", None),
        ("logs-", None),
        ("logs-2026.01.31", None),
        ("logs-000001-archive", None),
        ("logs-٣", None),
        ("logs-1\n", None),
    ],
)
def test_the_next_index_has_the_next_number_in_six_digits(name: str, following: str | None) -> None:
    assert next_name(name) == following


ALIAS = {"aliases": ("logs-all",), "write_aliases": ("logs-all",), "write_index": True}
TARGETS: list[tuple[str, dict[str, Any], str | None]] = [
    ("a stream", {"name": ".ds-logs-000001", "stream": "logs"}, "logs"),
    ("its failure store", {"name": ".fs-logs-000001", "stream": "logs", "failure_store": True}, "logs::failures"),
    ("an alias with a number", {"name": "logs-000001", **ALIAS}, "logs-all"),
    ("an alias without a number", {"name": "logs-new", **ALIAS}, None),
    ("an alias that only reads", {"name": "logs-000001", "aliases": ("logs-all",)}, None),
    ("two aliases that write", {"name": "logs-000001", "write_aliases": ("one", "two")}, None),
    ("one that writes, one that reads", {"name": "logs-000001", **ALIAS, "aliases": ("logs-all", "r")}, "logs-all"),
    ("no stream and no alias", {"name": "logs-000001", "write_index": True}, None),
]


@pytest.mark.parametrize(("given", "target"), [pytest.param(g, t, id=id_) for id_, g, t in TARGETS])
def test_a_stream_or_the_one_alias_that_writes_is_rolled_over(given: dict[str, Any], target: str | None) -> None:
    assert rollover_target(index(**given), category()) == target


def test_no_alias_rolls_out_of_its_category() -> None:
    written = index("logs-000009", **ALIAS)
    assert rollover_target(written, category(indices=["logs-00000*"])) is None
    assert rollover_target(written, category(indices=["logs-0000*"])) == "logs-all"
