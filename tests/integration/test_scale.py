"""A thousand indices in one category: few requests, little memory, and exactly the due ones go."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from elasticsearch.helpers import bulk

from retention_enforcer.bootstrap import Deployment, Surroundings, SystemClock
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.instants import DAY
from retention_enforcer.enforcement.memory import CoverageMemory
from workbench import POLICY, Workbench

pytestmark = pytest.mark.slow

INDICES, OLD = 1_000, 200
MOST_REQUESTS, MOST_MIB = 14, 150

COUNT_AND_WEIGH = """
import atexit, json, re
from elastic_transport import Transport
original, calls = Transport.perform_request, []
def counting(self, method, target, **options):
    calls.append(f"{{method}} {{target.split('?')[0][:60]}}")
    return original(self, method, target, **options)
Transport.perform_request = counting
def tell():
    # The kernel's peak since this program began; getrusage would count the process that started it too.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
    open({file!r}, "w").write(json.dumps({{"calls": calls, "mib": peak}}))
atexit.register(tell)
"""


@pytest.fixture
def thousand(bench: Workbench) -> Workbench:
    """One category of a thousand small indices, a fifth of them old."""
    bench.policy_text = POLICY[: POLICY.index("  - id: records")]
    now = SystemClock().now()
    bench.es.indices.put_index_template(
        name=bench.prefix + "template",
        index_patterns=[bench.prefix + "logs-*"],
        template={
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"properties": {"@timestamp": {"type": "date"}}},
        },
    )
    try:
        documents = [(f"logs-{n:04d}", now - (20 if n < OLD else 2) * DAY) for n in range(INDICES)]
        actions = [{"_index": bench.prefix + name, "_source": {"@timestamp": t}} for name, t in documents]
        for start in range(0, INDICES, 100):
            bulk(bench.es.options(request_timeout=120), actions[start : start + 100])
    finally:
        bench.es.indices.delete_index_template(name=bench.prefix + "template")
    bench.ready()
    return bench


@pytest.mark.timeout(300)
def test_a_thousand_indices_are_planned_in_few_requests_and_exactly_the_due_ones_go(thousand: Workbench) -> None:
    weighed = thousand.folder / "weighed.json"
    process = thousand.process("plan", "--output", "json", before=COUNT_AND_WEIGH.format(file=str(weighed)))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (category,) = json.loads(out)["categories"]
    assert (len(category["purge"]), len(category["keep"])) == (OLD, INDICES - OLD)
    planned = {purge["index"] for purge in category["purge"]}
    assert planned == {f"{thousand.prefix}logs-{n:04d}" for n in range(OLD)}
    cost = json.loads(weighed.read_text())
    assert len(cost["calls"]) <= MOST_REQUESTS, cost["calls"]
    assert cost["mib"] < MOST_MIB

    started = time.monotonic()
    ran = thousand.run("run", "--once")
    seconds = time.monotonic() - started
    assert ran.code == 0, ran.err[-2_000:]
    left = thousand.es.indices.resolve_index(name=thousand.prefix + "logs-*")["indices"]
    assert sorted(i["name"] for i in left) == [f"{thousand.prefix}logs-{n:04d}" for n in range(OLD, INDICES)]
    print(f"plan: {len(cost['calls'])} requests, {cost['mib']} MiB at its peak; run: {seconds:.1f} s")


MOST_COVERAGE_REQUESTS = 15


def crowd(bench: Workbench, governed: int, unclaimed: int) -> None:
    """Make many small indices, some of them claimed by nobody."""
    bench.policy_text = POLICY[: POLICY.index("  - id: records")]
    bench.es.indices.put_index_template(
        name=bench.prefix + "template",
        index_patterns=[bench.prefix + "*"],
        template={
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "sdkappid": {"type": "keyword"}}},
        },
    )
    names = [*(f"logs-{n:04d}" for n in range(governed)), *(f"other-{n:03d}" for n in range(unclaimed))]
    document = {"@timestamp": SystemClock().now() - DAY}
    try:
        actions = [{"_index": bench.prefix + name, "_source": document} for name in names]
        for start in range(0, len(actions), 100):
            bulk(bench.es.options(request_timeout=120), actions[start : start + 100])
    finally:
        bench.es.indices.delete_index_template(name=bench.prefix + "template")
    bench.es.indices.refresh(index=bench.prefix + "*")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("governed", "unclaimed"), [(150, 50), pytest.param(1_500, 500, marks=pytest.mark.soak)])
def test_many_unclaimed_indices_are_one_finding_and_cost_few_requests(
    bench: Workbench, governed: int, unclaimed: int
) -> None:
    crowd(bench, governed, unclaimed)
    sent: list[str] = []
    deployment = Deployment(Surroundings(environ=bench.environ, own=bench.own))
    perform = deployment.connection.client.transport.perform_request

    def counting(method: str, target: str, *args: Any, **more: Any) -> Any:
        sent.append(f"{method} {target.split('?', maxsplit=1)[0][:60]}")
        return perform(method, target, *args, **more)

    deployment.connection.client.transport.perform_request = counting  # type: ignore[method-assign]
    look = deployment.reading.coverage_observer.look(deployment.policy, Control(), {}, CoverageMemory())
    assert len(sent) <= MOST_COVERAGE_REQUESTS, sent
    mine = [finding for finding in look.findings if bench.prefix in finding.text]
    assert [finding.kind for finding in mine] == ["unclaimed"]
    assert mine[0].text.startswith(f"no category claims {unclaimed} indices with {unclaimed} documents: ")
    assert mine[0].text.endswith(f" and {unclaimed - 5} more")
    print(f"coverage of {governed + unclaimed} indices: {len(sent)} requests")
