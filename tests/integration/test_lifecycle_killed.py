"""A run is killed while it changes lifecycles: the next one ends where an undisturbed one would have ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from kill_points import Point
from lifecycle_bench import LifecycleBench
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.enforcement.ledger.acts import Acts

pytestmark = pytest.mark.timeout(120)

# One index comes to straddle and is detached, one is new and attached, one has a lifecycle under the policy's former
# name and is swapped: detached, then attached.
POINTS = {
    "after the first intent": Point("after", Acts.record_intents),
    "before anything is detached": Point("before", ClusterLifecycles.detach),
    "after the first is detached": Point("after", ClusterLifecycles.detach),
    "before the policy is put": Point("before", ClusterLifecycles.put_policy),
    "after the policy is put": Point("after", ClusterLifecycles.put_policy),
    "before one is attached": Point("before", ClusterLifecycles.attach),
    "after one is attached": Point("after", ClusterLifecycles.attach),
    "before one is swapped": Point("before", ClusterLifecycles.swap),
    "within the swap": Point("after", ClusterLifecycles.detach, since=ClusterLifecycles.swap),
    "after one is swapped": Point("after", ClusterLifecycles.swap),
    "before an outcome": Point("before", Acts.finish_all, "endings[0].one.index.endswith('logs-new')"),
}

SETTLED = """
from retention_enforcer.domain.lifecycles import choice as lifecycle_choice
lifecycle_choice._may_still_be_written = lambda *_: False
"""


@pytest.fixture
def managed(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[LifecycleBench]:
    """An enforcer on a server with lifecycles; what it put is taken away again."""
    yield from LifecycleBench.on(server, es, prefix, tmp_path)


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_a_killed_run_leaves_nothing_that_the_next_does_not_settle(managed: LifecycleBench, point: Point) -> None:
    now = managed.now()
    managed.index("logs-straddling", [now - HOUR] * 3)
    managed.index("logs-former", [now - HOUR] * 3)
    text = managed.policy_text
    managed.policy_text = text.replace("name: {prefix}policy", "name: {prefix}policy-eu")
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-former") == f"retention-{managed.policy_name}-eu-logs-plain"
    managed.policy_text = text
    # By the environment: `policy accept` would take the lifecycles of another policy off at once.
    managed.settings["ENFORCER_ACCEPT_POLICY"] = managed.run("plan", "--output", "json").json["policy"]
    managed.add("logs-straddling", [now - 20 * DAY])
    managed.index("logs-new", [now - HOUR] * 3)

    process = managed.process("run", "--once", before=SETTLED + point.does("die()"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == -9, f"it was not at that point: {said}"
    plain = managed.lifecycle("logs", "plain")
    assert managed.attached("logs-new") in (None, plain)
    assert managed.attached("logs-straddling") != plain or managed.count("logs-straddling") == 3, "trimmed before"
    managed.free_the_lease()
    assert managed.run("run", "--once").code == 0

    names = ("logs-straddling", "logs-former", "logs-new")
    assert {name: managed.attached(name) for name in names} == dict.fromkeys(names, plain)
    assert {name: managed.count(name) for name in names} == dict.fromkeys(names, 3)
    managed.assert_every_intent_is_answered_once()
    assert managed.run("ledger", "verify").code == 0
