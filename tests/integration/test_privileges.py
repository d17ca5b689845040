"""The roles on a real server: each can do what it is for, and nothing more; and no privilege is there for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from customers import POLICY
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.coverage.elastics_copies import ElasticsCopies
from retention_enforcer.cluster.coverage.node_copies import CopiesOnNodes
from retention_enforcer.cluster.coverage.outside import Coverage
from retention_enforcer.cluster.coverage.snapshots import Snapshots
from retention_enforcer.cluster.deletion.deletion import Deletion
from retention_enforcer.cluster.erasure import Erasure
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.cluster.lifecycles.streams import StreamLifecycles
from retention_enforcer.cluster.own.documents import ControlReader, Documents
from retention_enforcer.cluster.own.ledger_index import LedgerIndex
from retention_enforcer.cluster.own.requests_index import RequestsIndex
from retention_enforcer.cluster.preflight import Capabilities, cluster_facts
from retention_enforcer.cluster.subjects.elsewhere import Elsewhere
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.lifecycles.compiler import Lifecycles, compile_lifecycles
from retention_enforcer.domain.own.state_keys import LOOKED
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import (
    BLOCK,
    CHANGE_SETTINGS,
    CHANGE_STREAM_LIFECYCLE,
    DANGLING,
    REFRESH,
    RIGHTS,
    ROLLOVER,
    AccessRole,
    GrantedOn,
    Right,
    descriptor,
    rights_of,
    role_name,
)
from retention_enforcer.domain.selection import Every, Trim
from retention_enforcer.domain.subjects.identity import subject_of
from retention_enforcer.policy_file import load_policy
from workbench import Workbench

FLOOD = {"index.blocks.read_only_allow_delete": True}
ACCOUNT = subject_of(account="100", application=None, user=None)


@pytest.fixture(scope="module")
def _keys(es: Elasticsearch) -> None:
    """A server that makes API keys; the embedded one cannot, and takes the roles from a file instead."""
    try:
        key = es.security.create_api_key(name="retention-enforcer-tests", expiration="1h")
    except ApiError as error:
        pytest.skip(f"this server makes no API keys: {error.message}")
    es.security.invalidate_api_key(ids=[key["id"]])


@pytest.fixture
def cluster(_keys: None, bench: Workbench) -> Iterator[Workbench]:
    """A workbench whose cluster has security, and of whose roles and keys nothing is left."""
    yield bench
    for role in AccessRole:
        bench.es.options(ignore_status=404).security.delete_role(name=role_name(role, bench.own))
    if keys := _keys_of(bench):
        bench.es.security.invalidate_api_key(ids=[key["id"] for key in keys])


def _keys_of(bench: Workbench) -> list[dict[str, Any]]:
    return [
        key
        for key in bench.es.security.get_api_key(name=f"{bench.prefix}retention-*")["api_keys"]
        if not key["invalidated"]
    ]


# --- setup --------------------------------------------------------------------------------------------


def test_setup_makes_indices_and_roles_and_no_key_that_nobody_asked_for(cluster: Workbench) -> None:
    ran = cluster.run("setup")
    assert ran.code == 0, ran.err
    assert f"created: role {cluster.prefix}retention-enforcer" in ran.out
    again = cluster.run("setup")
    assert again.code == 0
    assert "created" not in again.out
    assert _keys_of(cluster) == []
    body = cluster.es.security.get_role(name=role_name(AccessRole.REGISTRAR, cluster.own)).body
    (role,) = body.values()
    (grant,) = role["indices"]
    assert (grant["names"], grant["privileges"]) == ([cluster.own.requests], ["create_doc"])


def test_a_key_is_made_when_it_is_asked_for_shown_once_and_works(cluster: Workbench) -> None:
    cluster.index("logs-a", [SystemClock().now() - DAY])
    ran = cluster.run("setup", "--key", "reader")
    assert ran.code == 0, ran.err
    secret = ran.out.splitlines()[-1]
    hidden = {"ENFORCER_ELASTICSEARCH_USERNAME": "", "ENFORCER_ELASTICSEARCH_PASSWORD": ""}
    plan = cluster.run("plan", environ={**cluster.environ, **hidden, "ENFORCER_ELASTICSEARCH_API_KEY": secret})
    assert plan.code == 0, plan.err
    assert secret not in ran.err + plan.out + plan.err
    assert secret not in cluster.run("setup").out


def test_keys_in_files_are_for_their_owner_alone_and_stay(cluster: Workbench) -> None:
    files = [cluster.folder / name for name in ("enforcer-key", "operator-key")]
    arguments = ("setup", "--key", f"enforcer={files[0]}", "--key", f"operator={files[1]}")
    first = cluster.run(*arguments)
    assert first.code == 0, first.err
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    before = [file.read_text() for file in files]
    assert all(secret.strip() not in first.out + first.err for secret in before)
    assert cluster.run(*arguments).code == 0
    assert [file.read_text() for file in files] == before
    assert len(_keys_of(cluster)) == 2


def test_a_file_that_cannot_be_written_costs_no_key(cluster: Workbench) -> None:
    ran = cluster.run("setup", "--key", f"reader={cluster.folder}/nowhere/key")
    assert ran.code == 2
    assert "nowhere/key cannot be written" in ran.err
    assert _keys_of(cluster) == []


def test_what_is_no_role_gets_no_key(cluster: Workbench) -> None:
    ran = cluster.run("setup", "--key", "superuser")
    assert ran.code == 2
    assert "use one of: reader, registrar, operator, enforcer" in ran.err


def test_keys_follow_the_policy(cluster: Workbench) -> None:
    assert cluster.run("setup", "--key", "reader").code == 0
    cluster.policy_text = cluster.policy_text.replace("{prefix}records", "{prefix}other")
    ran = cluster.run("setup")
    assert "updated: API key" in ran.out
    (key,) = _keys_of(cluster)
    assert f"{cluster.prefix}other" in json.dumps(key["role_descriptors"])
    assert "up to date: API key" in cluster.run("setup").out


def test_a_key_that_may_not_make_roles_still_sees_to_the_indices(cluster: Workbench) -> None:
    names = [*cluster.own.names, cluster.own.ledger]
    may_create = {
        "cluster": ["monitor"],  # it compares what is there with what was made
        "indices": [{"names": names, "privileges": ["create_index", "manage"]}],
    }
    ran = cluster.run("setup", environ=cluster.environ_with(may_create))
    assert ran.code == 0, ran.err
    assert "note: no roles were created: the enforcer is not allowed" in ran.err
    assert "setup --print" in ran.err


def test_print_shows_every_request_and_sends_none(bench: Workbench) -> None:
    shown = bench.run("setup", "--print").json
    paths = [(request["method"], request["path"]) for request in shown]
    assert paths[:5] == [("PUT", f"/{name}") for name in bench.own.names]
    assert paths[5:9] == [("PUT", f"/_security/role/{role_name(role, bench.own)}") for role in AccessRole]
    assert paths[9:] == [("POST", "/_security/api_key")] * 4
    assert not bench.es.indices.exists(index=bench.own.state)


def test_what_is_printed_can_be_sent(cluster: Workbench) -> None:
    headers = {"accept": "application/json", "content-type": "application/json"}
    for request in cluster.run("setup", "--print").json:
        cluster.es.perform_request(request["method"], request["path"], body=request["body"], headers=headers)
    assert "created" not in cluster.run("setup").out


# --- what no role may do ------------------------------------------------------------------------------


@dataclass
class World:
    """One policy's indices, everything that the roles are for, and clients that lack something."""

    bench: Workbench
    policy: Policy
    outside: str
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def own(self) -> OwnIndices:
        return self.bench.own

    def client(self, rights: tuple[Right, ...]) -> Elasticsearch:
        self.environ = self.bench.environ_with(descriptor(rights, self.policy, self.own))
        return Elasticsearch(self.bench.url, api_key=self.environ["ENFORCER_ELASTICSEARCH_API_KEY"], max_retries=0)

    def uuid(self, index: str) -> str:
        answer = self.bench.es.indices.get_settings(index=index, name="index.uuid", flat_settings=True)
        return str(answer[index]["settings"]["index.uuid"])

    @property
    def logs(self) -> str:
        return f"{self.bench.prefix}logs-a"


