"""A ledger of a million records: verified, exported, certified from, and started with, in little memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch.helpers import bulk

import customers
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.ledger.records import Head, seal
from workbench import Workbench

RECORDS = int(os.environ.get("LEDGER_RECORDS", "1_000_000"))
ALONE = 5
"""Of ten lists of a hundred deletions, so many are written record by record."""
LIST = 100
MOST_MIB = 150

WEIGH = """
import atexit, re
def tell():
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
    open({file!r}, "w").write(str(peak))
atexit.register(tell)
"""


@pytest.mark.timeout(3_600)
def test_a_ledger_of_a_million_records(bench: Workbench) -> None:
    application = "1400099001"
    customers.founded_without_logs(bench, application)
    assert bench.run("terminate", "--application", application).code == 0
    assert bench.run("run", "--once").code == 0
    started = time.monotonic()
    written = grown(bench)
    print(f"{written} records after {time.monotonic() - started:.0f} s")
    head = bench.es.count(index=bench.own.ledger)["count"]
    print(f"{head} documents")

    weights = {}
    for arguments, codes in (
        (("run", "--once"), {0, 3}),
        (("ledger", "verify"), {0}),
        (("ledger", "export"), {0}),
        (("certificate", "--application", application), {0, 3}),
        (("report", "--output", "json"), {0, 3}),
        (("ledger", "show"), {0}),
    ):
        seconds, mib, out, err = weighed(bench, *arguments, codes=codes)
        name = " ".join(arguments[:2])
        weights[name] = mib
        print(f"{name}: {seconds:.1f} s, {mib} MiB")
        if arguments[1] == "export":
            assert out.count("\n") >= written
        if arguments[0] == "certificate":
            assert "the ledger is not whole" not in out, err
    assert max(weights.values()) <= MOST_MIB, weights


def grown(bench: Workbench) -> int:
    """Append what a long life leaves, whole and answered; return how many records there are."""
    records = bench.records()
    last, like = records[-1], next(r for r in records if r["kind"] == "intent")
    end = Head(last["sequence"], last["hash"])
    now = SystemClock().now() - DAY

    def lists() -> Iterator[list[dict[str, Any]]]:
        nonlocal end
        number = 0
        while end.sequence < RECORDS:
            intents: list[dict[str, Any]] = []
            for kind in ("intent", "outcome"):
                these = []
                for each in range(LIST):
                    index = f"logs-{number:06d}-{each:03d}"
                    fields = {**like, "kind": kind, "action": "delete_index", "time": format_instant(now)}
                    fields["target"] = {"index": index, "uuid": f"uuid-of-{index}"}
                    if kind == "outcome":
                        fields |= {"outcome": "done", "intent": intents[each]["sequence"], "reason": "it is gone"}
                    bare = {k: v for k, v in fields.items() if k not in ("sequence", "previous", "hash")}
                    record = seal(bare, end)
                    end = Head(record["sequence"], record["hash"])
                    these.append(record)
                intents = intents or these
                yield from ([one] for one in these) if number % 10 < ALONE else [these]
            number += 1

    def documents() -> Iterator[dict[str, Any]]:
        for these in lists():
            last = these[-1]
            source = these[0] if len(these) == 1 else {k: last[k] for k in ("sequence", "time")} | {"records": these}
            yield {"_op_type": "create", "_index": bench.own.ledger, "_id": f"{these[0]['sequence']:012d}", **source}

    bulk(bench.es.options(request_timeout=300), documents(), chunk_size=2_000)
    bench.es.options(request_timeout=300).indices.refresh(index=bench.own.ledger)
    return end.sequence


def weighed(bench: Workbench, *arguments: str, codes: set[int]) -> tuple[float, int, str, str]:
    """Run a command in a process of its own; return its seconds, its peak of memory, and what it said."""
    file = bench.folder / "weight"
    started = time.monotonic()
    process = bench.process(*arguments, before=WEIGH.format(file=str(file)))
    out, err = process.communicate(timeout=1_800)
    assert process.returncode in codes, (process.returncode, err[-2_000:])
    return time.monotonic() - started, int(json.loads(file.read_text())), out, err
