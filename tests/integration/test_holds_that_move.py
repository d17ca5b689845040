"""Holds whose names move on, on a real server: what one has once covered stays covered, and it is said aloud."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import ApiError

from backups import Backups
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.own.control_documents import ACCEPTED
from workbench import Ran, Workbench

CATEGORY = """\
  - id: {id}
    clause: {{{{document: Test promises, section: "1", item: {id}, updated: 2026-01-01}}}}
    indices: [{indices}]
    subjects: {{{{{subjects}}}}}
    max_age: {{max_age}}
    rollover: 1d
"""
HEAD = "version: 1\nname: {prefix}policy\nmargin: 1h\ncategories:\n"
SUBJECTS = "application: sdkappid, user: user_id"
MAPPING = {
    "properties": {
        "@timestamp": {"type": "date"},
        **{name: {"type": "keyword"} for name in ("sdkappid", "app", "user_id")},
    }
}
OLD = 20 * DAY


def policy(*categories: tuple[str, str], subjects: str = SUBJECTS) -> str:
    """A policy with these categories: their ids, and what they claim under the prefix."""
    return HEAD + "".join(
        CATEGORY.format(id=id_, indices=f'"{{prefix}}{claims}"', subjects=subjects) for id_, claims in categories
    )


@pytest.fixture
def held(bench: Workbench) -> Workbench:
    bench.policy_text = policy(("logs", "logs-*"))
    return bench


def log(application: str = "14", age: int = OLD, **more: Any) -> dict[str, Any]:
    return {"@timestamp": SystemClock().now() - age, "sdkappid": application, "user_id": "u1", **more}


def index(bench: Workbench, name: str, *documents: dict[str, Any], **body: Any) -> str:
    full = bench.index(name, [], mappings=MAPPING, **body)
    for document in documents or (log(),):
        bench.es.index(index=full, document=document, refresh=True)
    return full


def hold(bench: Workbench, *target: str) -> str:
    """Add a hold, and return its id."""
    end = format_instant(SystemClock().now() + 10 * DAY)
    added = bench.run("hold", "add", *target, "--owner", "legal", "--reason", "a case", "--until", end)
    assert added.code == 0, added.err
    return str(bench.run("hold", "list", "--output", "json").json[-1]["id"])


def findings(bench: Workbench, kind: str = "hold-covers-less") -> list[str]:
    report = bench.run("report", "--output", "json").json
    return [f["text"] for f in report["findings"] if f["kind"] == kind]


def run(bench: Workbench) -> Ran:
    return bench.run("run", "--once")


def accept_unasked(bench: Workbench) -> None:
    """Accept the policy past the command that would refuse it, as somebody may who writes into `retention-control`."""
    shown = bench.run("policy", "show", "--output", "json").json
    body = {"fingerprint": shown["fingerprint"], "at": SystemClock().now()}
    source = {"kind": ACCEPTED, "updated": "2026-01-01T00:00:00.000Z", "body": body}
    bench.es.index(index=bench.own.control, id=ACCEPTED, document=source, refresh=True)


# --- names that move on -------------------------------------------------------------------------------


def test_an_alias_that_is_rolled_over_keeps_what_was_behind_it_when_the_hold_was_added(held: Workbench) -> None:
    case = held.prefix + "case42"
    index(held, "logs-h-000001", aliases={case: {"is_write_index": True}})
    held.ready()
    hold(held, "--index", case)
    assert findings(held) == []
    held.es.indices.rollover(alias=case)
    ran = run(held)
    assert ran.code == 3, ran.err
    assert held.count("logs-h-000001") == 1
    held.es.indices.update_aliases(actions=[{"remove": {"index": f"{held.prefix}logs-h-*", "alias": case}}])
    assert run(held).code == 3
    assert held.count("logs-h-000001") == 1
    (text,) = findings(held)
    assert "no governed index, data stream or alias has its name" in text
    assert "1 of its indices is no longer under its name" in text or "logs-h-000001" in text


def test_what_an_alias_led_to_in_any_run_stays_held_after_the_alias_has_moved(held: Workbench) -> None:
    case = held.prefix + "case42"
    index(held, "logs-a", aliases={case: {}})
    second = index(held, "logs-b")
    held.ready()
    id_ = hold(held, "--index", case)
    held.es.indices.update_aliases(actions=[{"add": {"index": second, "alias": case}}])
    assert run(held).code == 3
    held.es.indices.update_aliases(actions=[{"remove": {"index": second, "alias": case}}])
    ran = run(held)
    assert (held.count("logs-a"), held.count("logs-b")) == (1, 1)
    assert "hold-covers-less" in ran.err
    assert second in findings(held)[0]
    assert held.run("hold", "remove", id_).code == 0
    assert run(held).code == 0
    assert not held.count("logs-a"), "the last index of its alias is trimmed"
    assert held.is_gone("logs-b")


def test_an_index_that_left_its_stream_stays_held(held: Workbench) -> None:
    name = held.prefix + "logs-s"
    try:
        held.es.indices.put_index_template(
            name=name, index_patterns=[name], data_stream={}, template={"mappings": MAPPING}, priority=700
        )
        held.es.indices.create_data_stream(name=name)
    except ApiError as error:
        pytest.skip(f"this server has no data streams ({error.meta.status})")
    try:
        held.es.index(index=name, document=log(), op_type="create", refresh=True)
        held.es.indices.rollover(alias=name)
        held.ready()
        hold(held, "--index", name)
        (stream,) = held.es.indices.get_data_stream(name=name)["data_streams"]
        first = stream["indices"][0]["index_name"]
        held.es.indices.modify_data_stream(actions=[{"remove_backing_index": {"data_stream": name, "index": first}}])
        held.es.indices.add_block(index=first, block="write")
        run(held)
        assert held.es.count(index=first)["count"] == 1
        held.es.indices.delete(index=first)
    finally:
        held.es.indices.delete_data_stream(name=name)
        held.es.indices.delete_index_template(name=name)


@pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")  # a name that begins with a dot
def test_an_index_can_be_held_by_the_name_of_the_stream_that_it_was_a_part_of(held: Workbench) -> None:
    stream = held.prefix + "logs-s"
    first = f".ds-{stream}-2026.01.31-000001"
    held.es.indices.create(index=first, mappings=MAPPING, settings={"hidden": True})
    try:
        held.es.index(index=first, document=log(), refresh=True)
        held.ready()
        hold(held, "--index", stream)
        assert run(held).code == 3
        assert held.es.count(index=first)["count"] == 1
    finally:
        held.es.indices.delete(index=first)


def test_an_index_that_is_restored_under_another_name_stays_held(held: Workbench, backups: Backups) -> None:
    name = index(held, "logs-a")
    repository = backups.repository()
    backups.take(repository, "s1")
    held.ready()
    hold(held, "--index", name)
    held.es.indices.delete(index=name)
    held.es.snapshot.restore(
        repository=repository,
        snapshot="s1",
        indices=name,
        rename_pattern=name,
        rename_replacement=f"{held.prefix}logs-restored",
        wait_for_completion=True,
    )
    assert run(held).code == 3
    assert held.count("logs-restored") == 1
    assert "logs-restored" in findings(held)[0]


def test_an_index_that_is_restored_under_its_name_stays_held_although_an_alias_led_to_it(
    held: Workbench, backups: Backups
) -> None:
    case = held.prefix + "case42"
    name = index(held, "logs-a", aliases={case: {}})
    index(held, "logs-b")
    held.ready()
    hold(held, "--index", case)
    held.es.indices.delete_alias(index=name, name=case)
    repository = backups.repository()
    backups.take(repository, "s1")
    held.es.indices.delete(index=name)
    held.es.snapshot.restore(repository=repository, snapshot="s1", indices=name, wait_for_completion=True)
    assert run(held).code == 3
    assert held.count("logs-a") == 1
    assert held.is_gone("logs-b")
    (text,) = findings(held)
    assert name in text
    assert "gone" not in text


def test_a_held_index_that_somebody_deletes_is_a_finding(held: Workbench) -> None:
    index(held, "logs-a")
    index(held, "logs-b")
    held.ready()
    hold(held, "--category", "logs")
    held.es.indices.delete(index=f"{held.prefix}logs-b")
    run(held)
    assert "1 of its indices is gone" in findings(held)[0]


# --- subjects -----------------------------------------------------------------------------------------


def test_a_subject_that_the_policy_cannot_name_any_more_keeps_its_indices_whole(held: Workbench) -> None:
    index(held, "logs-a", log("14"), log("15"))
    index(held, "logs-b", log("15"))
    held.ready()
    hold(held, "--application", "14")
    held.policy_text = policy(("logs", "logs-*"), subjects="application: app")
    accept_unasked(held)
    assert run(held).code == 3
    assert held.count("logs-a") == 2
    assert held.is_gone("logs-b")
    assert "logs-a" in findings(held)[0]


def test_one_hold_on_a_subject_keeps_nothing_for_another_that_was_removed(held: Workbench) -> None:
    index(held, "logs-a", log("14"))
    index(held, "logs-b", log("15"))
    held.ready()
    hold(held, "--application", "15")
    hold(held, "--application", "14")
    ids = [one["id"] for one in held.run("hold", "list", "--output", "json").json if one["application"] == "14"]
    assert run(held).code == 3
    assert held.run("hold", "remove", ids[0]).code == 0
    ran = run(held)
    assert held.is_gone("logs-a"), ran.err
    assert held.count("logs-b") == 1


def test_what_is_held_is_spared_by_a_termination_too(held: Workbench) -> None:
    case = held.prefix + "case42"
    index(held, "logs-a", log("14", age=DAY), aliases={case: {}})
    held.ready()
    held.settings["ENFORCER_GRACE"] = "0s"
    assert held.run("policy", "accept").code == 0
    hold(held, "--index", case)
    held.es.indices.delete_alias(index=f"{held.prefix}logs-a", name=case)
    assert held.run("erase", "--application", "14").code == 0
    run(held)
    assert held.count("logs-a") == 1


# --- edits of the policy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "after",
    [
        (("boxes", "logs-*"),),
        (("logs", "logs-b"), ("boxes", "logs-a*")),
    ],
    ids=["the category has another id", "an index belongs to another category"],
)
def test_a_category_that_is_called_otherwise_leaves_nothing_to_be_deleted(
    held: Workbench, after: tuple[tuple[str, str], ...]
) -> None:
    index(held, "logs-a")
    held.ready()
    hold(held, "--category", "logs")
    held.policy_text = policy(*after)
    accept_unasked(held)
    assert run(held).code == 3
    assert held.count("logs-a") == 1
    assert findings(held)


def test_a_policy_that_voids_a_hold_is_not_accepted_until_the_hold_is_moved(held: Workbench) -> None:
    index(held, "logs-a")
    held.ready()
    old = hold(held, "--category", "logs")
    held.policy_text = policy(("boxes", "logs-*"))
    refused = held.run("policy", "accept")
    assert refused.code == 4
    assert old in refused.err
    assert "the policy has no category logs" in refused.err
    hold(held, "--category", "boxes")
    assert held.run("policy", "accept").code == 4, "the old one still stands"
    assert held.run("hold", "remove", old).code == 0
    assert held.run("policy", "accept").code == 0
    assert run(held).code == 3
    assert held.count("logs-a") == 1


def test_nor_is_one_that_the_environment_accepts(held: Workbench) -> None:
    def accepting() -> None:
        shown = held.run("policy", "show", "--output", "json").json
        held.settings["ENFORCER_ACCEPT_POLICY"] = shown["fingerprint"]

    assert held.run("setup", "--indices-only").code == 0
    accepting()
    index(held, "logs-a")
    old = hold(held, "--category", "logs")
    assert run(held).code == 3
    held.policy_text = policy(("journals", "logs-*"))
    accepting()
    index(held, "logs-b")  # no run has seen that the hold covers it
    refused = run(held)
    assert refused.code == 4
    assert "the policy has no category logs" in refused.err
    assert (held.count("logs-a"), held.count("logs-b")) == (1, 1)
    hold(held, "--category", "journals")
    assert held.run("hold", "remove", old).code == 0
    assert run(held).code == 3
    assert (held.count("logs-a"), held.count("logs-b")) == (1, 1)


def test_a_name_that_moved_on_without_the_policy_does_not_keep_one_from_being_accepted(held: Workbench) -> None:
    case = held.prefix + "case42"
    index(held, "logs-a", aliases={case: {}})
    held.ready()
    hold(held, "--index", case)
    held.es.indices.delete_alias(index=f"{held.prefix}logs-a", name=case)
    assert held.run("policy", "accept").code == 0


@pytest.mark.parametrize(
    ("target", "after"),
    [
        (("--category", "logs"), policy(("logs", "logs-b*"), ("boxes", "logs-a*"))),
        (("--index", "logs-a"), policy(("logs", "logs-b*"))),
        (("--application", "14"), policy(("logs", "logs-*"), subjects="application: app")),
    ],
    ids=["an index changes its category", "an index is claimed by none", "a subject's field is another"],
)
def test_each_kind_of_hold_that_an_edit_would_void_stops_it(
    held: Workbench, target: tuple[str, str], after: str
) -> None:
    index(held, "logs-a")
    held.ready()
    option, name = target
    id_ = hold(held, option, held.prefix + name if option == "--index" else name)
    held.policy_text = after
    refused = held.run("policy", "accept")
    assert (refused.code, id_ in refused.err) == (4, True), refused.err
    assert held.run("hold", "remove", id_).code == 0
    assert held.run("policy", "accept").code == 0
