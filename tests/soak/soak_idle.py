"""A day of cycles with nothing to do, at a hundred times the pace: what it takes of memory, and of the cluster."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil
import pytest

from network import call_of
from proxy import proxied
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.daemon.rhythm import Rhythm
from running import running
from workbench import Workbench

PACE = 100
INTERVAL = 300.0
CYCLES = 288
"""A day of them."""
WARM = 20
"""Cycles before memory is weighed for the first time."""
MOST_GROWTH = 0.05
MOST_REQUESTS = 1.0
"""A second, at the default interval."""

HASTE = Rhythm(lease_renewal=10 / PACE, look_around=30 / PACE)
NAMES = (
    *("console-configuration", "backend-logs-a", "dashboard-a", "sdk-logs-a", "uin", "sdkappid", "troubleshooting-a"),
    *("media-a", "temporary-keys", "application-logs-1400123456-a"),
)
"""An index in each category; of media none may have a document."""
SHIPPED = Path(__file__).parents[2] / "config" / "trtc.yaml"


@pytest.mark.timeout(3_600)
def test_a_day_of_idle_cycles(bench: Workbench) -> None:
    policy = SHIPPED.read_text(encoding="utf-8").replace("{", "{{").replace("}", "}}")
    bench.policy_text = policy.replace('"trtc-', '"{prefix}trtc-').replace("name: trtc", "name: {prefix}trtc")
    bench.settings |= {"ENFORCER_INTERVAL": f"{INTERVAL / PACE:.0f}s"}
    for name in NAMES:
        bench.index(f"trtc-{name}", [] if name.startswith("media") else [SystemClock().now()] * 5)
    bench.ready()
    weights: list[int] = []
    with proxied(bench.url) as proxy:
        through = replace(bench, url=proxy.url)
        with running(through, HASTE) as daemon:
            daemon.wait_for("searched for copies outside the policy")
            memory, started, first = psutil.Process(daemon.process.pid), time.monotonic(), len(proxy.requests)
            for cycle in range(1, CYCLES + 1):
                time.sleep(max(started + cycle * INTERVAL / PACE - time.monotonic(), 0))
                weights.append(memory.memory_info().rss >> 10)
                if cycle % WARM == 0:
                    print(f"cycle {cycle}: {weights[-1]} KiB, {len(proxy.requests) - first} requests", flush=True)
            sent = proxy.requests[first:]
            looks = sum("searched for copies outside the policy" in line for line in daemon.lines) - 1
            assert daemon.end() == 0
            assert not any("Traceback" in line for line in daemon.lines)
    asked = Counter(call_of(request, bench.prefix) for request in sent)
    for call, count in asked.most_common():
        print(f"{count / CYCLES:8.1f} in a cycle: {call}")
    before, after = median(weights[WARM : 2 * WARM]), median(weights[-WARM:])
    growth, rate = after / before - 1, len(sent) / (CYCLES * INTERVAL)
    print(
        f"{looks} cycles of {CYCLES}: {before / 1024:.1f} MiB after {WARM} cycles, {after / 1024:.1f} MiB at the end "
        f"({growth:+.1%}); {rate:.2f} requests a second at an interval of {INTERVAL:.0f} s"
    )
    assert looks >= 0.95 * CYCLES, "the daemon did not keep the pace"
    assert growth < MOST_GROWTH
    assert rate <= MOST_REQUESTS
