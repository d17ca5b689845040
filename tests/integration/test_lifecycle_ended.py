"""The index of a terminated tenant that cannot be deleted yet: a lifecycle deletes it as soon as that is possible."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from customers import MAPPING, add, index, now, of
from lifecycle_bench import eventually, slow_repository
from retention_enforcer.bootstrap import Deployment, Surroundings
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.cluster.subjects.counts import SubjectCounts
from retention_enforcer.domain.errors import ClusterUnavailable, Refused, RequestRejected
from retention_enforcer.domain.facts import IndexFacts
from retention_enforcer.domain.findings import Finding
from retention_enforcer.domain.instants import HOUR, MINUTE
from retention_enforcer.domain.own.state_keys import ENDED_INDICES, PUT_STREAMS, streams_key
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger
from retention_enforcer.enforcement.lifecycles.ended import EndedLifecycles
from retention_enforcer.enforcement.preconditions.decisions import Decisions
from retention_enforcer.enforcement.terminations.job import TerminationWork
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
    look, written = LifecycleChanger.unwritten, []

    def late(changer: LifecycleChanger, indices: Sequence[IndexFacts]) -> frozenset[str]:
        if not written:
            written.append(1)
            add(tenants, OWN, {"sdkappid": "11"})
        return look(changer, indices)

    monkeypatch.setattr(LifecycleChanger, "unwritten", late)
    tenants.run("run", "--once")
    assert written
    assert attached(tenants) is None


def test_who_comes_back_between_the_look_and_the_attaching_keeps_it_off(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    leave, back = TerminationWork._leave_to_lifecycles, []

    def late(*given: Any) -> None:
        back.append(tenants.run("reinstate", "--application", "1").code)
        leave(*given)

    monkeypatch.setattr(TerminationWork, "_leave_to_lifecycles", late)
    tenants.run("run", "--once")
    assert back == [0]
    assert attached(tenants) is None
    assert not [r for r in tenants.records() if r.get("action") == "apply_lifecycle"]


def test_who_comes_back_with_the_attaching_takes_it_off_in_that_run(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    attach, back = ClusterLifecycles.attach, []

    def late(*given: Any, **more: Any) -> dict[str, str]:
        back.append(tenants.run("reinstate", "--application", "1").code)
        return attach(*given, **more)

    monkeypatch.setattr(ClusterLifecycles, "attach", late)
    with tenants.working() as worker:
        worker.work_on_terminations()
    assert back == [0]
    assert attached(tenants) is None
    assert not stored(tenants)["sequence_numbers"]
    tenants.assert_every_intent_is_answered_once()


def test_a_run_that_hangs_makes_its_look_no_younger(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    announce, looked = SubjectPurge.announce_whole, []

    def slow(*given: Any) -> dict[str, list[IndexFacts]]:
        looked.append(now())
        time.sleep(0.1)
        return announce(*given)

    monkeypatch.setattr(SubjectPurge, "announce_whole", slow)
    with tenants.working() as worker:
        worker.work_on_terminations()
    assert attached(tenants) == ended(tenants)
    assert stored(tenants)["until"] <= looked[0] + HOUR


def test_who_has_lost_the_lease_overwrites_no_look_of_the_next(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    announce = SubjectPurge.announce_whole

    def stalls(*given: Any) -> dict[str, list[IndexFacts]]:
        found = announce(*given)
        monkeypatch.setattr(SubjectPurge, "announce_whole", announce)
        assert tenants.run("reinstate", "--application", "1").code == 0
        tenants.free_the_lease()
        assert tenants.run("run", "--once").code == 0
        return found

    monkeypatch.setattr(SubjectPurge, "announce_whole", stalls)
    acting = Deployment(Surroundings(environ=tenants.environ, own=tenants.own, erases_for=0)).acting()
    assert acting.lease.try_to_take()
    acting.worker.start()
    leave = EndedLifecycles.leave

    def late(*given: Any) -> Sequence[Finding]:
        acting.lease.renew()
        return leave(*given)

    monkeypatch.setattr(EndedLifecycles, "leave", late)
    with pytest.raises(Refused):
        acting.worker.work_on_terminations()
    assert attached(tenants) is None
    assert not stored(tenants).get("sequence_numbers")


def test_what_cannot_be_counted_is_left_to_no_lifecycle(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be gone, and counted for nobody."""
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    count, refused = SubjectCounts.by_label, []

    def refuses(counts: SubjectCounts, name: str, *given: Any) -> dict[str, int]:
        if name == tenants.prefix + OWN:
            refused.append(name)
            raise RequestRejected("blocked", "wait")
        return count(counts, name, *given)

    monkeypatch.setattr(SubjectCounts, "by_label", refuses)
    with tenants.working() as worker:
        worker.work_on_terminations()
    assert refused
    assert attached(tenants) is None


