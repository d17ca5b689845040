"""Which write indices can be rolled over, and to what name."""

from __future__ import annotations

from typing import Any

import pytest

from builders import NOW, category, facts, index
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.facts import Ageless, Doubt, Evidence, RefusedRollover
from retention_enforcer.domain.instants import DAY, MINUTE
from retention_enforcer.domain.rollover import due_rollovers, lasting_refusal, next_name, rollover_target


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
    ("a stream", {"name": ".ds-logs-000001", "stream": "logs", "write_index": True}, "logs"),
    (
        "its failure store",
        {"name": ".fs-logs-000001", "stream": "logs", "failure_store": True, "write_index": True},
        "logs::failures",
    ),
    ("an alias with a number", {"name": "logs-000001", **ALIAS}, "logs-all"),
    ("an alias without a number", {"name": "logs-new", **ALIAS}, None),
    ("an alias that only reads", {"name": "logs-000001", "aliases": ("logs-all",)}, None),
    ("two aliases that write", {"name": "logs-000001", "write_aliases": ("one", "two"), "write_index": True}, None),
    ("an ordinary index of a stream", {"name": ".ds-logs-000001", "stream": "logs"}, None),
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


# --- when ---------------------------------------------------------------------------------------------

LATE = {"ages": [0, 9 * DAY], "write_index": True, "stream": "logs", "index_age": DAY + 1}


def refused(ago: int) -> Evidence:
    why = RefusedRollover(at=NOW - ago, reason="no room", remedy="make room")
    return Evidence(oldest=None, first_seen=NOW - DAY, documents=None, refused_rollover=why)


WHEN: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("older than one rollover", {}, {}, True),
    ("also where nothing in it is late", {"ages": [0, DAY]}, {}, True),
    ("also with documents of unknown age", {"undated": 2}, {}, True),
    ("also a time series", {"end_time": NOW + MINUTE}, {}, True),
    ("not before", {"index_age": DAY}, {}, False),
    ("a lifecycle has a tenth of a rollover for it", {"index_age": DAY * 11 // 10}, {"led": True}, False),
    ("then it hangs", {"index_age": DAY * 11 // 10 + 1}, {"led": True}, True),
    ("an empty one waits for its first document", {"ages": []}, {}, False),
    ("not what is written to no more", {"write_index": False}, {}, False),
    ("not where there is nothing to roll over", {"stream": None}, {}, False),
    ("not under somebody else's lifecycle: it may count from the rollover", {"lifecycle": "theirs"}, {}, False),
    (
        "not where nobody can tell how old anything is",
        {"ageless": Ageless(doubt=Doubt.TIMESTAMP_ABSENT, text="none", remedy="")},
        {},
        False,
    ),
    ("not without a maximum age", {}, {"max_age": None, "after_termination": DAY}, False),
    ("not what is not enforced", {}, {"enforce": False}, False),
    ("not where it was refused just now", {"evidence": refused(0)}, {}, False),
    ("again after a tenth of a rollover", {"evidence": refused(DAY // 10)}, {}, True),
    ("a refusal ahead of the clock is none", {"evidence": refused(-1)}, {}, True),
]


@pytest.mark.parametrize(("given", "under", "due"), [pytest.param(g, u, d, id=id_) for id_, g, u, d in WHEN])
def test_a_write_index_is_rolled_over_when_nobody_else_does(
    given: dict[str, Any], under: dict[str, Any], *, due: bool
) -> None:
    one = index(**{**LATE, **given})
    led = [one.uuid] if under.get("led") else []
    claimed = category(**{name: value for name, value in under.items() if name != "led"})
    found = list(due_rollovers(claimed, facts(one), led, NOW))
    assert [(d.index, d.target) for d in found] == ([(one, "logs")] if due else [])


REFUSALS: list[tuple[RequestRejected, str | None]] = [
    (
        RequestRejected("this cluster has [9]/[1] maximum normal shards open", kind="validation_exception", status=400),
        "raise cluster.max_shards_per_node, add a node, or delete indices that are no longer needed",
    ),
    (
        RequestRejected("found duplicated alias [[w]] in template", kind="illegal_argument_exception", status=400),
        "remove alias w from the index template that names it, because the rollover sets it",
    ),
    (
        RequestRejected("it exists", kind="resource_already_exists_exception", status=400),
        (
            "delete the index that has the next name (if it is needed, clone it first), "
            "or point w to a write index of another name"
        ),
    ),
    (RequestRejected("FORBIDDEN/9", "remove it", kind="cluster_block_exception", status=403), "remove it"),
    (RequestRejected("no", kind="other_exception", status=400), "check what POST w/_rollover?dry_run answers"),
    (RequestRejected("busy", kind="snapshot_in_progress_exception", status=400), None),
    (RequestRejected("busy", kind="es_rejected_execution_exception", status=429), None),
    (RequestRejected("gone", kind="index_not_found_exception", status=404), None),
]


@pytest.mark.parametrize(("error", "remedy"), REFUSALS)
def test_a_refusal_that_lasts_says_what_to_correct(error: RequestRejected, remedy: str | None) -> None:
    found = lasting_refusal("w", error, error.message, NOW)
    assert found == (RefusedRollover(at=NOW, reason=error.message, remedy=remedy) if remedy is not None else None)