@pytest.fixture
def world(cluster: Workbench) -> World:
    cluster.policy_text = POLICY
    now = SystemClock().now()
    cluster.index("logs-a", [now - DAY] * 3, aliases={f"{cluster.prefix}logs-write": {"is_write_index": True}})
    cluster.ready()
    for name in ("configuration", "keys"):
        cluster.index(name, [])
    outside = cluster.index("outside", [now - DAY])
    return World(cluster, load_policy(cluster.policy_path), outside)


@pytest.mark.parametrize("role", [AccessRole.READER, AccessRole.REGISTRAR])
def test_a_reader_and_a_registrar_delete_nothing_in_a_hundred_tries(world: World, role: AccessRole) -> None:
    answers = {HTTPStatus.FORBIDDEN: 0}
    with closing(world.client(rights_of(role))) as client:
        for number in range(20):
            for attempt in (
                lambda: client.indices.delete(index=world.logs),
                lambda: client.delete_by_query(index=world.logs, query={"match_all": {}}),
                lambda: client.delete(index=world.logs, id=str(number)),  # noqa: B023
                lambda: client.index(index=world.own.control, id="accepted", document={"kind": "accepted"}),
                lambda: client.indices.put_settings(index=world.logs, settings={"index.number_of_replicas": 0}),
            ):
                with pytest.raises(ApiError) as refused:
                    attempt()
                answers[refused.value.meta.status] += 1
    assert answers == {HTTPStatus.FORBIDDEN: 100}
    assert world.bench.count("logs-a") == 3