def test_a_reinstated_tenant_has_no_such_lifecycle_any_more(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    assert tenants.run("reinstate", "--application", "1").code == 0
    with tenants.working() as worker:
        worker.work_on_terminations()  # and no cycle
        assert attached(tenants) is None
        worker.run("application-logs")
    assert attached(tenants) is None
    tenants.assert_every_intent_is_answered_once()


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


def test_no_cycle_ever_attaches_it(tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came back meanwhile only the work on terminations knows, right after its look."""
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with tenants.working() as worker:
        with monkeypatch.context() as patch:
            patch.setattr(EndedLifecycles, "_attach", lambda *_: ())
            worker.work_on_terminations()
        worker.run("application-logs")
        assert attached(tenants) is None
        with monkeypatch.context() as patch:
            patch.setattr(Decisions, "read", _fails)
            with pytest.raises(ClusterUnavailable):
                worker.work_on_terminations()
        worker.run("application-logs")
        assert attached(tenants) is None
        worker.work_on_terminations()
        assert attached(tenants) == ended(tenants)
        worker.run("application-logs")
        assert attached(tenants) == ended(tenants)
        tenants.es.ilm.remove_policy(index=tenants.prefix + OWN)
        worker.run("application-logs")
        assert attached(tenants) is None


def test_who_came_back_while_the_work_failed_gets_no_such_lifecycle(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(EndedLifecycles, "_attach", lambda *_: ())
        tenants.run("run", "--once")
    assert tenants.run("reinstate", "--application", "1").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Registrar, "register", _fails)
        assert tenants.run("run", "--once").code == 1
    tenants.run("run", "--once")
    assert attached(tenants) is None
    assert not [r for r in tenants.records() if r.get("action") == "apply_lifecycle"]


def test_a_cycle_in_the_middle_of_the_work_that_attaches_it_leaves_it_there(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    attach, cycles = ClusterLifecycles.attach, []
    with tenants.working() as worker:

        def around(*given: Any, **more: Any) -> dict[str, str]:
            worker.run("application-logs")
            failures = attach(*given, **more)
            worker.run("application-logs")
            cycles.append(failures)
            return failures

        monkeypatch.setattr(ClusterLifecycles, "attach", around)
        worker.work_on_terminations()
        assert cycles == [{}]
        assert attached(tenants) == ended(tenants)
    tenants.assert_every_intent_is_answered_once()


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


def test_after_an_hour_without_such_work_a_cycle_takes_it_off(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would heed a reinstatement."""
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    known = stored(tenants)
    assert 59 * MINUTE < known["until"] - now() <= HOUR
    store(tenants, {**known, "until": now()})
    monkeypatch.setattr(Registrar, "register", _fails)
    assert tenants.run("run", "--once").code == 1
    assert attached(tenants) is None
    tenants.assert_every_intent_is_answered_once()


def test_what_nobody_remembers_a_cycle_takes_it_off(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    tenants.es.delete(index=tenants.own.state, id=ENDED_INDICES, refresh=True)
    with tenants.working() as worker:
        worker.run("application-logs")
        assert attached(tenants) is None


def test_where_nobody_can_read_what_is_remembered_a_cycle_takes_it_off(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    store(tenants, {"until": "soon"})
    with tenants.working() as worker:
        worker.run("application-logs")
        assert attached(tenants) is None
        worker.work_on_terminations()
        assert attached(tenants) == ended(tenants), "its own look says so"


def test_a_cycle_that_cannot_read_what_was_put_on_streams_takes_it_off_all_the_same(
    tenants: Workbench, snapshotting: str
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with tenants.working() as worker:
        worker.work_on_terminations()
        assert attached(tenants) == ended(tenants)
        add(tenants, OWN, {"sdkappid": "11"})
        source = tenants.es.get(index=tenants.own.state, id=ENDED_INDICES)["_source"]
        spoiled, key = {**source, "kind": PUT_STREAMS, "body": {"a-stream": {}}}, streams_key("application-logs")
        tenants.es.index(index=tenants.own.state, id=key, document=spoiled, refresh=True)
        with pytest.raises(Refused):
            worker.run("application-logs")
        assert attached(tenants) is None


def test_what_somebody_wrote_to_a_cycle_takes_it_off(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    with tenants.working() as worker:
        worker.work_on_terminations()
        assert attached(tenants) == ended(tenants)
        add(tenants, OWN, {"sdkappid": "11"})
        worker.run("application-logs")
        assert attached(tenants) is None


def test_a_hold_and_a_stop_take_it_off_at_once(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    held = ("hold", "add", "--application", "1", "--owner", "Anna", "--reason", "a case", "--until", "2099-01-01")
    assert tenants.run(*held).code == 0
    assert attached(tenants) is None
    tenants.run("run", "--once")
    assert attached(tenants) is None
    (hold,) = tenants.run("hold", "list", "--output", "json").json
    assert tenants.run("hold", "remove", hold["id"]).code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    assert tenants.run("stop").code == 0
    assert attached(tenants) is None
    tenants.run("run", "--once")
    assert attached(tenants) is None
    assert tenants.run("resume").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    tenants.assert_every_intent_is_answered_once()


def test_a_hold_that_comes_with_the_attaching_takes_it_off(
    tenants: Workbench, snapshotting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    attach = ClusterLifecycles.attach
    held = ("hold", "add", "--application", "1", "--owner", "Anna", "--reason", "a case", "--until", "2099-01-01")

    def late(*given: Any, **more: Any) -> dict[str, str]:
        failures = attach(*given, **more)
        with monkeypatch.context() as patch:
            patch.setattr(ClusterLifecycles, "detach", lambda *_, **__: {})  # it looked before
            tenants.run(*held)
        return failures

    monkeypatch.setattr(ClusterLifecycles, "attach", late)
    tenants.run("run", "--once")
    assert attached(tenants) is None


@pytest.mark.parametrize("pattern", ["application-logs-1*", "other-{{application}}-x"])
def test_a_policy_for_which_it_is_no_tenants_own_takes_it_off(
    tenants: Workbench, snapshotting: str, pattern: str
) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    tenants.policy_text = tenants.policy_text.replace("application-logs-{{application}}-x", pattern)
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants), "nobody accepted this policy"
    tenants.run("policy", "accept")
    tenants.run("run", "--once")
    assert attached(tenants) is None


@pytest.mark.parametrize("by", ["policy accept", "ENFORCER_ACCEPT_POLICY"])
def test_a_policy_of_another_name_without_the_category_takes_it_off(
    tenants: Workbench, snapshotting: str, by: str
) -> None:
    """No look of its work on terminations says whose the index is."""
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    assert attached(tenants) == ended(tenants)
    before, _, rest = tenants.policy_text.partition("  - id: application-logs")
    tenants.policy_text = (
        before.replace("{prefix}policy", "{prefix}other") + "  - id: logs" + rest.split("- id: logs")[1]
    )
    if by == "policy accept":
        assert tenants.run("policy", "accept").code == 0
        assert attached(tenants) is None
    else:
        tenants.settings[by] = tenants.run("policy", "show", "--output", "json").json["fingerprint"]
    tenants.run("run", "--once")
    assert attached(tenants) is None


def test_plan_mode_leaves_it_and_says_that_the_cluster_deletes(tenants: Workbench, snapshotting: str) -> None:
    assert snapshotting
    assert tenants.run("terminate", "--application", "1").code == 0
    tenants.run("run", "--once")
    planned = tenants.run("run", "--once", environ={**tenants.environ, "ENFORCER_MODE": "plan"})
    assert attached(tenants) == ended(tenants)
    assert "but lifecycles still delete 1 index" in planned.err + planned.out


def stored(bench: Workbench) -> dict[str, Any]:
    answer = bench.es.options(ignore_status=404).get(index=bench.own.state, id=ENDED_INDICES)
    found: dict[str, Any] = answer["_source"]["body"] if answer["found"] else {}
    return found


def store(bench: Workbench, body: dict[str, Any]) -> None:
    source = bench.es.get(index=bench.own.state, id=ENDED_INDICES)["_source"]
    bench.es.index(index=bench.own.state, id=ENDED_INDICES, document={**source, "body": body}, refresh=True)


def _fails(*_: object) -> None:
    raise ClusterUnavailable("the registry does not answer", "wait")
