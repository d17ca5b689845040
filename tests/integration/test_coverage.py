"""What no promise reaches, on a real server: found, named rightly, and none hiding another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backups import Backups
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, HOUR, format_instant
from workbench import MAPPING, FixedClock, Ran, Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
ignore: ["{prefix}metrics-*"]
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid, user: uin}}
    max_age: {max_age}
    rollover: 1d
  - id: aliases
    clause: {{document: Test promises, section: "2", item: aliases, updated: 2026-01-01}}
    indices: ["{prefix}reading", "{prefix}filtered"]
    max_age: {max_age}
  - id: media
    clause: {{document: Test promises, section: "3", item: media, updated: 2026-01-01}}
    indices: ["{prefix}media-*"]
    forbidden_fields: ["audio_data"]
    never_stored: true
"""
OLD = 20 * DAY
CLOSED, OPENED = "closed", "opened"


@pytest.fixture
def wide(bench: Workbench) -> Workbench:
    """A policy of a never-stored category, two aliases, and logs."""
    bench.policy_text = POLICY
    return bench


def now() -> int:
    return SystemClock().now()


def mapped(**fields: str) -> dict[str, Any]:
    properties = {"@timestamp": {"type": "date"}, **{name: {"type": type_} for name, type_ in fields.items()}}
    return {"properties": properties}


def store(bench: Workbench, name: str, *documents: dict[str, Any]) -> None:
    for document in documents:
        bench.es.index(index=bench.prefix + name, document=document, refresh=True)


def old_document() -> dict[str, Any]:
    return {"@timestamp": now() - OLD, "sdkappid": "1400000001", "uin": "1000001"}


def of_kind(report: Ran, kind: str, prefix: str) -> list[dict[str, Any]]:
    """The findings of one kind that speak of the test's own things."""
    found = [f for f in report.json["findings"] if f["kind"] == kind]
    return [f for f in found if prefix in f"{f['index']} {f['text']} {f['category']}" or f["category"]]


def kinds(report: Ran) -> set[str]:
    return {finding["kind"] for finding in report.json["findings"]}


# --- one of each --------------------------------------------------------------------------------------


@pytest.fixture
def one_of_each(wide: Workbench, backups: Backups) -> Iterator[Workbench]:
    """A cluster with one of each thing that can be wrong."""
    es, prefix = wide.es, wide.prefix
    wide.index("logs-old", [now() - OLD])
    wide.index("logs-fine", [now()])
    wide.index("billing", [now() - OLD], mappings=mapped(uin="keyword"))
    wide.index("metrics-cpu", [now()])

    wide.index("logs-source", [])
    store(wide, "logs-source", *[old_document()] * 3)
    wide.index("logs-saved", [])
    store(wide, "logs-saved", *[old_document()] * 2)
    repository = backups.repository("backups")
    es.snapshot.create(
        repository=repository,
        snapshot="first",
        indices=prefix + "logs-saved",
        include_global_state=False,
        wait_for_completion=True,
    )
    es.snapshot.restore(
        repository=repository,
        snapshot="first",
        indices=prefix + "logs-saved",
        rename_pattern="(.+)",
        rename_replacement=prefix + "restored",
        wait_for_completion=True,
    )
    es.indices.put_settings(index=prefix + "logs-source", settings={"index.blocks.write": True})
    es.indices.clone(index=prefix + "logs-source", target=prefix + "clone", settings={"index.blocks.write": None})
    es.indices.put_settings(index=prefix + "logs-source", settings={"index.blocks.write": None})
    backups.repository("damaged")
    es.snapshot.create(
        repository=prefix + "damaged", snapshot="any", indices=prefix + "billing", wait_for_completion=True
    )
    backups.damage(prefix + "damaged", "damaged")

    wide.index("logs-closed", [now() - OLD])
    es.indices.close(index=prefix + "logs-closed")
    wide.index("logs-undated", [None, None])
    wide.index("logs-keyword", [], mappings=mapped() | {"properties": {"@timestamp": {"type": "keyword"}}})
    store(wide, "logs-keyword", {"@timestamp": "yesterday"})
    wide.index("behind-1", [now() - OLD], aliases={prefix + "reading": {}}, mappings=mapped())
    filtered = {prefix + "filtered": {"filter": {"term": {"sdkappid": "nobody"}}}}
    wide.index("behind-2", [now() - OLD], aliases=filtered, mappings=mapped(sdkappid="keyword"))
    wide.index("media-1", [now(), now()])
    wide.index("logs-audio", [], mappings=mapped(audio_data="keyword", sdkappid="keyword"))
    store(wide, "logs-audio", {"@timestamp": now(), "audio_data": "abc"}, {"@timestamp": now()})
    wide.index("logs-binary", [], mappings=mapped(payload="binary"))
    store(wide, "logs-binary", {"@timestamp": now(), "payload": "AAEC"})
    wide.index("logs-held", [now() - OLD])
    for block in ("metadata", "read_only"):
        wide.index(f"logs-{block.replace('_', '-')}", [now() - OLD])
        es.indices.add_block(index=prefix + f"logs-{block.replace('_', '-')}", block=block)
    es.indices.create(
        index=prefix + "logs-red",
        settings={
            "number_of_shards": 1,
            "number_of_replicas": 0,
            "index.routing.allocation.require._name": "nobody",
        },
        mappings=MAPPING,
        wait_for_active_shards="0",
    )
    wide.ready()
    until = format_instant(now() + 10 * DAY)
    held = wide.run("hold", "add", "--index", prefix + "logs-held", "--owner", "x", "--reason", "y", "--until", until)
    assert held.code == 0, held.err
    yield wide
    es.indices.put_settings(index=prefix + "logs-metadata", settings={"index.blocks.metadata": None})