def test_a_registrar_asks_and_can_neither_read_nor_change_nor_take_back(world: World) -> None:
    body = {"kind": "account", "id": "100", "action": "terminate", "requested_by": "test"}
    with closing(world.client(rights_of(AccessRole.REGISTRAR))) as client:
        client.create(index=world.own.requests, id="one", document=body)
        for attempt in (
            lambda: client.get(index=world.own.requests, id="one"),
            lambda: client.search(index=world.own.requests),
            lambda: client.count(index=world.own.requests),
            lambda: client.index(index=world.own.requests, id="one", document={**body, "id": "101"}),
            lambda: client.update(index=world.own.requests, id="one", doc={"id": "101"}),
            lambda: client.delete(index=world.own.requests, id="one"),
            lambda: client.indices.delete(index=world.own.requests),
            lambda: client.index(index=world.own.terminations, document={"kind": "x"}),
            lambda: client.search(index=world.logs),
            lambda: client.search(index=world.own.ledger),
        ):
            with pytest.raises(ApiError) as refused:
                attempt()
            assert refused.value.meta.status == HTTPStatus.FORBIDDEN
    assert world.bench.es.get(index=world.own.requests, id="one")["_source"] == body


@pytest.mark.parametrize("role", list(AccessRole))
def test_no_role_changes_or_deletes_a_record_of_the_ledger(world: World, role: AccessRole) -> None:
    index, record = world.own.ledger_index, "000000000001"
    world.bench.es.create(index=index, id=record, document={"sequence": 1, "reason": "true"}, refresh=True)
    with closing(world.client(rights_of(role))) as client:
        for name in (index, world.own.ledger):
            for attempt in (
                lambda: client.index(index=name, id=record, document={"sequence": 1, "reason": "a lie"}),  # noqa: B023
                lambda: client.update(index=name, id=record, doc={"reason": "a lie"}),  # noqa: B023
                lambda: client.delete(index=name, id=record),  # noqa: B023
                lambda: client.delete_by_query(index=name, query={"match_all": {}}),  # noqa: B023
                lambda: client.update_by_query(index=name, query={"match_all": {}}),  # noqa: B023
                lambda: client.indices.delete(index=index),
                lambda: client.indices.close(index=name),  # noqa: B023
                lambda: client.indices.put_alias(index=index, name=f"{world.bench.prefix}retention-other"),
                lambda: client.indices.rollover(alias=world.own.ledger),
            ):
                with pytest.raises(ApiError) as refused:
                    attempt()
                assert refused.value.meta.status == HTTPStatus.FORBIDDEN
    assert world.bench.es.get(index=index, id=record)["_source"]["reason"] == "true"


