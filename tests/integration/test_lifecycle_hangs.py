"""Each way in which a lifecycle hangs, provoked on a server: found by the next cycle, and resolved or reported."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from lifecycle_bench import LifecycleBench, eventually, slow_repository
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND

LONGEST_POLL = 2 * SECOND
ALMOST_DUE = 13 * DAY + 22 * HOUR + 30 * MINUTE
"""An age at which a lifecycle deletes an index at once, and the enforcer itself does not yet."""


@pytest.fixture
def quick(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[LifecycleBench]:
    """An enforcer on a server on which waiting for polls takes seconds."""
    for bench in LifecycleBench.on(server, es, prefix, tmp_path):
        if (poll := bench.poll()) > LONGEST_POLL:
            pytest.skip(f"indices.lifecycle.poll_interval is {poll} ms: too long to wait for")
        yield bench


def explained(bench: LifecycleBench, name: str) -> dict[str, object]:
    full = name if name.startswith((bench.prefix, ".ds-")) else bench.prefix + name
    found: dict[str, object] = bench.es.ilm.explain_lifecycle(index=full)["indices"][full]
    return found


def runs_what_is_attached(bench: LifecycleBench, name: str) -> bool:
    """Whether the policy that is carried out is the one that is attached."""
    found = explained(bench, name)
    execution = found.get("phase_execution", {})
    assert isinstance(execution, dict)
    return execution.get("policy", found["policy"]) == found["policy"]


def rolling(bench: LifecycleBench) -> str:
    """A stream's write index that waits for its rollover under the rolled lifecycle."""
    bench.stream("logs-stream")
    bench.write("logs-stream", bench.now())
    bench.ready()
    assert bench.run("run", "--once").code == 0
    backing = bench.backing("logs-stream")[-1]
    eventually(lambda: explained(bench, backing).get("step") == "check-rollover-ready")
    return backing


def test_a_policy_that_was_overwritten_while_waiting_for_the_rollover(quick: LifecycleBench) -> None:
    backing = rolling(quick)
    rolled, plain = quick.lifecycle("logs", "rolled"), quick.lifecycle("logs", "plain")
    quick.es.indices.put_settings(index=backing, settings={"index.lifecycle.name": plain})
    assert not runs_what_is_attached(quick, backing)
    ran = quick.run("run", "--once")
    assert ran.code == 0
    assert "finding lifecycle-stale" in ran.err
    assert quick.attached(backing) == rolled
    assert runs_what_is_attached(quick, backing)
    assert "finding lifecycle" not in quick.run("run", "--once").err


def test_a_write_index_that_waits_in_delete(quick: LifecycleBench) -> None:
    """With a single index the lifecycle would have taken the whole stream."""
    rolling(quick)
    quick.es.indices.rollover(alias=f"{quick.prefix}logs-stream")
    quick.write("logs-stream", quick.now())
    writing = quick.backing("logs-stream")[-1]
    wrong = {"index.lifecycle.name": quick.lifecycle("logs", "plain"), "index.lifecycle.origination_date": 1}
    quick.es.indices.put_settings(index=writing, settings=wrong)
    eventually(lambda: explained(quick, writing).get("step") == "delete")
    ran = quick.run("run", "--once")
    assert "finding lifecycle-write-index" in ran.err
    assert quick.attached(writing) == quick.lifecycle("logs", "rolled")
    eventually(lambda: explained(quick, writing).get("step") == "check-rollover-ready")
    assert "finding lifecycle" not in quick.run("run", "--once").err
    assert quick.count("logs-stream") == 2


def test_a_lifecycle_of_ours_that_does_not_exist(quick: LifecycleBench) -> None:
    quick.ready()
    quick.index("logs-a", [quick.now()], settings={"index.lifecycle.name": quick.lifecycle("former", "plain")})
    eventually(lambda: "does not exist" in str(explained(quick, "logs-a").get("step_info")))
    ran = quick.run("run", "--once")
    assert "finding lifecycle-missing" in ran.err
    assert quick.attached("logs-a") == quick.lifecycle("logs", "plain")
    eventually(lambda: "phase" in explained(quick, "logs-a"))
    assert "finding lifecycle" not in quick.run("run", "--once").err


def test_a_clone_that_fails_for_ever(quick: LifecycleBench) -> None:
    backing = rolling(quick)
    quick.es.indices.rollover(alias=f"{quick.prefix}logs-stream")
    eventually(lambda: explained(quick, backing).get("step") == "complete")
    quick.es.indices.put_settings(index=backing, settings={"index.blocks.write": True})
    clone = f"{quick.prefix}logs-clone"
    settings = {"index.number_of_replicas": 0, "index.blocks.write": None}
    quick.es.indices.clone(index=backing, target=clone, settings=settings)
    eventually(lambda: int(str(explained(quick, clone).get("failed_step_retry_count", 0))) > 0)
    ran = quick.run("run", "--once")
    assert "finding lifecycle-error" in ran.err
    assert quick.attached(clone) == quick.lifecycle("logs", "plain")
    eventually(lambda: explained(quick, clone).get("phase") == "new")
    assert "finding lifecycle" not in quick.run("run", "--once").err


def test_a_date_ahead_that_somebody_set(quick: LifecycleBench) -> None:
    quick.index("logs-a", [quick.now()])
    quick.ready()
    assert quick.run("run", "--once").code == 0
    ahead = {"index.lifecycle.origination_date": quick.now() + 5 * DAY}
    quick.es.indices.put_settings(index=f"{quick.prefix}logs-a", settings=ahead)
    ran = quick.run("run", "--once")
    assert "finding lifecycle-late" in ran.err
    settings = quick.es.indices.get_settings(index=f"{quick.prefix}logs-a", flat_settings=True)
    assert "index.lifecycle.origination_date" not in settings[f"{quick.prefix}logs-a"]["settings"]
    assert "finding lifecycle" not in quick.run("run", "--once").err