@pytest.mark.timeout(240)
def test_of_one_of_each_every_one_is_found_and_named_rightly_and_what_can_expire_expires(
    one_of_each: Workbench,
) -> None:
    bench, prefix = one_of_each, one_of_each.prefix
    ran = bench.run("run", "--once")
    assert ran.code == 3, ran.err
    assert "Traceback" not in ran.err
    gone = ("logs-old", "logs-source", "logs-saved")
    assert [bench.count(name) for name in gone] == [None] * len(gone)
    assert [bench.count(name) for name in ("logs-fine", "billing", "clone", "restored", "media-1")] == [1, 1, 3, 2, 2]
    report = bench.run("report", "--output", "json")
    assert report.code == 3
    assert report.json["notes"] == []
    _judge_governed(bench, report)
    _judge_the_rest(report, prefix)

    opened = [r for r in bench.records() if r["kind"] == "finding" and r["action"] == OPENED]
    assert bench.run("run", "--once").code == 3
    again = [r for r in bench.records() if r["kind"] == "finding" and r["action"] == OPENED]
    assert again == opened, "a restart opens nothing anew"
    _remedy_everything(bench)
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err
    closed = {r["reason"] for r in bench.records() if r["kind"] == "finding" and r["action"] == CLOSED}
    last = bench.run("report", "--output", "json")
    assert {r["reason"].split()[0] for r in opened} <= closed | {f["id"] for f in last.json["findings"]}
    assert kinds(last) <= {"unclaimed", "not-looked-into", "deleted-by-others"}, "what a shared server has besides"
    # What was put right by deleting it is told for a day.
    assert prefix not in str([f for f in last.json["findings"] if f["kind"] != "deleted-by-others"])