def test_the_enforcer_cannot_speak_as_the_operator(world: World) -> None:
    with closing(world.client(rights_of(AccessRole.ENFORCER))) as client:
        control = Documents(client, world.own.control)
        with pytest.raises(RequestRejected):
            control.save("accepted", {"fingerprint": "0" * 64, "at": 0}, 0)
        with pytest.raises(RequestRejected):
            control.remove("accepted")
        with pytest.raises(ApiError):
            client.create(index=world.own.requests, id="one", document={"kind": "account"})
    accepted = ControlReader(Documents(world.bench.es, world.own.control)).read().accepted
    assert accepted not in (None, "0" * 64)


def test_an_enforcer_may_all_that_a_reader_may(world: World) -> None:
    environ = {**world.bench.environ_of(AccessRole.ENFORCER), "ENFORCER_MODE": "plan"}
    checks = world.bench.run("check", "--output", "json", environ=environ).json
    assert next(c["text"] for c in checks if c["name"] == "privileges").endswith("that the reader needs")


# --- the self-test ------------------------------------------------------------------------------------


def test_a_superuser_is_warned_about_once_at_start_and_in_check(world: World) -> None:
    shown = world.bench.run("check", environ=world.bench.environ)
    assert shown.code == 0, shown.err
    assert "warning excessive privileges" in shown.out
    started = world.bench.run("run", "--once", environ=world.bench.environ)
    assert started.err.count("may do everything on this cluster") == 1


def test_the_daemon_says_at_start_what_it_may_not_do(world: World) -> None:
    some = tuple(right for right in rights_of(AccessRole.ENFORCER) if right.privilege != ROLLOVER)
    environ = world.bench.environ_with(descriptor(some, world.policy, world.own))
    started = world.bench.run("run", "--once", environ=environ)
    line = next(json.loads(line) for line in started.err.splitlines() if ROLLOVER in line)
    assert line["log.level"] == "error"
    assert (
        "is missing; it is needed for deletion of indices (rolls over a write index in time, and before it is "
        "deleted)" in line["message"]
    )
    assert "grant the role" in line["message"]
    assert environ["ENFORCER_ELASTICSEARCH_API_KEY"] not in started.err


# --- each privilege is needed, and named when it is missing -------------------------------------------

Probe = Callable[[World, Elasticsearch], Any]


def _documents(scope: GrantedOn) -> Callable[[World, Elasticsearch], Documents]:
    names: dict[GrantedOn, Callable[[OwnIndices], str]] = {
        GrantedOn.CONTROL: lambda own: own.control,
        GrantedOn.STATE: lambda own: own.state,
        GrantedOn.TERMINATIONS: lambda own: own.terminations,
    }
    return lambda world, client: Documents(client, names[scope](world.own))


def _save(scope: GrantedOn) -> Probe:
    return lambda world, client: _documents(scope)(world, client).save("x", {}, 0)


def _at_flood_stage(index: Callable[[OwnIndices], str], write: Probe) -> Probe:
    def probe(world: World, client: Elasticsearch) -> Any:
        world.bench.es.indices.put_settings(index=index(world.own), settings=FLOOD)
        return write(world, client)

    return probe


def _mark(index: Callable[[World], str]) -> Probe:
    return lambda world, client: Erasure(client).mark(index(world), world.uuid(index(world)))


def _expunge(index: Callable[[World], str]) -> Probe:
    def probe(world: World, client: Elasticsearch) -> Any:
        mark = Erasure(world.bench.es).mark(index(world), world.uuid(index(world)))
        return Erasure(client).begin_expunge(index(world), mark, nullcontext)

    return probe