def almost_due(bench: LifecycleBench, name: str = "logs-a") -> str:
    """An index that its lifecycle is about to delete, unless something keeps it from it."""
    return bench.index(name, [bench.now() - ALMOST_DUE])


def test_a_block_of_somebody_else_is_a_finding_with_its_remedy(quick: LifecycleBench) -> None:
    name = almost_due(quick)
    quick.ready()
    quick.es.indices.put_settings(index=name, settings={"index.blocks.read_only": True})
    assert quick.run("run", "--once").code == 0
    assert quick.attached("logs-a") is None, "its settings cannot be changed"
    quick.es.indices.put_settings(index=name, settings={"index.blocks.read_only": None})
    quick.es.indices.put_settings(
        index=name,
        settings={"index.lifecycle.name": quick.lifecycle("logs", "plain"), "index.blocks.metadata": True},
    )
    other = quick.index("logs-b", [quick.now()])
    ran = quick.run("run", "--once")
    assert ran.code == 0
    assert quick.attached("logs-b") == quick.lifecycle("logs", "plain"), other
    quick.es.indices.put_settings(index=name, settings={"index.blocks.metadata": None})
    quick.es.indices.put_settings(index=name, settings={"index.blocks.read_only": True})
    ran = quick.run("run", "--once")
    assert "finding lifecycle-blocked" in ran.err
    assert "remove index.blocks.read_only" in ran.err
    quick.es.indices.put_settings(index=name, settings={"index.blocks.read_only": None})
    assert quick.run("run", "--once").code == 0
    eventually(lambda: quick.is_gone("logs-a"))


def test_an_index_that_cannot_be_explained_hides_no_other(quick: LifecycleBench) -> None:
    backing = rolling(quick)
    hidden = quick.index("logs-a", [quick.now()])
    quick.es.indices.put_settings(index=hidden, settings={"index.blocks.metadata": True})
    quick.es.indices.put_settings(index=backing, settings={"index.lifecycle.name": quick.lifecycle("logs", "plain")})
    ran = quick.run("run", "--once")
    assert "finding lifecycle-stale" in ran.err
    assert quick.attached(backing) == quick.lifecycle("logs", "rolled")
    assert "lifecycles-unusable" not in ran.err


def test_a_closed_index_is_a_finding_with_its_remedy(quick: LifecycleBench) -> None:
    name = quick.index("logs-a", [quick.now()])
    quick.ready()
    assert quick.run("run", "--once").code == 0
    quick.es.indices.close(index=name)
    ran = quick.run("run", "--once")
    assert "finding lifecycle-closed" in ran.err
    assert "open the index, or delete it" in ran.err
    quick.es.indices.open(index=name)
    quick.es.cluster.health(index=name, wait_for_status="yellow")
    assert "finding lifecycle" not in quick.run("run", "--once").err


def test_stopped_lifecycles_are_one_finding_and_the_daemon_deletes_all_the_same(quick: LifecycleBench) -> None:
    quick.index("logs-a", [quick.now()])
    quick.index("logs-old", [quick.now() - 15 * DAY])
    quick.ready()
    try:
        quick.es.ilm.stop()
        ran = quick.run("run", "--once")
    finally:
        quick.es.ilm.start()
    assert ran.code == 0
    assert ran.err.count("finding lifecycles-stopped") == 1
    assert "POST _ilm/start" in ran.err
    assert quick.count("logs-old") is None
    assert quick.attached("logs-a") == quick.lifecycle("logs", "plain")
    assert "lifecycles-stopped" not in quick.run("run", "--once").err


@pytest.fixture
def repository(es: Elasticsearch, prefix: str) -> Iterator[str]:
    """A repository so slow that a snapshot lasts for as long as a test needs."""
    yield from slow_repository(es, prefix)


def test_a_snapshot_that_is_being_taken(quick: LifecycleBench, repository: str) -> None:
    name = almost_due(quick)
    documents = (
        {"_index": name, "_source": {"@timestamp": quick.now() - ALMOST_DUE, "sdkappid": secrets.token_hex(2_000)}}
        for _ in range(150)
    )
    bulk(quick.es, documents, refresh=True)
    quick.ready()
    quick.es.snapshot.create(repository=repository, snapshot="one", indices=name, wait_for_completion=False)
    assert quick.run("run", "--once").code == 0
    assert quick.attached("logs-a") == quick.lifecycle("logs", "plain")
    eventually(lambda: explained(quick, name).get("phase") == "delete")
    ran = quick.run("run", "--once")
    assert "finding lifecycle-snapshot" in ran.err
    assert "wait for the snapshot, or delete it" in ran.err
    quick.es.snapshot.delete(repository=repository, snapshot="one")
    eventually(lambda: quick.is_gone("logs-a"))


def test_what_hangs_without_a_reason_is_deleted_directly_at_its_deadline(quick: LifecycleBench) -> None:
    """Whatever keeps a lifecycle from its work, the daemon deletes what is due: here it never began."""
    name = quick.index("logs-a", [quick.now()])
    quick.ready()
    assert quick.run("run", "--once").code == 0
    ahead = {"index.lifecycle.origination_date": quick.now() + 300 * DAY}
    quick.es.indices.put_settings(index=name, settings=ahead)
    quick.es.delete_by_query(index=name, query={"match_all": {}}, refresh=True)
    quick.add("logs-a", [quick.now() - 15 * DAY])
    time.sleep(quick.poll() / 1_000)
    assert quick.run("run", "--once").code == 0
    assert quick.is_gone("logs-a")
    assert ("delete_index", "done") in [(r["action"], r.get("outcome")) for r in quick.about("logs-a")]