def _judge_governed(bench: Workbench, report: Ran) -> None:
    prefix = bench.prefix

    def index_of(kind: str) -> set[str]:
        return {str(f["index"]).removeprefix(prefix) for f in of_kind(report, kind, prefix)}

    assert index_of("closed") == {"logs-closed"}
    assert index_of("timestamp-absent") == {"logs-undated"}
    assert index_of("timestamp-type") == {"logs-keyword"}
    assert index_of("alias-named") == {"reading", "filtered"}
    assert index_of("never-stored") == {"media-1"}
    assert index_of("forbidden-field") == {"logs-audio", "logs-binary"}
    assert index_of("blocked") == {"logs-read-only"}
    assert bench.es.count(index=prefix + "logs-metadata")["count"] == 0, (
        "its index may not be deleted, its documents may"
    )
    assert index_of("unassigned") == {"logs-red"}
    (audio,) = [f for f in of_kind(report, "forbidden-field", prefix) if f["index"] == prefix + "logs-audio"]
    assert "audio_data (keyword) in 1 document" in audio["text"]
    (held,) = of_kind(report, "held", prefix)
    assert held["category"] == "logs"
    assert "1 due document in 1 index, the oldest 20 d old" in held["text"]


def _judge_the_rest(report: Ran, prefix: str) -> None:
    (copies,) = of_kind(report, "suspected-copy", prefix)
    assert copies["category"] == "logs"
    assert "2 indices outside the policy" in copies["text"]
    assert f"{prefix}clone" in copies["text"]
    assert f"{prefix}restored (made from {prefix}logs-saved)" in copies["text"]
    assert "5 of them past the limit of 14d, the first since" in copies["text"]
    (unclaimed,) = of_kind(report, "unclaimed", prefix)
    assert f"{prefix}billing" in unclaimed["text"]
    assert f"{prefix}clone" not in unclaimed["text"]
    assert f"{prefix}metrics-cpu" not in unclaimed["text"]
    (unreadable,) = of_kind(report, "repository-unreadable", prefix)
    assert prefix + "damaged" in unreadable["text"]
    (expired,) = of_kind(report, "snapshot-expired", prefix)
    assert "first" in expired["text"]
    assert "logs" in expired["text"]
    placed = {i["index"].removeprefix(prefix): i["standing"] for i in report.json["indices"]}
    assert placed["billing"] == placed["clone"] == "unclaimed"
    assert (placed["metrics-cpu"], placed["logs-red"], placed["logs-closed"]) == ("ignored", "governed", "governed")


def _remedy_everything(bench: Workbench) -> None:
    es, prefix = bench.es, bench.prefix
    es.snapshot.delete(repository=prefix + "backups", snapshot="first")
    es.snapshot.delete_repository(name=prefix + "damaged")
    (hold,) = bench.run("hold", "list", "--output", "json").json
    assert bench.run("hold", "remove", hold["id"]).code == 0
    for name in ("logs-metadata", "logs-read-only"):
        block = "metadata" if name.endswith("metadata") else "read_only"
        es.indices.put_settings(index=prefix + name, settings={f"index.blocks.{block}": None})
    doomed = ("clone", "restored", "billing", "logs-undated", "logs-keyword", "logs-audio", "logs-binary", "logs-red")
    for name in (*doomed, "behind-1", "behind-2"):
        es.indices.delete(index=prefix + name)
    es.indices.open(index=prefix + "logs-closed", wait_for_active_shards="1")
    assert bench.run("erase", "--category", "media", "--confirm").code == 0


# --- what must never be stored ------------------------------------------------------------------------


def test_what_must_never_be_stored_goes_only_on_an_order_and_is_recorded(wide: Workbench) -> None:
    wide.index("media-1", [now()] * 3)
    wide.index("logs-audio", [], mappings=mapped(audio_data="keyword"))
    store(wide, "logs-audio", {"@timestamp": now(), "audio_data": "abc"}, {"@timestamp": now()})
    wide.ready()
    ran = wide.run("run", "--once")
    assert ran.code == 3
    assert "3 documents that must never be stored" in ran.err
    refused = wide.run("erase", "--category", "media")
    assert refused.code == 2
    assert "erase 4 documents in 2 indices" in refused.err
    assert wide.run("run", "--once").code == 3
    assert (wide.count("media-1"), wide.count("logs-audio")) == (3, 2)

    ordered = wide.run("erase", "--category", "media", "--confirm")
    assert ordered.code == 0, ordered.err
    wide.index("media-2", [now()])
    ran = wide.run("run", "--once")
    assert (wide.count("media-1"), wide.count("media-2"), wide.count("logs-audio")) == (None, 1, 1)
    assert ran.code == 3, "what came after the order is not covered by it"
    erased = [r for r in wide.records() if r["kind"] == "outcome" and r.get("category") == "media"]
    assert sorted((r["action"], r["outcome"], r["evidence"]["documents"]) for r in erased) == [
        ("delete_documents", "done", 1),
        ("delete_index", "done", 3),
    ]


