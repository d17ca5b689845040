"""The index of a terminated tenant that cannot be deleted yet: a lifecycle deletes it as soon as that is possible."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from customers import MAPPING, add, index, of
from lifecycle_bench import eventually, slow_repository
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.errors import ClusterUnavailable
from retention_enforcer.domain.lifecycles.changes import Change
from retention_enforcer.enforcement.lifecycles.reconcile import LifecycleResult, LifecycleWork
from retention_enforcer.enforcement.preconditions.decisions import Decisions
from retention_enforcer.enforcement.terminations.purge import SubjectPurge
from retention_enforcer.enforcement.terminations.registrar import Registrar
from workbench import Workbench

OWN = "application-logs-1-x"


@pytest.fixture
def snapshotting(tenants: Workbench, es: Elasticsearch, prefix: str) -> Iterator[str]:
    """The repository of a snapshot that is being taken of the tenant's own index, and lasts."""
    if not Capabilities(es).has_lifecycles():
        pytest.skip("this server has no lifecycles: _ilm/status does not answer")
    for repository in slow_repository(es, prefix):
        name = prefix + OWN
        mine = ({"_index": name, "_source": {"sdkappid": "1", "x": secrets.token_hex(2_000)}} for _ in range(150))
        bulk(es, mine, refresh=True)
        es.snapshot.create(repository=repository, snapshot="one", indices=name, wait_for_completion=False)
        yield repository


def attached(bench: Workbench) -> str | None:
    return ClusterLifecycles(bench.es).attachments_of([bench.prefix + OWN])[bench.prefix + OWN].policy


def ended(bench: Workbench) -> str:
    return f"retention-{bench.prefix}policy-application-logs-ended"


def test_what_a_snapshot_keeps_is_left_to_a_lifecycle_that_deletes_it_afterwards(
    tenants: Workbench, snapshotting: str
) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert of(tenants, "keys").count("1") == 0
    assert not tenants.is_gone(OWN), "the cluster refuses to delete what a snapshot is taken of"
    assert attached(tenants) == ended(tenants)
    tenants.es.snapshot.delete(repository=snapshotting, snapshot="one")
    eventually(lambda: tenants.is_gone(OWN))
    assert tenants.run("run", "--once").code == 0
    (found,) = tenants.run("terminations", "--output", "json").json
    assert found["documents_purged"] == 1 + 2 + 3 + 150
    observed = [r for r in tenants.records() if r.get("action") == "observed_deletion"]
    assert len(observed) == 1
    assert "-1-" not in observed[0]["target"]["index"], "no tenant's id stands in the ledger"
    assert not [r for r in tenants.records() if "deleted-by-others" in r.get("reason", "")]
    tenants.assert_every_intent_is_answered_once()


