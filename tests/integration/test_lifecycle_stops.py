"""What holds, `stop`, plan mode and other people's lifecycles leave to the cluster: exactly what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from lifecycle_bench import LifecycleBench, requests_counted
from retention_enforcer.cluster.lifecycles.changes import ClusterLifecycles
from retention_enforcer.domain.instants import DAY, HOUR, format_instant
from retention_enforcer.domain.lifecycles.changes import Change
from retention_enforcer.enforcement.lifecycles.changer import LifecycleChanger

FOREVER = {"phases": {"delete": {"min_age": "90d", "actions": {"delete": {}}}}}
SOON_ENOUGH = {"phases": {"delete": {"min_age": "7d", "actions": {"delete": {}}}}}


@pytest.fixture
def managed(server: object, es: Elasticsearch, prefix: str, tmp_path: object) -> Iterator[LifecycleBench]:
    """An enforcer on a server with lifecycles; what it put is taken away again."""
    yield from LifecycleBench.on(server, es, prefix, tmp_path)


@pytest.fixture
def theirs(managed: LifecycleBench) -> str:
    """Somebody else's lifecycle policy."""
    name = f"{managed.prefix}theirs"
    managed.es.ilm.put_lifecycle(name=name, policy=FOREVER)
    return name


def hold(bench: LifecycleBench, *target: str) -> str:
    end = format_instant(bench.now() + 10 * DAY)
    added = bench.run("hold", "add", *target, "--owner", "Anna", "--reason", "a case", "--until", end)
    assert added.code == 0, added.out + added.err
    return added.out.split()[1]


def under(bench: LifecycleBench, name: str, policy: str) -> None:
    bench.index(name, [bench.now() - HOUR], settings={"index.lifecycle.name": policy})


# --- holds --------------------------------------------------------------------------------------------