def test_an_order_counts_once(wide: Workbench) -> None:
    wide.index("logs-audio", [], mappings=mapped(audio_data="keyword"))
    store(wide, "logs-audio", {"@timestamp": now(), "audio_data": "abc"})
    wide.ready()
    assert wide.run("erase", "--category", "media", "--confirm").code == 0
    assert wide.run("run", "--once").code == 0
    store(wide, "logs-audio", {"@timestamp": now(), "audio_data": "def"})
    assert wide.run("run", "--once").code == 3
    assert wide.count("logs-audio") == 1


def test_an_order_is_void_under_another_policy(wide: Workbench) -> None:
    wide.index("media-1", [now()] * 3)
    wide.ready()
    assert wide.run("erase", "--category", "media", "--confirm").code == 0
    wide.settings["ENFORCER_MAX_SHARE"] = "0.4"
    assert wide.run("policy", "accept").code == 0
    assert wide.run("run", "--once").code == 3
    assert wide.count("media-1") == 3


@pytest.mark.parametrize("category", ["logs", "nothing", "*"])
def test_nothing_but_what_must_never_be_stored_can_be_erased_like_that(wide: Workbench, category: str) -> None:
    wide.ready()
    ran = wide.run("erase", "--category", category, "--confirm")
    assert ran.code == 2
    assert "use one of: media" in ran.err


@pytest.mark.parametrize(
    ("mapping", "value", "expected"),
    [
        ({"type": "keyword"}, "abc", "in 1 document"),
        ({"type": "keyword", "ignore_above": 2}, "abc", "in 1 document"),
        ({"type": "text"}, "abc", "in 1 document"),
        ({"type": "binary", "doc_values": True}, "AAEC", "in 1 document"),
        ({"type": "binary"}, "AAEC", "any of 1 document may contain it"),
        ({"type": "keyword", "index": False, "doc_values": False}, "abc", "any of 1 document may contain it"),
        ({"type": "object", "enabled": False}, {"x": 1}, "any of 1 document may contain it"),
        ({"type": "nested", "properties": {"x": {"type": "long"}}}, [{"x": 1}], "any of 1 document may contain it"),
        ({"properties": {"x": {"type": "keyword"}}}, {"x": "y"}, "in 1 document"),
    ],
    ids=str,
)
def test_a_forbidden_field_is_an_alarm_however_it_is_mapped(
    wide: Workbench, mapping: dict[str, Any], value: object, expected: str
) -> None:
    wide.index("logs-a", [], mappings={"properties": {"@timestamp": {"type": "date"}, "audio_data": mapping}})
    wide.ready()
    assert wide.run("run", "--once").code == 0, "a mapping without documents is no broken promise"
    assert "forbidden-field" in kinds(wide.run("report", "--output", "json"))
    store(wide, "logs-a", {"@timestamp": now(), "audio_data": value})
    report = wide.run("report", "--output", "json")
    assert report.code == 3
    (finding,) = [f for f in report.json["findings"] if f["kind"] == "forbidden-field"]
    assert (finding["category"], finding["severity"], finding["index"]) == ("media", "error", wide.prefix + "logs-a")
    assert expected in finding["text"]


def test_a_field_that_only_sounds_forbidden_is_none(wide: Workbench) -> None:
    wide.index("logs-a", [], mappings=mapped(audio_data_rate="long", no_audio_data="keyword"))
    store(wide, "logs-a", {"@timestamp": now(), "audio_data_rate": 3, "no_audio_data": "x"})
    wide.ready()
    assert "forbidden-field" not in kinds(wide.run("report", "--output", "json"))


