"""200,000 documents of 1,000 tenants: 50 of them and an account with ten applications go, to the last byte."""

from __future__ import annotations

import json
import time

import pytest

import tenants
from many_tenants import Crowd, assert_exactly_theirs_went, crowded, terminate
from workbench import Workbench

MOST_MIB = 150

WEIGH = """
import atexit, re
def tell():
    # The kernel's peak since this program began; getrusage would count the process that started it too.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
    open({file!r}, "w").write(str(peak))
atexit.register(tell)
"""


@pytest.mark.timeout(900)
def test_a_thousand_tenants(bench: Workbench) -> None:
    started = time.monotonic()
    crowd = crowded(bench, Crowd(tenants=1_000, documents=200_000, leaving=50, own_indices=40))
    terminate(bench, crowd)
    filled = time.monotonic()
    weighed = bench.folder / "weighed"
    process = bench.process("run", "--once", before=WEIGH.format(file=str(weighed)))
    _, err = process.communicate(timeout=600)
    ended = time.monotonic()
    assert process.returncode == 0, err[-2_000:]
    assert_exactly_theirs_went(bench, crowd)
    assert all(termination["erased_at"] is not None for termination in tenants.registry(bench))
    gone = sum(p["documents"] for t in tenants.registry(bench) for p in t["purges"])
    figures = {"filled": round(filled - started), "run": round(ended - filled), "documents": gone}
    mib = int(weighed.read_text())
    print(json.dumps({**figures, "records": len(bench.records()), "mib": mib}))
    assert mib < MOST_MIB
