"""A workbench of a few customers, for the tests of terminations and certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.domain.instants import DAY
from workbench import Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
on_request: 7d
categories:
  - id: configuration
    clause: {{document: Test promises, section: "1", item: configuration, updated: 2026-01-01}}
    indices: ["{prefix}configuration"]
    subjects: {{account: uin, application: sdkappid}}
    owns: {{account: uin, application: sdkappid}}
    after_termination: 7d
  - id: keys
    clause: {{document: Test promises, section: "9", item: keys, updated: 2026-01-01}}
    indices: ["{prefix}keys"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
  - id: application-logs
    clause: {{document: Test promises, section: "10", item: application logs, updated: 2026-01-01}}
    indices: ["{prefix}application-logs-{{application}}-x"]
    subjects: {{application: sdkappid}}
    after_termination: 7d
  - id: logs
    clause: {{document: Test promises, section: "2", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid, user: user_id}}
    max_age: {max_age}
    rollover: 1d
"""
FIELDS = {"@timestamp": {"type": "date"}} | {name: {"type": "keyword"} for name in ("uin", "sdkappid", "user_id")}
MAPPING = {"properties": FIELDS}


@pytest.fixture
def tenants(bench: Workbench) -> Workbench:
    """These customers; no run waits for erasures."""
    bench.erases_for = 0
    return founded(bench)


def founded(bench: Workbench, first: str = "1") -> Workbench:
    """Three accounts: 100 owns applications 1 and 11, 1001 owns 111, 1002 owns nothing any more.

    Certificates look past the policy, and find the customers of other tests: `first` is another id for application 1.
    """
    bench.policy_text = POLICY
    bench.settings["ENFORCER_GRACE"] = "0s"
    index(
        bench,
        "configuration",
        *({"uin": "100", "sdkappid": application} for application in (first, "11")),
        {"uin": "1001", "sdkappid": "111"},
        {"uin": "1002", "sdkappid": "11", "@timestamp": now() - 90 * DAY},
    )
    index(bench, "keys", *({"sdkappid": a} for a in (first, first, "11", "111", "1111")))
    for application in (first, "11", "111"):
        index(bench, f"application-logs-{application}-x", *[{"sdkappid": application}] * 3)
    index(bench, "logs-a", *({"sdkappid": a, "user_id": u} for a in (first, "11", "111") for u in ("u", "uu")))
    bench.ready()
    return bench


def founded_without_logs(bench: Workbench, first: str = "1") -> Workbench:
    """The same, with nothing that goes by its age: a certificate of a termination would wait for that."""
    founded(bench, first)
    bench.es.indices.delete(index=f"{bench.prefix}logs-a")
    return bench


def now() -> int:
    return SystemClock().now()


def index(bench: Workbench, name: str, *documents: dict[str, Any], **body: Any) -> None:
    bench.index(name, [], mappings=body.pop("mappings", MAPPING), **body)
    add(bench, name, *documents)


def add(bench: Workbench, name: str, *documents: dict[str, Any]) -> None:
    operations: list[dict[str, Any]] = []
    for document in documents:
        operations += [{"index": {"_index": bench.prefix + name}}, {"@timestamp": now() - DAY, **document}]
    if operations:
        assert not bench.es.bulk(operations=operations, refresh=True)["errors"]


def of(bench: Workbench, name: str, field: str = "sdkappid") -> list[str]:
    """Whose documents an index has."""
    if bench.is_gone(name):
        return []
    bench.es.indices.refresh(index=bench.prefix + name)
    hits = bench.es.search(index=bench.prefix + name, size=1000)["hits"]["hits"]
    return sorted(str(hit["_source"].get(field)) for hit in hits)


def states(bench: Workbench) -> list[str]:
    """The states of all terminations, in the order of the requests."""
    return [t["state"] for t in bench.run("terminations", "--output", "json").json]


def move(bench: Workbench, **values: Any) -> None:
    """Move the one remembered termination in time."""
    answer = bench.es.search(index=bench.own.terminations, query={"term": {"kind": "remembered"}})
    (hit,) = answer["hits"]["hits"]
    source = hit["_source"]
    source["body"] |= values
    bench.es.index(index=bench.own.terminations, id=hit["_id"], document=source, refresh=True)


@contextmanager
def interrupted(bench: Workbench, error: Exception) -> Iterator[None]:
    """Interrupt the purges of `keys` by this error."""
    trim = Deletion.trim

    def broken(deletion: Deletion, order: Any, permit: Any) -> Any:
        if order.index == bench.prefix + "keys":
            raise error
        return trim(deletion, order, permit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Deletion, "trim", broken)
        yield