def test_an_order_takes_nothing_of_a_category_that_only_forbids_fields(wide: Workbench) -> None:
    never = "    never_stored: true\n"
    wide.policy_text = wide.policy_text.replace(never, "    after_termination: 7d\n")
    wide.index("media-1", [now()] * 3)
    wide.index("logs-audio", [], mappings=mapped(audio_data="keyword"))
    store(wide, "logs-audio", {"@timestamp": now(), "audio_data": "abc"}, {"@timestamp": now()})
    wide.ready()
    assert "1 document in 1 index" in wide.run("erase", "--category", "media").err
    assert wide.run("erase", "--category", "media", "--confirm").code == 0
    wide.run("run", "--once")
    assert (wide.count("media-1"), wide.count("logs-audio")) == (3, 1)


def test_an_order_releases_nothing_else_that_the_fuse_refuses(wide: Workbench) -> None:
    mappings = mapped(audio_data="keyword")
    wide.index("logs-a", [now() - OLD] * 900 + [now()] * 300, mappings=mappings)
    store(wide, "logs-a", {"@timestamp": now(), "audio_data": "abc"})
    wide.ready()
    assert wide.run("run", "--once").code == 4
    assert wide.run("erase", "--category", "media", "--confirm").code == 0
    assert wide.run("run", "--once").code == 4
    assert wide.count("logs-a") == 1_200


def test_a_field_with_a_wildcard_in_its_name_takes_no_other_with_it(wide: Workbench) -> None:
    properties = {"sdk*": {"type": "binary", "doc_values": True}, "sdkappid": {"type": "keyword"}}
    wide.index("logs-a", [], mappings={"properties": {"@timestamp": {"type": "date"}, **properties}})
    store(wide, "logs-a", *[{"@timestamp": now(), "sdkappid": "1"}] * 3)
    wide.ready()
    assert "there is nothing to erase" in wide.run("erase", "--category", "media", "--confirm").out
    wide.run("run", "--once")
    assert wide.count("logs-a") == 3


def test_an_index_that_must_not_exist_is_erased_once_although_it_has_a_forbidden_field_too(wide: Workbench) -> None:
    wide.index("media-1", [], mappings=mapped(audio_data="keyword"))
    store(wide, "media-1", *[{"@timestamp": now(), "audio_data": "abc"}] * 3)
    wide.ready()
    assert "3 documents in 1 index" in wide.run("erase", "--category", "media").err
    assert wide.run("erase", "--category", "media", "--confirm").code == 0
    assert wide.run("run", "--once").code == 0
    outcomes = [r["outcome"] for r in wide.records() if r["kind"] == "outcome"]
    assert outcomes == ["done"]


def test_the_last_index_of_an_alias_is_emptied_on_an_order(wide: Workbench) -> None:
    wide.index("media-1", [now()] * 3, aliases={wide.prefix + "reading": {}})
    wide.ready()
    assert wide.run("erase", "--category", "media", "--confirm").code == 0
    wide.run("run", "--once")
    assert wide.count("media-1") == 0


# --- copies -------------------------------------------------------------------------------------------


def test_a_reindexed_copy_is_known_by_its_content(wide: Workbench) -> None:
    properties = {"@timestamp": {"type": "date"}, "sdkappid": {"type": "text"}, "uin": {"type": "keyword"}}
    wide.index("elsewhere", [], mappings={"properties": {**properties, "more": {"type": "long"}}})
    store(wide, "elsewhere", old_document())
    wide.index("only-a-date", [now() - OLD], mappings=mapped(uin="keyword"))
    wide.ready()
    assert wide.run("run", "--once").code == 0, "a copy changes no verdict"
    assert wide.count("elsewhere") == 1
    report = wide.run("report", "--output", "json")
    (copy,) = of_kind(report, "suspected-copy", wide.prefix)
    assert "1 index outside the policy seems to contain documents of logs" in copy["text"]
    assert "1 of them past the limit" in copy["text"]