def _trim(world: World, client: Elasticsearch) -> Any:
    return Deletion(client).trim(Trim(index=world.logs, uuid=world.uuid(world.logs), takes=Every()), nullcontext)


def _put_policy(world: World, client: Elasticsearch) -> Any:
    policy = replace(world.policy, name=world.bench.prefix.rstrip("-"))
    compiled = compile_lifecycles(policy, policy.category("logs"), "0" * 64, poll=1_000)
    assert isinstance(compiled, Lifecycles)
    ClusterLifecycles(client).put_policy(compiled.policies[0])
    client.ilm.delete_lifecycle(name=compiled.policies[0].name)


def _detach(world: World, client: Elasticsearch) -> Any:
    world.bench.es.indices.put_settings(index=world.logs, settings={"index.lifecycle.name": "no-such-policy"})
    if ClusterLifecycles(client).detach([world.logs]):
        raise RequestRejected("it is attached still", status=HTTPStatus.FORBIDDEN)


def _stop_a_stream(world: World, client: Elasticsearch) -> Any:
    es, name = world.bench.es, f"{world.bench.prefix}logs-stream"
    es.indices.put_index_template(name=name, index_patterns=[name], data_stream={}, priority=500)
    es.options(ignore_status=400).indices.create_data_stream(name=name)
    try:
        streams = StreamLifecycles(client, Capabilities(client), world.policy, timeout=30.0)
        if why := streams.put(name, {"enabled": False, "data_retention": "7d"}):
            raise RequestRejected(why, status=HTTPStatus.FORBIDDEN if "is not allowed" in why else 0)
    finally:
        es.indices.delete_data_stream(name=name)
        es.indices.delete_index_template(name=name)


def _look_past(world: World, client: Elasticsearch) -> Any:
    seen = Coverage(client, Capabilities(client), world.own).read(world.policy, SystemClock().now())
    if why := seen.unseen.get(world.outside):
        raise RequestRejected(why, status=HTTPStatus.FORBIDDEN)


def _look_for_subjects(world: World, client: Elasticsearch) -> Any:
    elsewhere = Elsewhere(client, Capabilities(client), world.own)
    _, indistinguishable = elsewhere.look(world.policy, [ACCOUNT], SystemClock().now())
    if why := indistinguishable.get(world.outside):
        raise RequestRejected(why, status=HTTPStatus.FORBIDDEN)


def _stored_searches(world: World, client: Elasticsearch) -> Any:
    stored = world.bench.es.async_search.submit(index=world.logs, keep_on_completion=True, keep_alive="1m")
    copies = ElasticsCopies(client, Capabilities(client), world.own)
    items = copies.look(world.policy, [ACCOUNT], {}, SystemClock().now())
    world.bench.es.async_search.delete(id=stored["id"])
    if why := next((item.text for item in items if "async searches cannot be listed" in item.text), None):
        raise RequestRejected(why, status=HTTPStatus.FORBIDDEN)


def _snapshots(problem: Callable[[Any], str | None]) -> Probe:
    def probe(world: World, client: Elasticsearch) -> Any:
        why = problem(Snapshots(client, Capabilities(client)).read(world.policy))
        if why:
            raise RequestRejected(why, status=HTTPStatus.FORBIDDEN if "is not allowed" in why else 0)

    return probe


def _report(world: World, client: Elasticsearch) -> Any:
    """The verdicts: whatever cannot be seen is not proven."""
    now = SystemClock().now()
    Documents(world.bench.es, world.own.state).save(LOOKED, {"at": now}, now)  # requests were just looked at
    ran = world.bench.run("report", environ=world.environ)
    if ran.code != 0:
        raise RequestRejected(ran.out + ran.err, status=HTTPStatus.FORBIDDEN)


def _start(world: World, client: Elasticsearch) -> Any:
    """A start: where streams and aliases are passed over in silence, nothing may be deleted."""
    ran = world.bench.run("run", "--once", environ=world.environ)
    if ran.code == 4 and "nothing is deleted: privilege" in ran.err:
        raise RequestRejected(ran.err, status=HTTPStatus.FORBIDDEN)
    assert ran.code == 0, ran.err