def test_what_was_written_by_somebody_else_since_takes_the_lifecycle_away(
    tenants: Workbench, snapshotting: str
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    add(tenants, OWN, {"sdkappid": "11"})
    tenants.run("run", "--once")
    assert attached(tenants) is None
    assert of(tenants, OWN) == ["11"] if not tenants.is_gone(OWN) else True


def test_what_is_written_between_the_look_and_the_attaching_keeps_it_off(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    look, written = LifecycleWork._under_the_fuse, []

    def late(work: LifecycleWork, changes: Sequence[Change], *more: Any) -> Any:
        if not written and any((change.policy or "").endswith("-ended") for change in changes):
            written.append(1)
            add(tenants, OWN, {"sdkappid": "11"})
        return look(work, changes, *more)

    monkeypatch.setattr(LifecycleWork, "_under_the_fuse", late)
    tenants.run("run", "--once")
    assert written
    assert attached(tenants) is None


def test_a_reinstated_tenant_has_no_such_lifecycle_any_more(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    assert tenants.run("reinstate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) is None


def test_no_id_of_a_tenant_stands_in_what_is_put_recorded_or_said(
    tenants: Workbench, es: Elasticsearch, prefix: str
) -> None:
    if not Capabilities(es).has_lifecycles():
        pytest.skip("this server has no lifecycles: _ilm/status does not answer")
    name = f"{prefix}application-logs-canary7-x"
    index(tenants, name.removeprefix(prefix), mappings=MAPPING)
    for repository in slow_repository(es, prefix):
        mine = ({"_index": name, "_source": {"sdkappid": "canary7", "x": secrets.token_hex(2_000)}} for _ in range(150))
        bulk(es, mine, refresh=True)
        es.snapshot.create(repository=repository, snapshot="one", indices=name, wait_for_completion=False)
        assert tenants.run("terminate", "--application", "canary7").code == 0
        said = [tenants.run("run", "--once") for _ in range(3)]
        seen = ClusterLifecycles(es).attachments_of([name])
        assert seen[name].policy == ended(tenants), "it is left to its lifecycle"
        stored = ClusterLifecycles(es).contents()
        assert not [policy for policy, content in stored.items() if "canary7" in f"{policy}{content}"]
        es.snapshot.delete(repository=repository, snapshot="one")
        eventually(lambda: tenants.is_gone(name.removeprefix(prefix)))
        said.append(tenants.run("run", "--once"))
        assert not [ran for ran in said if "canary7" in ran.out + ran.err]
        assert "observed_deletion" in {record.get("action") for record in tenants.records()}
        assert not [record for record in tenants.records() if "canary7" in str(record)]


def test_of_what_nobody_can_look_into_such_a_lifecycle_goes(tenants: Workbench, snapshotting: str) -> None:
    """Its tenant may have come back, or somebody else written into it: nobody would know."""
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    tenants.es.indices.put_settings(index=tenants.prefix + OWN, settings={"index.blocks.read": True})
    tenants.run("run", "--once")
    assert attached(tenants) is None
    tenants.es.indices.put_settings(index=tenants.prefix + OWN, settings={"index.blocks.read": None})


def test_who_came_back_since_the_last_process_ended_gets_no_such_lifecycle(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(LifecycleWork, "apply", lambda *_: LifecycleResult())
        tenants.run("run", "--once")
    assert tenants.run("reinstate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) is None
    assert not [r for r in tenants.records() if r.get("action") == "apply_lifecycle"]


def test_after_work_that_failed_no_index_gets_such_a_lifecycle(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom an earlier run knew as terminated may be back: only a run that came to its end says who is not."""
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(LifecycleWork, "apply", lambda *_: LifecycleResult())
        tenants.run("run", "--once")
    assert tenants.run("reinstate", "--application", "1").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(LifecycleWork, "apply", lambda *_: LifecycleResult())
        patch.setattr(Registrar, "register", _fails)
        assert tenants.run("run", "--once").code == 1
    tenants.run("run", "--once")
    assert attached(tenants) is None
    assert not [r for r in tenants.records() if r.get("action") == "apply_lifecycle"]


def test_work_that_failed_before_it_began_leaves_no_word_either(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with tenants.working() as worker:
        worker.work_on_terminations()
        with monkeypatch.context() as patch:
            patch.setattr(Decisions, "read", _fails)
            with pytest.raises(ClusterUnavailable):
                worker.work_on_terminations()
        worker.run("application-logs")
        assert attached(tenants) is None
        worker.work_on_terminations()
        worker.run("application-logs")
        assert attached(tenants) == ended(tenants)


def test_a_cycle_in_the_middle_of_the_work_that_takes_a_reinstatement_in_gives_nobody_such_a_lifecycle(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    cycles: list[str | None] = []
    with tenants.working() as worker:
        worker.work_on_terminations()
        assert tenants.run("reinstate", "--application", "1").code == 0

        def meanwhile(*_: object) -> None:
            worker.run("application-logs")
            cycles.append(attached(tenants))

        monkeypatch.setattr(SubjectPurge, "note_interrupted", meanwhile)
        worker.work_on_terminations()
        assert cycles
        assert set(cycles) == {None}
        worker.run("application-logs")
        assert attached(tenants) is None


def test_work_that_failed_takes_no_such_lifecycle_away(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    with monkeypatch.context() as patch:
        patch.setattr(Registrar, "register", _fails)
        assert tenants.run("run", "--once").code == 1
        assert attached(tenants) == ended(tenants)
        assert tenants.run("run", "--once").code == 1
    assert attached(tenants) == ended(tenants)


def _fails(*_: object) -> None:
    raise ClusterUnavailable("the registry does not answer", "wait")