def test_a_copy_whose_timestamp_is_no_date_is_one_of_unknown_age(wide: Workbench) -> None:
    wide.index(
        "elsewhere", [], mappings={"dynamic": False, "properties": {n: {"type": "keyword"} for n in old_document()}}
    )
    store(wide, "elsewhere", {**old_document(), "@timestamp": "then"})
    wide.ready()
    (copy,) = of_kind(wide.run("report", "--output", "json"), "suspected-copy", wide.prefix)
    assert "1 document, of unknown age" in copy["text"]


def test_an_empty_copy_and_an_ignored_one_are_no_findings(wide: Workbench) -> None:
    wide.index("elsewhere", [])
    wide.index("metrics-logs", [])
    store(wide, "metrics-logs", old_document())
    wide.ready()
    assert of_kind(wide.run("report", "--output", "json"), "suspected-copy", wide.prefix) == []


def test_an_index_outside_that_nobody_can_look_into_is_told(wide: Workbench) -> None:
    wide.index("shut", [now()])
    wide.es.indices.close(index=wide.prefix + "shut")
    wide.ready()
    assert wide.run("run", "--once").code == 0
    report = wide.run("report", "--output", "json")
    assert report.code == 0
    (finding,) = of_kind(report, "not-looked-into", wide.prefix)
    assert f"{wide.prefix}shut" in finding["text"]


# --- categories that match nothing --------------------------------------------------------------------


def test_a_category_that_matches_nothing_for_more_than_a_day_is_a_finding_until_it_does(wide: Workbench) -> None:
    wide.index("logs-a", [now()])
    wide.index("behind", [now()], aliases={wide.prefix + "reading": {}})
    wide.policy_text = wide.policy_text.replace('"{prefix}reading", "{prefix}filtered"', '"{prefix}records"')
    wide.ready()
    assert wide.run("run", "--once").code == 0
    assert "matches-nothing" not in kinds(wide.run("report", "--output", "json"))
    body = wide.es.get(index=wide.own.state, id="coverage")["_source"]
    since = body["body"]["nothing_since"]
    assert set(since) == {"aliases"}, "never of what must never be stored"
    body["body"]["nothing_since"] = {"aliases": since["aliases"] - DAY - HOUR}
    wide.es.index(index=wide.own.state, id="coverage", document=body, refresh=True)
    ran = wide.run("run", "--once")
    assert ran.code == 0
    assert f"no index has matched {wide.prefix}records for 1 d 1 h" in ran.err
    wide.index("records", [now()])
    wide.run("run", "--once")
    assert "matches-nothing" not in kinds(wide.run("report", "--output", "json"))


# --- without own indices ------------------------------------------------------------------------------


def test_plan_mode_and_report_look_past_the_policy_without_own_indices(wide: Workbench) -> None:
    wide.index("billing", [now()], mappings=mapped())
    wide.settings["ENFORCER_MODE"] = "plan"
    ran = wide.run("run", "--once")
    assert ran.code == 0
    assert f"{wide.prefix}billing" in ran.err
    assert "unclaimed" in kinds(wide.run("report", "--output", "json"))


def test_a_tenants_name_stands_in_no_log_and_no_record(wide: Workbench) -> None:
    tenant = "logs-x-{application}-logs"
    wide.policy_text = wide.policy_text.replace(
        '"{prefix}logs-*"', f'"{{prefix}}{tenant.replace("{", "{{").replace("}", "}}")}"'
    )
    wide.index("copy-of-logs-x-1400009999-logs", [])
    full = f"{wide.prefix}copy-of-{wide.prefix}logs-x-1400009999-logs"
    wide.es.indices.create(index=full, mappings=MAPPING, settings={"number_of_replicas": 0})
    wide.es.index(index=full, document=old_document(), refresh=True)
    wide.ready()
    ran = wide.run("run", "--once", clock=FixedClock(ahead=0))
    assert "suspected-copy" in ran.err
    assert f"{wide.prefix}logs-x-1400009999" not in ran.err
    assert f"{wide.prefix}logs-x-1400009999" not in str(wide.records())