def _append(world: World, client: Elasticsearch) -> Any:
    ledger = LedgerIndex(client, world.own.ledger)
    return ledger.create([{"sequence": 1}])


def _write_request(world: World, client: Elasticsearch) -> Any:
    return RequestsIndex(client, world.own.requests).write("y", {"kind": "account", "id": "100"})


def _forget(world: World, client: Elasticsearch) -> Any:
    world.bench.es.index(index=world.own.requests, document={"kind": "account", "id": "100"}, refresh=True)
    return RequestsIndex(client, world.own.requests).forget(ACCOUNT, 1_000)


def _requests(world: World, client: Elasticsearch) -> RequestsIndex:
    return RequestsIndex(client, world.own.requests)


PROBES: dict[tuple[GrantedOn, str], Probe] = {
    (GrantedOn.CLUSTER, "monitor"): lambda w, c: cluster_facts(c),
    (GrantedOn.CLUSTER, "monitor_snapshot"): _snapshots(
        lambda seen: seen.repositories and seen.repositories[0].problem
    ),
    (GrantedOn.CLUSTER, "read_slm"): _snapshots(lambda seen: seen.lifecycles_problem),
    (GrantedOn.CLUSTER, DANGLING): lambda w, c: CopiesOnNodes(c).dangling(),
    (GrantedOn.CLUSTER, "manage_ilm"): _put_policy,
    (GrantedOn.GOVERNED, "read"): _trim,
    (GrantedOn.GOVERNED, "view_index_metadata"): _start,
    (GrantedOn.GOVERNED, "monitor"): lambda w, c: Deletion(c).identities([w.logs]),
    (GrantedOn.GOVERNED, REFRESH): _report,
    (GrantedOn.GOVERNED, "maintenance"): _mark(lambda w: w.logs),
    (GrantedOn.GOVERNED, "delete"): _trim,
    (GrantedOn.GOVERNED, "delete_index"): lambda w, c: Deletion(c).delete_indices([w.logs]),
    (GrantedOn.GOVERNED, ROLLOVER): lambda w, c: Deletion(c).roll_over(f"{w.bench.prefix}logs-write", f"{w.logs}-2"),
    (GrantedOn.GOVERNED, BLOCK): lambda w, c: Deletion(c).stop_writes([w.logs]),
    (GrantedOn.GOVERNED, CHANGE_SETTINGS): lambda w, c: Deletion(c).set_write_block(w.uuid(w.logs), blocked=True),
    (GrantedOn.GOVERNED, "manage_ilm"): _detach,
    (GrantedOn.GOVERNED, CHANGE_STREAM_LIFECYCLE): _stop_a_stream,
    (GrantedOn.EVERYTHING, "read"): _look_past,
    (GrantedOn.EVERYTHING, "view_index_metadata"): _look_for_subjects,
    (GrantedOn.EVERYTHING, REFRESH): _look_for_subjects,
    (GrantedOn.SEARCHES, "read"): _stored_searches,
    (GrantedOn.LEDGER, "read"): lambda w, c: LedgerIndex(c, w.own.ledger).head(),
    (GrantedOn.LEDGER, "view_index_metadata"): lambda w, c: LedgerIndex(c, w.own.ledger).uuid(),
    (GrantedOn.LEDGER, REFRESH): lambda w, c: LedgerIndex(c, w.own.ledger).head(),
    (GrantedOn.LEDGER, "monitor"): lambda w, c: LedgerIndex(c, w.own.ledger).standing(1),
    (GrantedOn.LEDGER, "create_doc"): _append,
    (GrantedOn.LEDGER, CHANGE_SETTINGS): _at_flood_stage(lambda own: own.ledger_index, _append),
    (GrantedOn.CONTROL, "read"): lambda w, c: ControlReader(Documents(c, w.own.control)).read(),
    (GrantedOn.CONTROL, "monitor"): lambda w, c: Documents(c, w.own.control).position(),
    (GrantedOn.CONTROL, REFRESH): lambda w, c: Documents(c, w.own.control).position(),
    (GrantedOn.CONTROL, "index"): _save(GrantedOn.CONTROL),
    (GrantedOn.CONTROL, "delete"): lambda w, c: Documents(c, w.own.control).remove("x"),
    (GrantedOn.CONTROL, "view_index_metadata"): _save(GrantedOn.CONTROL),
    (GrantedOn.CONTROL, CHANGE_SETTINGS): _at_flood_stage(lambda own: own.control, _save(GrantedOn.CONTROL)),
    (GrantedOn.STATE, "read"): lambda w, c: Documents(c, w.own.state).load(["x"]),
    (GrantedOn.STATE, "monitor"): lambda w, c: Documents(c, w.own.state).position(),
    (GrantedOn.STATE, REFRESH): lambda w, c: Documents(c, w.own.state).position(),
    (GrantedOn.STATE, "index"): _save(GrantedOn.STATE),
    (GrantedOn.STATE, "view_index_metadata"): _save(GrantedOn.STATE),
    (GrantedOn.STATE, CHANGE_SETTINGS): _at_flood_stage(lambda own: own.state, _save(GrantedOn.STATE)),
    (GrantedOn.REQUESTS, "create_doc"): _write_request,
    (GrantedOn.REQUESTS, "view_index_metadata"): _write_request,
    (GrantedOn.REQUESTS, CHANGE_SETTINGS): _expunge(lambda w: w.own.requests),
    (GrantedOn.REQUESTS, "read"): lambda w, c: _requests(w, c).read(-1, 0),
    (GrantedOn.REQUESTS, "monitor"): lambda w, c: _requests(w, c).position(),
    (GrantedOn.REQUESTS, "maintenance"): lambda w, c: _requests(w, c).position(),
    (GrantedOn.REQUESTS, "delete"): _forget,
    (GrantedOn.TERMINATIONS, "read"): lambda w, c: Documents(c, w.own.terminations).all(),
    (GrantedOn.TERMINATIONS, "index"): _save(GrantedOn.TERMINATIONS),
    (GrantedOn.TERMINATIONS, "view_index_metadata"): _save(GrantedOn.TERMINATIONS),
    (GrantedOn.TERMINATIONS, "delete"): lambda w, c: Documents(c, w.own.terminations).remove("x"),
    (GrantedOn.TERMINATIONS, "monitor"): _mark(lambda w: w.own.terminations),
    (GrantedOn.TERMINATIONS, "maintenance"): _mark(lambda w: w.own.terminations),
    (GrantedOn.TERMINATIONS, CHANGE_SETTINGS): _expunge(lambda w: w.own.terminations),
}


