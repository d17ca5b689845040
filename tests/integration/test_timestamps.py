"""Documents of which nobody can tell how old they are: what is said of them, and that nothing goes by it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from elasticsearch import BadRequestError

from customers import of
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.domain.instants import DAY, format_instant
from workbench import Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 4s
categories:
  - id: logs
    clause: {{document: Test promises, section: "1", item: logs, updated: 2026-01-01}}
    indices: ["{prefix}logs-*"]
    subjects: {{application: sdkappid, user: user_id}}
    max_age: 6s
    rollover: 1s
"""
DUE_SECONDS, LIMIT_SECONDS = 2.2, 6.2
"""From an index's creation on, until it is due, and until its age is past the limit."""

DATE = {"type": "date"}
TIMES = {"properties": {"time": {"type": "date"}, "sdkappid": {"type": "keyword"}}}


@pytest.fixture
def short(bench: Workbench) -> Workbench:
    """An enforcer of a limit of seconds."""
    bench.policy_text = POLICY
    bench.settings |= {"ENFORCER_INTERVAL": "1s"}
    return bench


def misspelled(bench: Workbench) -> Workbench:
    bench.policy_text = bench.policy_text.replace("    max_age:", "    timestamp: tiem\n    max_age:")
    return bench


def now() -> int:
    return SystemClock().now()


def write(bench: Workbench, name: str, *documents: dict[str, Any], **body: Any) -> None:
    if not bench.es.indices.exists(index=bench.prefix + name):
        bench.index(name, [], **body)
    for document in documents:
        bench.es.index(index=bench.prefix + name, document=document)
    bench.es.indices.refresh(index=bench.prefix + name)


