"""Lifecycles in the cycle of an enforcer, on a server that has them: what is attached, and what is written down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from managed import LifecycleBench
from retention_enforcer.domain.instants import DAY, HOUR


@pytest.fixture
def managed(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[LifecycleBench]:
    """An enforcer on a server with lifecycles; what it put is taken away again."""
    yield from LifecycleBench.on(server, es, prefix, tmp_path)


def test_whole_indices_get_a_lifecycle_on_sight_with_intent_and_outcome(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.index("logs-a", [now - HOUR, now])
    managed.index("records", [now - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert managed.attached("records") is None, "a container never has one"
    about = managed.about("logs-a")
    assert [(r["kind"], r["action"], r.get("outcome")) for r in about] == [
        ("intent", "apply_lifecycle", None),
        ("outcome", "apply_lifecycle", "done"),
    ]
    assert about[0]["reason"].startswith(f"{managed.lifecycle('logs', 'plain')}: min_age ")
    assert managed.run("ledger", "verify").code == 0


def test_nothing_is_attached_under_a_policy_that_nobody_accepted(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now()])
    assert managed.run("setup").code == 0
    assert managed.run("run", "--once").code == 4
    assert managed.attached("logs-a") is None
    assert managed.lifecycle("logs", "plain") not in managed.es.ilm.get_lifecycle()


def test_an_index_that_comes_to_straddle_is_detached_and_its_late_document_trimmed(managed: LifecycleBench) -> None:
    now = managed.now()
    managed.index("logs-a", [now - HOUR] * 5)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") is not None
    managed.add("logs-a", [now - 15 * DAY])
    assert managed.run("run", "--once").code == 0
    assert managed.count("logs-a") == 5
    actions = [(r["action"], r.get("outcome")) for r in managed.about("logs-a")]
    assert actions[2:6] == [
        ("detach_lifecycle", None),
        ("detach_lifecycle", "done"),
        ("delete_documents", None),
        ("delete_documents", "done"),
    ], "detached before anything else"
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain"), "it may go whole again"