def test_there_is_a_probe_for_each_privilege() -> None:
    assert PROBES.keys() == {(right.scope, right.privilege) for right in RIGHTS}


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: f"{right.scope}: {right.privilege}")
def test_without_one_privilege_check_names_it_and_what_it_is_for_does_not_work(world: World, right: Right) -> None:
    probe = PROBES[right.scope, right.privilege]
    role = next(
        role
        for role in (AccessRole.ENFORCER, AccessRole.OPERATOR, AccessRole.READER, AccessRole.REGISTRAR)
        if role in right.roles
    )
    # What is given on all indices would be there all the same.
    wide = right.scope not in (GrantedOn.EVERYTHING, GrantedOn.CLUSTER)
    rights = tuple(some for some in rights_of(role) if not (wide and some.scope is GrantedOn.EVERYTHING))
    less = tuple(some for some in rights if some != right)
    with closing(world.client(less)) as client:
        if role is AccessRole.ENFORCER:
            checks = world.bench.run("check", "--output", "json", environ=world.environ).json
            named = [c for c in checks if c["name"] == f"privilege {right.privilege}" and not c["ok"]]
            assert any(right.feature in c["text"] for c in named), checks
        with pytest.raises(RequestRejected) as refused:
            probe(world, client)
        assert refused.value.status == HTTPStatus.FORBIDDEN
    with closing(world.client(rights)) as client:
        probe(world, client)