def report(bench: Workbench) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Return whether the logs are kept, and the findings about them by their kind."""
    found = bench.run("report", "--output", "json").json
    (row,) = [category for category in found["categories"] if category["id"] == "logs"]
    return row["kept"], {finding["kind"]: finding for finding in found["findings"] if finding["id"] in row["findings"]}


# --- a field that no document has ---------------------------------------------------------------------


def test_nothing_goes_by_a_timestamp_that_no_document_has(short: Workbench) -> None:
    misspelled(short).ready()
    write(short, "logs-a", {"time": now(), "sdkappid": "A1"}, mappings=TIMES)
    write(short, "logs-b", {"time": now()}, mappings=TIMES)
    time.sleep(DUE_SECONDS)

    assert [short.run("run", "--once").code for _ in range(3)] == [3, 3, 3]

    assert [short.count("logs-a"), short.count("logs-b")] == [1, 1]
    kept, findings = report(short)
    assert not kept
    assert "no document of logs has tiem" in findings["timestamp-absent"]["text"]
    assert "timestamp: time" in findings["timestamp-absent"]["remedy"]


def test_check_and_accept_say_that_no_document_has_the_timestamp_and_what_is_likely_meant(short: Workbench) -> None:
    misspelled(short)
    assert short.run("setup", "--indices-only").code == 0
    write(short, "logs-a", {"time": now()}, mappings=TIMES)

    accepted = short.run("policy", "accept")
    assert accepted.code == 0
    assert "none with tiem" in accepted.err
    assert "timestamp: time" in accepted.err

    checked = short.run("check", "--output", "json")
    assert checked.code != 0
    (wrong,) = [check for check in checked.json if check["name"] == "timestamp of logs"]
    assert "none with tiem" in wrong["text"]
    assert "timestamp: time" in json.dumps(wrong)


def test_one_index_without_the_timestamp_stays_and_the_others_go_by_it(short: Workbench) -> None:
    short.ready()
    write(short, "logs-a", {"@timestamp": now() - DAY})
    write(short, "logs-b", {"time": now() - DAY}, mappings=TIMES)
    short.stop_the_clock()
    short.later(DUE_SECONDS)

    assert short.run("run", "--once").code == 3
    assert short.run("run", "--once").code == 3

    assert [short.count("logs-a"), short.count("logs-b")] == [None, 1]
    kept, findings = report(short)
    assert not kept
    assert findings["timestamp-absent"]["index"] == short.prefix + "logs-b"


def test_a_timestamp_that_a_mapping_has_and_no_document_is_as_good_as_none(short: Workbench) -> None:
    short.ready()
    both = {"properties": {**TIMES["properties"], "@timestamp": {"type": "date"}}}
    write(short, "logs-a", {"time": now()}, mappings=both)
    short.stop_the_clock()
    short.later(DUE_SECONDS)

    assert [short.run("run", "--once").code for _ in range(2)] == [3, 3]

    assert short.count("logs-a") == 1
    assert "timestamp: time" in report(short)[1]["timestamp-absent"]["remedy"]


def test_an_empty_index_without_the_timestamp_is_no_fault_and_goes_by_its_own_age(short: Workbench) -> None:
    short.settings["ENFORCER_LIFECYCLE"] = "direct"  # that no lifecycle keeps a promise of seconds is a finding
    misspelled(short).ready()
    short.index("logs-a", [], mappings=TIMES)
    short.stop_the_clock()
    assert report(short) == (True, {})
    short.later(LIMIT_SECONDS)
    assert short.run("run", "--once").code == 0
    assert short.is_gone("logs-a")


# --- a timestamp that is not what was written ---------------------------------------------------------


@pytest.mark.parametrize(
    ("mappings", "field", "why"),
    [
        ({"runtime": {"@timestamp": {"type": "date"}}, "properties": {"@timestamp": DATE}}, "@timestamp", "a runtime"),
        ({"properties": {"@timestamp": DATE | {"null_value": "2026-01-01"}}}, "@timestamp", "has a null_value"),
        (
            {
                "runtime": {"event.time": {"type": "date"}},
                "properties": {"ts": {"type": "alias", "path": "event.time"}, "event": {"properties": {"time": DATE}}},
            },
            "ts",
            "a runtime",
        ),
        (
            {
                "runtime": {
                    "event": {
                        "type": "composite",
                        "script": "emit(['time': '2020-01-01'])",
                        "fields": {"time": {"type": "date"}},
                    }
                },
                "properties": {"event": {"properties": {"time": DATE}}},
            },
            "event.time",
            "a runtime",
        ),
    ],
    ids=["shadowed", "null value", "shadowed behind an alias", "shadowed by one of a group"],
)
def test_a_timestamp_that_is_not_what_was_written_is_refused(
    bench: Workbench, mappings: dict[str, Any], field: str, why: str
) -> None:
    bench.policy_text = bench.policy_text.replace("rollover: 1d", f'rollover: 1d\n    timestamp: "{field}"', 1)
    try:
        bench.index("logs-a", [], mappings=mappings)
    except BadRequestError as error:
        if "script_lang not supported" not in str(error):
            raise
        pytest.skip("this server has no scripts")
    dates = {"@timestamp": DATE, "ts": DATE, "event": {"properties": {"time": DATE}}}
    bench.index("logs-b", [], mappings={"properties": dates})
    for name in ("logs-a", "logs-b"):
        document = {"event": {"time": now() - 20 * DAY}} if field == "ts" and name == "logs-a" else {field: now()}
        write(bench, name, document)
    bench.ready()

    assert bench.run("run", "--once").code == 3

    assert bench.count("logs-a") == 1
    kept, findings = report(bench)
    assert not kept
    assert findings["timestamp-type"]["index"] == bench.prefix + "logs-a"
    assert why in findings["timestamp-type"]["text"]


def test_an_earliest_by_which_what_is_past_the_limit_is_not_believed_is_refused(bench: Workbench) -> None:
    day = format_instant(now() - 2 * DAY)[:10]
    bench.policy_text = bench.policy_text.replace("margin: 1h", f"margin: 1h\nearliest: {day}")
    for command in (("policy", "accept"), ("plan",), ("check",)):
        ran = bench.run(*command)
        assert ran.code == 2
        assert "policy.yaml:4: earliest: " in ran.err
        assert "earliest" in ran.err


# --- what else is known of such an index --------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "value"),
    [({"type": "keyword"}, "yesterday"), ({"type": "date"}, ["2026-01-01", "2026-01-02"]), (None, None)],
    ids=["no date", "several", "absent"],
)
def test_a_subject_is_purged_from_an_index_whose_documents_have_no_age(
    tenants: Workbench, mapping: dict[str, str] | None, value: Any
) -> None:
    fields = {"sdkappid": {"type": "keyword"}, "user_id": {"type": "keyword"}, "@timestamp": mapping}
    mappings = {"properties": {name: body for name, body in fields.items() if body is not None}}
    tenants.index("logs-b", [], mappings=mappings)
    stamp = {} if value is None else {"@timestamp": value}
    write(tenants, "logs-b", {"sdkappid": "31", **stamp}, {"sdkappid": "32", **stamp})

    asked = tenants.run("erase", "--application", "31")
    assert "logs: 1 document now" in asked.out
    assert tenants.run("run", "--once").code == 3, "the category is not kept"

    assert of(tenants, "logs-b") == ["32"]
    (certificate,) = tenants.run("certificate", "--application", "31", "--output", "json").json
    # Its files are cleaned later: nothing waits for that here.
    open_items = [item for item in certificate["open_items"] if item["kind"] != "erasure"]
    assert not [item for item in open_items if "logs-b" in item["text"]]


def test_what_cannot_be_told_is_not_said_to_be_nothing(tenants: Workbench) -> None:
    nested = {"properties": {"who": {"type": "nested", "properties": {"sdkappid": {"type": "keyword"}}}}}
    tenants.policy_text = tenants.policy_text.replace(
        "subjects: {{application: sdkappid, user: user_id}}", "subjects: {{application: who.sdkappid}}"
    )
    tenants.es.indices.delete(index=tenants.prefix + "logs-a")
    write(tenants, "logs-b", {"who": [{"sdkappid": "31"}]}, mappings=nested)
    assert tenants.run("policy", "accept").code == 0

    asked = tenants.run("erase", "--application", "31")
    assert asked.code == 0
    assert "logs: an unknown number of documents now" in asked.out
    assert "configuration: 0 documents now" in asked.out
    assert "who.sdkappid is in nested documents" in asked.err
    assert "no matching documents" not in asked.err

    tenants.run("run", "--once")
    (certificate,) = tenants.run("certificate", "--application", "31", "--output", "json").json
    assert (certificate["found_now"]["logs"], certificate["found_now"]["configuration"]) == (None, 0)
    assert certificate["looked_in"]["logs"] == 0
    assert "logs: unknown" in " ".join(tenants.run("certificate", "--application", "31").out.split())


def test_the_ledger_does_not_count_what_nobody_could_read(bench: Workbench) -> None:
    bench.index("logs-a", [now()])
    bench.ready()
    assert bench.run("run", "--once").code == 0
    bench.es.indices.close(index=bench.prefix + "logs-a")
    bench.run("run", "--once")
    proofs = [r.get("evidence", {}) for r in bench.records() if r["kind"] == "proof" and r["category"] == "logs"]
    assert [proof.get("documents") for proof in proofs] == [1, None]

    bench.es.indices.open(index=bench.prefix + "logs-a")
    bench.run("run", "--once")
    bench.es.indices.close(index=bench.prefix + "logs-a")
    bench.max_age = "15d"
    assert bench.run("policy", "accept").code == 0
    bench.run("run", "--once")
    bench.es.indices.delete(index=bench.prefix + "logs-a")
    bench.run("run", "--once")
    (gone,) = [r for r in bench.records() if r.get("action") == "observed_deletion"]
    assert "documents" not in gone.get("evidence", {})


# --- undated documents --------------------------------------------------------------------------------


def test_undated_documents_go_with_their_index_once_a_look_finds_nothing_written_since_the_last(
    short: Workbench,
) -> None:
    short.ready()
    write(short, "logs-a", {"@timestamp": now() - DAY}, {"sdkappid": "A1"})
    short.stop_the_clock()
    short.later(DUE_SECONDS)

    short.run("run", "--once")
    assert short.count("logs-a") == 1, "the first look cannot tell whether it was written to: the dated one goes alone"
    write(short, "logs-a", {"@timestamp": now() - DAY}, {"sdkappid": "A2"})
    short.run("run", "--once")
    assert short.count("logs-a") == 2, "it was written to since the last look"
    write(short, "logs-a", {"@timestamp": now() - DAY})
    short.run("run", "--once")
    write(short, "logs-b", {"@timestamp": 5, "sdkappid": "A3"})
    short.catch_up()  # the cluster's clock dates the new index
    short.later(DUE_SECONDS)
    short.run("run", "--once")
    assert short.is_gone("logs-a")
    assert short.count("logs-b") == 1
    short.run("run", "--once")
    assert short.is_gone("logs-b")


def test_it_is_not_kept_where_an_index_with_undated_documents_is_older_than_the_limit(short: Workbench) -> None:
    short.ready()
    write(short, "logs-a", {"@timestamp": now() + DAY}, {"@timestamp": now() + 3_000})
    short.stop_the_clock()
    assert report(short)[0]
    short.later(LIMIT_SECONDS)
    write(short, "logs-a", {"@timestamp": now()})
    assert not report(short)[0]