def test_a_hold_on_an_index_detaches_it_alone_and_its_removal_attaches_it_again(managed: LifecycleBench) -> None:
    for name in ("logs-a", "logs-b"):
        managed.index(name, [managed.now() - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    plain = managed.lifecycle("logs", "plain")
    assert [managed.attached(name) for name in ("logs-a", "logs-b")] == [plain, plain]
    id_ = hold(managed, "--index", f"{managed.prefix}logs-a")
    assert [managed.attached(name) for name in ("logs-a", "logs-b")] == [None, plain]
    assert managed.run("run", "--once").code == 0
    assert [managed.attached(name) for name in ("logs-a", "logs-b")] == [None, plain], "the cycle obeys it as well"
    assert managed.run("hold", "remove", id_).code == 0
    assert managed.run("run", "--once").code == 0
    assert [managed.attached(name) for name in ("logs-a", "logs-b")] == [plain, plain]


def test_a_hold_on_a_subject_detaches_every_index_with_a_document_of_it(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.index("logs-b", [managed.now() - HOUR])
    document = {"@timestamp": managed.now() - HOUR, "sdkappid": "1400"}
    managed.es.index(index=f"{managed.prefix}logs-a", document=document, refresh=True)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    id_ = hold(managed, "--application", "1400")
    assert managed.attached("logs-a") is None
    assert managed.run("run", "--once").code == 0
    assert (managed.attached("logs-a"), managed.attached("logs-b")) == (None, managed.lifecycle("logs", "plain"))
    managed.add("logs-b", [])
    later = {"@timestamp": managed.now() - HOUR, "sdkappid": "1400"}
    managed.es.index(index=f"{managed.prefix}logs-b", document=later, refresh=True)
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-b") is None, "one that the subject came to later is detached by the next cycle"
    assert managed.run("hold", "remove", id_).code == 0
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.attached("logs-b") == managed.lifecycle("logs", "plain")


def test_a_lifecycle_of_others_that_a_hold_detached_is_put_back_when_it_is_removed(
    managed: LifecycleBench, theirs: str
) -> None:
    under(managed, "logs-a", theirs)
    managed.ready()
    first, second = hold(managed, "--category", "logs"), hold(managed, "--index", f"{managed.prefix}logs-a")
    assert managed.attached("logs-a") is None
    removed = managed.run("hold", "remove", first)
    assert removed.code == 0
    assert managed.attached("logs-a") is None, "another hold still covers it"
    removed = managed.run("hold", "remove", second)
    assert removed.code == 0
    assert f"{managed.prefix}logs-a has its lifecycle {theirs} again" in removed.out
    assert managed.attached("logs-a") == theirs
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == theirs


def test_a_lifecycle_that_is_gone_cannot_be_put_back_and_that_is_said(managed: LifecycleBench, theirs: str) -> None:
    under(managed, "logs-a", theirs)
    managed.ready()
    id_ = hold(managed, "--category", "logs")
    managed.es.ilm.delete_lifecycle(name=theirs)
    removed = managed.run("hold", "remove", id_)
    assert removed.code == 1
    assert "NOT PUT BACK" in removed.out
    assert managed.attached("logs-a") is None


def test_a_hold_that_comes_between_plan_and_request_attaches_nothing(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    request = LifecycleChanger._request

    def held_first(self: LifecycleChanger, *arguments: object) -> object:
        hold(managed, "--index", f"{managed.prefix}logs-a")
        return request(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LifecycleChanger, "_request", held_first)
    assert managed.run("run", "--once").code == 4
    assert managed.attached("logs-a") is None
    assert [(r["kind"], r.get("outcome")) for r in managed.about("logs-a")] == [
        ("intent", None),
        ("outcome", "refused"),
    ]


def test_a_hold_that_comes_with_the_request_is_obeyed_right_after_it(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    request = LifecycleChanger._request
    added = []

    def held_then(self: LifecycleChanger, *arguments: object) -> object:
        answer = request(self, *arguments)  # type: ignore[arg-type]
        if not added:  # as if its own look had been before the request was carried out
            body = {"owner": "x", "reason": "y", "until": managed.now() + DAY, "category": "logs"}
            document = {"kind": "hold-1", "updated": format_instant(managed.now()), "body": body}
            managed.es.index(index=managed.own.control, id="hold-1", document=document, refresh=True)
            added.append(True)
        return answer

    monkeypatch.setattr(LifecycleChanger, "_request", held_then)
    assert managed.run("run", "--once").code == 4
    assert managed.attached("logs-a") is None
    actions = [(r["action"], r.get("outcome")) for r in managed.about("logs-a")]
    assert actions[-2:] == [("detach_lifecycle", None), ("detach_lifecycle", "done")]


def test_what_was_attached_before_the_rest_was_refused_is_written_down_and_obeys_the_hold(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One index of the list is gone, so that each is tried alone; between the two a hold is added."""
    managed.index("logs-a", [managed.now() - HOUR // 2])
    managed.index("logs-b", [managed.now() - HOUR // 2])
    managed.ready()
    request = LifecycleChanger._request

    def with_one_gone(self: LifecycleChanger, changes: list[Change], permit: Callable[[], Any]) -> object:
        if changes[0].policy is None:
            return request(self, changes, permit)
        managed.es.indices.delete(index=f"{managed.prefix}logs-b")
        asked = []

        def held_at_last() -> Any:
            asked.append(True)
            if len(asked) == 3:
                body = {"owner": "x", "reason": "y", "until": managed.now() + DAY, "category": "logs"}
                document = {"kind": "hold-1", "updated": format_instant(managed.now()), "body": body}
                managed.es.index(index=managed.own.control, id="hold-1", document=document, refresh=True)
            return permit()

        return request(self, changes, held_at_last)

    monkeypatch.setattr(LifecycleChanger, "_request", with_one_gone)
    assert managed.run("run", "--once").code == 4
    assert managed.attached("logs-a") is None
    assert [(r["action"], r.get("outcome")) for r in managed.about("logs-a")] == [
        ("apply_lifecycle", None),
        ("apply_lifecycle", "done"),
        ("detach_lifecycle", None),
        ("detach_lifecycle", "done"),
    ]
    assert [r.get("outcome") for r in managed.about("logs-b")] == [None, "refused"]


def test_an_index_that_took_the_name_of_the_planned_one_gets_nothing(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    request = LifecycleChanger._request

    def swapped_first(self: LifecycleChanger, *arguments: object) -> object:
        managed.es.indices.delete(index=f"{managed.prefix}logs-a")
        managed.index("logs-a", [managed.now()])
        return request(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LifecycleChanger, "_request", swapped_first)
    managed.run("run", "--once")
    assert managed.attached("logs-a") is None
    assert [r.get("outcome") for r in managed.about("logs-a") if r["action"] == "apply_lifecycle"] == [None, "refused"]


def test_what_was_attached_to_a_successor_in_that_very_moment_is_taken_back(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    attach = ClusterLifecycles.attach

    def to_the_successor(self: ClusterLifecycles, names: list[str], policy: str, **more: object) -> object:
        managed.es.indices.delete(index=f"{managed.prefix}logs-a")
        managed.index("logs-a", [managed.now()])
        del more["permit"]
        return attach(self, names, policy, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ClusterLifecycles, "attach", to_the_successor)
    managed.run("run", "--once")
    assert managed.attached("logs-a") is None
    records = [(r["action"], r.get("outcome")) for r in managed.about("logs-a")]
    assert (
        records[-3:]
        == [
            ("apply_lifecycle", "failed"),
            ("detach_lifecycle", None),
            ("detach_lifecycle", "done"),
        ]
        or ("detach_lifecycle", "done") in records
    )


# --- stop and resume ----------------------------------------------------------------------------------


def test_stop_detaches_every_governed_index_and_resume_brings_all_back(managed: LifecycleBench, theirs: str) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.index("elsewhere", [], settings={"index.lifecycle.name": theirs})
    under(managed, "logs-theirs", theirs)
    managed.stream("logs-stream")
    managed.write("logs-stream", managed.now())
    managed.ready()
    assert managed.run("run", "--once").code == 0
    (backing,) = managed.backing("logs-stream")
    assert managed.attached(backing) == managed.lifecycle("logs", "rolled")
    stopped = managed.run("stop")
    assert stopped.code == 0, stopped.out
    assert "no governed index has a lifecycle now" in stopped.out
    assert [managed.attached(n) for n in ("logs-a", "logs-theirs", backing)] == [None, None, None]
    assert managed.attached("elsewhere") == theirs, "what is not governed is not touched"
    managed.run("run", "--once")
    assert [managed.attached(n) for n in ("logs-a", "logs-theirs", backing)] == [None, None, None]
    resumed = managed.run("resume")
    assert resumed.code == 0, resumed.out
    assert managed.attached("logs-theirs") == theirs
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert managed.attached(backing) == managed.lifecycle("logs", "rolled")


def test_without_a_policy_file_the_flag_is_set_and_the_error_says_what_is_missing(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - 20 * DAY])
    managed.ready()
    environ = {name: value for name, value in managed.environ.items() if name != "ENFORCER_POLICY_FILE"}
    stopped = managed.run("stop", environ=environ)
    assert stopped.code == 2
    assert "stopped: no enforcer holds the lease" in stopped.out
    assert "ENFORCER_POLICY_FILE is not set" in stopped.err
    managed.run("run", "--once")
    assert managed.count("logs-a") == 1


def test_plan_mode_says_aloud_where_the_cluster_deletes_all_the_same(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    unreadable = managed.index("logs-unreadable", [managed.now() - HOUR], settings={"index.blocks.read": True})
    plain = {"index.lifecycle.name": managed.lifecycle("logs", "plain")}
    managed.es.indices.put_settings(index=unreadable, settings=plain)
    stray = managed.index("stray", [], settings=plain)
    environ = {**managed.environ, "ENFORCER_MODE": "plan"}
    with requests_counted() as sent:
        planned = managed.run("run", "--once", environ=environ)
    assert sent == []
    assert planned.code == 3, "what nobody can look into is not kept"
    assert "lifecycles still delete 2 indices" in planned.err
    assert f": {managed.prefix}logs-a, {unreadable}; to detach them" in planned.err
    assert f"finding lifecycle-stray: {stray}" in planned.err
    assert f"POST {stray}/_ilm/remove" in str(managed.run("report", "--output", "json").json["findings"])
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain"), "plan mode changes nothing"
    managed.run("stop")
    assert "lifecycles still delete" not in managed.run("run", "--once", environ=environ).err


# --- other people's lifecycles ------------------------------------------------------------------------


def test_a_lifecycle_of_others_is_left_and_a_finding_where_it_breaks_the_limit(
    managed: LifecycleBench, theirs: str
) -> None:
    under(managed, "logs-a", theirs)
    managed.ready()
    ran = managed.run("run", "--once")
    assert f"lifecycle policy {theirs}, which the enforcer did not create, deletes after up to" in ran.err
    assert managed.attached("logs-a") == theirs
    managed.es.ilm.put_lifecycle(name=theirs, policy=SOON_ENOUGH)
    again = managed.run("run", "--once")
    assert "which the enforcer did not create" not in again.err
    assert "foreign" not in again.err


def test_adopt_replaces_it_and_says_that_the_template_brings_it_back(managed: LifecycleBench, theirs: str) -> None:
    under(managed, "logs-a", theirs)
    managed.policy_text = managed.policy_text.replace("rollover: 1d", "rollover: 1d\n    foreign_lifecycle: adopt")
    managed.ready()
    ran = managed.run("run", "--once")
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert "remove it from the index template" in ran.err


def test_a_policy_of_our_name_that_is_not_ours_is_refused(managed: LifecycleBench) -> None:
    plain = managed.lifecycle("logs", "plain")
    managed.es.ilm.put_lifecycle(name=plain, policy=SOON_ENOUGH)
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    ran = managed.run("run", "--once")
    assert "lifecycle-name-taken" in ran.err
    assert managed.attached("logs-a") is None
    stored = managed.es.ilm.get_lifecycle(name=plain)[plain]
    assert stored["version"] == 1
    assert stored["policy"]["phases"]["delete"]["min_age"] == "7d"


def test_what_has_a_policy_of_our_name_that_is_not_ours_any_more_is_freed_and_deleted_directly(
    managed: LifecycleBench,
) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.index("logs-old", [managed.now() - 13 * DAY - 10 * HOUR])
    managed.ready()
    managed.run("run", "--once")
    assert managed.run("run", "--once").code == 0
    plain = managed.lifecycle("logs", "plain")
    assert managed.attached("logs-a") == managed.attached("logs-old") == plain
    managed.es.ilm.put_lifecycle(name=plain, policy=FOREVER)  # without _meta
    ran = managed.run("run", "--once")
    assert "lifecycle-name-taken" in ran.err
    assert (managed.attached("logs-a"), managed.attached("logs-old")) == (None, None)
    managed.add("logs-old", [managed.now() - 15 * DAY])
    assert managed.run("run", "--once").code == 0
    assert managed.count("logs-old") == 1, "no lifecycle of anybody keeps the enforcer off"
    assert managed.run("run", "--once").code == 0
    assert managed.es.ilm.get_lifecycle(name=plain)[plain]["policy"]["phases"] == {
        "delete": {"min_age": "90d", "actions": {"delete": {"delete_searchable_snapshot": True}}}
    }


def test_a_policy_that_somebody_changed_is_put_again_and_its_indices_are_attached_anew(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    plain = managed.lifecycle("logs", "plain")
    stored = managed.es.ilm.get_lifecycle(name=plain)[plain]["policy"]
    changed = {**stored, "phases": {"delete": {"min_age": "400d", "actions": {"delete": {}}}}}
    managed.es.ilm.put_lifecycle(name=plain, policy=changed)
    ran = managed.run("run", "--once")
    assert "finding lifecycle-altered" in ran.err
    now = managed.es.ilm.get_lifecycle(name=plain)[plain]["policy"]
    assert now["phases"]["delete"]["min_age"] == stored["phases"]["delete"]["min_age"]
    actions = [(r["action"], r.get("outcome")) for r in managed.about("logs-a")]
    assert actions[2:] == [
        ("detach_lifecycle", None),
        ("detach_lifecycle", "done"),
        ("apply_lifecycle", None),
        ("apply_lifecycle", "done"),
    ]


def test_a_policy_that_carries_anothers_rights_is_put_again_with_the_enforcers(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    try:
        key = managed.es.security.create_api_key(name=managed.prefix).body
    except ApiError as error:
        pytest.skip(f"this server makes no API keys ({error.meta.status})")
    environ = {
        name: value for name, value in managed.environ.items() if "USERNAME" not in name and "PASSWORD" not in name
    }
    environ["ENFORCER_ELASTICSEARCH_API_KEY"] = key["encoded"]
    try:
        plain = managed.lifecycle("logs", "plain")
        before = managed.about("logs-a")
        ran = managed.run("run", "--once", environ=environ)
        assert ran.code == 0, ran.err
        assert f"lifecycle policy {plain} had the privileges of another user" in ran.err
        assert managed.es.ilm.get_lifecycle(name=plain)[plain]["version"] == 2
        assert managed.about("logs-a") == before, "its index stays as it is: the policy does the same as before"
        assert "the privileges of another user" not in managed.run("run", "--once", environ=environ).err
    finally:
        managed.es.security.invalidate_api_key(ids=[key["id"]])


def test_a_shorter_limit_goes_through_the_fuse_and_not_through_the_lifecycle(managed: LifecycleBench) -> None:
    """Putting the shorter policy over the attached one would delete everything within three polls, past the fuse."""
    managed.index("logs-a", [managed.now() - 8 * DAY] * 1_200)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    managed.max_age = "7d"
    managed.policy_text = managed.policy_text.replace("rollover: 1d", "rollover: 12h")
    assert managed.run("policy", "accept").code == 0
    refused = managed.run("run", "--once")
    assert refused.code == 4
    assert managed.attached("logs-a") is None
    assert managed.count("logs-a") == 1_200


def test_a_clone_outside_the_policy_does_not_keep_the_lifecycle_it_inherits(managed: LifecycleBench) -> None:
    name = managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    managed.es.indices.put_settings(index=name, settings={"index.blocks.write": True})
    copy = f"{managed.prefix}copy"
    managed.es.indices.clone(index=name, target=copy, settings={"index.number_of_replicas": 0})
    assert managed.attached("copy") == managed.lifecycle("logs", "plain"), "a clone inherits it"
    assert managed.run("run", "--once").code == 0
    assert managed.attached("copy") is None
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert managed.run("ledger", "verify").code == 0


def test_after_the_policy_got_another_name_nothing_keeps_a_lifecycle_of_the_old_one_unseen(
    managed: LifecycleBench,
) -> None:
    name = managed.index("logs-a", [managed.now() - HOUR])
    text = managed.policy_text
    managed.policy_text = text.replace("name: {prefix}policy", "name: {prefix}policy-eu")
    managed.ready()
    assert managed.run("run", "--once").code == 0
    former = f"retention-{managed.policy_name}-eu-logs-plain"
    assert managed.attached("logs-a") == former
    managed.es.indices.put_settings(index=name, settings={"index.blocks.write": True})
    copy = f"{managed.prefix}copy"
    managed.es.indices.clone(index=name, target=copy, settings={"index.number_of_replicas": 0})
    managed.es.indices.put_settings(index=[name, copy], settings={"index.blocks.write": None})
    managed.policy_text = text
    assert managed.run("policy", "accept").code == 0
    ran = managed.run("run", "--once")
    assert ran.code == 0
    assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
    assert managed.attached("copy") == former, "the policy that put it may have claimed it"
    assert f"finding lifecycle-former: {copy}" in ran.err
    assert f"POST {copy}/_ilm/remove" in ran.err
    assert managed.run("stop").code == 0
    assert managed.attached("copy") is None
    assert managed.run("ledger", "verify").code == 0


def test_a_name_that_begins_like_the_enforcers_does_not_make_a_lifecycle_its_own(managed: LifecycleBench) -> None:
    theirs = f"{managed.lifecycle('logs', 'eu')}-plain"
    managed.es.ilm.put_lifecycle(name=theirs, policy=SOON_ENOUGH)
    under(managed, "logs-a", theirs)
    under(managed, "copy", theirs)
    managed.ready()
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") == theirs
    assert managed.attached("copy") == theirs
    assert not [record for record in managed.records() if record["kind"] == "intent"]


# --- settings -----------------------------------------------------------------------------------------


def test_direct_takes_the_lifecycles_back(managed: LifecycleBench) -> None:
    managed.index("logs-a", [managed.now() - HOUR])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    managed.settings["ENFORCER_LIFECYCLE"] = "direct"
    assert managed.run("policy", "accept").code == 0
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") is None


def test_what_would_be_deleted_soon_and_was_written_to_since_is_looked_at_again_first(
    managed: LifecycleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    almost_due = managed.now() - 13 * DAY - 22 * HOUR
    managed.index("logs-a", [almost_due])
    managed.ready()
    unwritten = LifecycleChanger.unwritten

    def after_a_write(self: LifecycleChanger, *arguments: object) -> object:
        managed.add("logs-a", [managed.now()])
        return unwritten(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(LifecycleChanger, "unwritten", after_a_write)
        assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") is None
    assert managed.run("run", "--once").code == 0
    assert managed.attached("logs-a") is None, "it straddles now"
    assert managed.count("logs-a") == 2


def test_what_is_closed_and_may_be_held_is_detached_by_the_next_cycle(managed: LifecycleBench) -> None:
    name = managed.index("logs-a", [managed.now()])
    managed.ready()
    assert managed.run("run", "--once").code == 0
    managed.es.indices.close(index=name)
    body = {"owner": "x", "reason": "y", "until": managed.now() + DAY, "category": "logs"}
    document = {"kind": "hold-1", "updated": format_instant(managed.now()), "body": body}
    managed.es.index(index=managed.own.control, id="hold-1", document=document, refresh=True)
    managed.run("run", "--once")
    assert managed.attached("logs-a") is None


def test_the_shipped_roles_can_do_all_of_it(managed: LifecycleBench, theirs: str) -> None:
    """The daemon with the enforcer's key alone, the commands with the operator's."""
    managed.index("logs-a", [managed.now() - HOUR])
    managed.index("logs-old", [managed.now() - 15 * DAY])
    under(managed, "logs-theirs", theirs)
    if managed.run("setup").code != 0:
        pytest.skip("this server makes no roles")
    keys = {
        role: managed.run("setup", "--key", role).out.splitlines()[-1] for role in ("enforcer", "operator", "reader")
    }
    try:
        as_ = {role: _with_key(managed, secret) for role, secret in keys.items()}
        assert managed.run("policy", "accept", environ=as_["operator"]).code == 0
        ran = managed.run("run", "--once", environ=as_["enforcer"])
        assert ran.code == 0, ran.err
        assert managed.attached("logs-a") == managed.lifecycle("logs", "plain")
        assert managed.count("logs-old") is None
        assert "lifecycles-unusable" not in ran.err
        assert managed.run("report", environ=as_["reader"]).code == 0
        managed.es.indices.delete(index=f"{managed.prefix}logs-a")
        assert "deleted-by-others" in managed.run("run", "--once", environ=as_["enforcer"]).err
        stopped = managed.run("stop", environ=as_["operator"])
        assert stopped.code == 0, stopped.out
        assert managed.attached("logs-theirs") is None
        resumed = managed.run("resume", environ=as_["operator"])
        assert resumed.code == 0, resumed.out
        assert managed.attached("logs-theirs") == theirs
        shown = managed.run("policy", "show", "--lifecycles", environ=as_["reader"])
        assert shown.code == 0, shown.err
    finally:
        for role in ("reader", "registrar", "operator", "enforcer"):
            managed.es.options(ignore_status=404).security.delete_role(name=f"{managed.prefix}retention-{role}")
        made = managed.es.security.get_api_key(name=f"{managed.prefix}retention-*")["api_keys"]
        managed.es.security.invalidate_api_key(ids=[key["id"] for key in made])


def _with_key(bench: LifecycleBench, secret: str) -> dict[str, str]:
    login = ("ENFORCER_ELASTICSEARCH_USERNAME", "ENFORCER_ELASTICSEARCH_PASSWORD")
    environ = {name: value for name, value in bench.environ.items() if name not in login}
    return {**environ, "ENFORCER_ELASTICSEARCH_API_KEY": secret}
