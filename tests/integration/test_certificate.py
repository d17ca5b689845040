"""Certificates on a real server: final only when nothing is left anywhere that can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch

from backups import Backups
from customers import MAPPING, add, index, move, now
from lifecycle_bench import eventually
from retention_enforcer.domain.instants import DAY, format_instant, parse_instant
from workbench import Ran, Workbench


def certificate(bench: Workbench, *subject: str) -> tuple[Ran, dict[str, Any]]:
    ran = bench.run("certificate", *(subject or ("--application", "1")), "--output", "json")
    return ran, ran.json[0] if ran.out else {}


def open_kinds(found: dict[str, Any]) -> set[str]:
    return {item["kind"] for item in found["open_items"]}


def test_what_is_elsewhere_is_an_open_item(tenants: Workbench, backups: Backups) -> None:
    index(tenants, "other", {"sdkappid": "1"}, {"sdkappid": "11"})
    index(tenants, "text", mappings={"properties": {**MAPPING["properties"], "sdkappid": {"type": "text"}}})
    backups.repository()
    backups.take(f"{tenants.prefix}backups", "before")
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    _, found = certificate(tenants)
    texts = " ".join(item["text"] for item in found["open_items"])
    assert f"{tenants.prefix}other, outside the policy, has 1 document of the subject" in texts
    assert f"{tenants.prefix}text, outside the policy, could not be searched" in texts
    assert "was taken before the erasure was complete: it stays until somebody deletes it" in texts
    assert "copy" in open_kinds(found)


def test_where_the_policy_governs_no_index_nothing_of_copies_is_in_doubt(tenants: Workbench) -> None:
    for name in [n for n in tenants.es.indices.get(index=f"{tenants.prefix}*") if "retention-" not in n]:
        tenants.es.indices.delete(index=name)
    assert tenants.run("erase", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    assert "copies" not in " ".join(item["text"] for item in certificate(tenants)[1]["open_items"])


def test_what_nobody_can_look_into_counts_only_where_its_mapping_leaves_room(
    tenants: Workbench, es: Elasticsearch
) -> None:
    plain = {"properties": {"message": {"type": "text"}, "host": {"properties": {"name": {"type": "keyword"}}}}}
    room = {
        "roomless": plain,
        "strict": {**plain, "dynamic": "strict"},
        "named": {"properties": {**plain["properties"], "sdkappid": {"type": "keyword"}}},
        "unindexed": {**plain, "dynamic": False},
        "runtime": {**plain, "runtime": {"sdkappid": {"type": "keyword"}}},
        "dotted": {"subobjects": False, "properties": {"labels.sdkappid": {"type": "keyword"}}},
        "hidden": {**plain, "enabled": False},
    }
    for name, mappings in room.items():
        index(tenants, name, mappings=mappings)
        es.indices.close(index=tenants.prefix + name)
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    _, found = certificate(tenants)
    texts = " ".join(item["text"] for item in found["open_items"])
    named = {name for name in room if f"{tenants.prefix}{name}, outside the policy, could not be searched" in texts}
    assert named == room.keys() - {"roomless", "strict"}


def test_an_index_outside_in_which_the_field_has_no_room_is_not_in_doubt(tenants: Workbench) -> None:
    """A text stands where the policy's field has an object, or an object where it has a value: neither takes both."""
    keyword = {"type": "keyword"}
    tenants.policy_text = tenants.policy_text.replace("application: sdkappid", "application: app.id")
    tenants.policy_text += (
        "  - id: plain\n"
        "    clause: {{document: Test promises, section: '3', item: plain, updated: 2026-01-01}}\n"
        '    indices: ["{prefix}plain"]\n'
        "    subjects: {{application: service}}\n"
        "    after_termination: 7d\n"
    )
    rooms: dict[str, dict[str, Any]] = {
        "text": {"properties": {"app": {"type": "text"}}},
        "keyword": {"properties": {"app": keyword, "service": keyword}},
        "object": {"properties": {"service": {"properties": {"name": keyword}}}},
        "takes-anything": {"properties": {"service": {"type": "object", "enabled": False}}},
        "flattened": {"properties": {"app": {"type": "flattened"}}},
    }
    for closed in ("", "-closed"):
        for name, mappings in rooms.items():
            index(tenants, f"room-{name}{closed}", mappings=mappings)
            if closed:
                tenants.es.indices.close(index=f"{tenants.prefix}room-{name}{closed}")
    assert tenants.run("policy", "accept").code == 0
    assert tenants.run("erase", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    texts = [item["text"] for item in certificate(tenants)[1]["open_items"]]
    named = {name for name in rooms if any(f"{tenants.prefix}room-{name}, outside" in text for text in texts)}
    assert named == {"takes-anything", "flattened"}
    shut = {name for name in rooms if any(f"{tenants.prefix}room-{name}-closed, outside" in text for text in texts)}
    assert shut == named | {"keyword"}, "it may have the other field, and cannot be asked"


def test_an_id_stands_in_it_only_when_it_is_revealed(tenants: Workbench, tmp_path: Path) -> None:
    add(tenants, "keys", {"sdkappid": "CANARY7"})
    index(tenants, "copy-of-canary7", {"sdkappid": "CANARY7"})
    assert tenants.run("terminate", "--application", "CANARY7").code == 0
    assert tenants.run("run", "--once").code == 0
    page = tmp_path / "page.html"
    for output in ("table", "json"):
        ran = tenants.run("certificate", "--application", "CANARY7", "--output", output, "--html", str(page))
        assert "canary7" not in (ran.out + ran.err + page.read_text()).lower()
        ran = tenants.run(
            "certificate", "--application", "CANARY7", "--output", output, "--html", str(page), "--reveal"
        )
        assert "CANARY7" in ran.out
        assert "CANARY7" in page.read_text()


def test_of_somebody_who_never_asked_there_is_none(tenants: Workbench) -> None:
    assert tenants.run("certificate", "--application", "77").code == 2
    assert tenants.run("certificate", "--application", "a,b").code == 2
    assert tenants.run("certificate").code == 2


def test_categories_that_end_by_age_are_open_until_then(tenants: Workbench) -> None:
    assert tenants.run("erase", "--account", "100").code == 0
    assert tenants.run("run", "--once").code == 0
    _, found = certificate(tenants, "--account", "100")
    assert found["promises"] == [{"category": "on-request", "clause": "deletion on request", "limit": 7 * DAY // 1000}]
    assert len(found["applications"]) == 2
    assert found["found_now"]["logs"] == 0


def test_what_a_termination_leaves_to_its_age_is_open_until_then(tenants: Workbench) -> None:
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    ran, found = certificate(tenants)
    assert (ran.code, found["final"], open_kinds(found)) == (3, False, {"by-age", "erasure"})
    texts = [item["text"] for item in found["open_items"]]
    assert any(f"segment files of {tenants.prefix}keys (" in text for text in texts)
    assert all(tenants.prefix in text for text in texts if "segment files of" in text)
    (item,) = [item for item in found["open_items"] if item["kind"] == "by-age"]
    assert "logs has 2 documents of the subject" in item["text"]
    assert now() + 12 * DAY < parse_instant(item["until"]) <= now() + 14 * DAY
    tenants.es.indices.delete(index=f"{tenants.prefix}logs-a")
    assert tenants.run("run", "--once").code == 0, "which sees no node with a copy any more"
    assert open_kinds(certificate(tenants)[1]) <= {"erasure"}


def test_a_snapshot_of_what_a_termination_left_to_its_age_is_an_open_item(tenants: Workbench, backups: Backups) -> None:
    backups.repository()
    tenants.es.snapshot.create(
        repository=f"{tenants.prefix}backups",
        snapshot="before",
        indices=f"{tenants.prefix}logs-a",
        include_global_state=False,
        wait_for_completion=True,
    )
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    tenants.es.indices.delete(index=f"{tenants.prefix}logs-a")
    assert tenants.run("run", "--once").code == 0, "which sees no node with a copy any more"
    assert open_kinds(certificate(tenants)[1]) - {"erasure"} == {"snapshot"}


RAW = """\
  - id: raw
    clause: {{document: Test promises, section: "3", item: raw, updated: 2026-01-01}}
    indices: ["{prefix}raw-*"]
    max_age: {max_age}
"""


def test_what_should_have_ended_by_its_age_is_open_as_long_as_it_is_there(tenants: Workbench) -> None:
    tenants.policy_text += RAW
    assert tenants.run("policy", "accept").code == 0
    index(tenants, "raw-a", {"@timestamp": now() - 20 * DAY})
    words = ("--owner", "legal", "--reason", "a case", "--until", format_instant(now() + 10 * DAY))
    assert tenants.run("hold", "add", "--index", tenants.prefix + "raw-a", *words).code == 0
    assert tenants.run("erase", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 3, "the hold keeps it past its limit"

    def of_raw() -> list[str]:
        return [item["text"] for item in items(tenants, "raw has no field for the application of a document")]

    assert [text.rpartition("; ")[2] for text in of_raw()] == ["what it contains will be deleted by age"]
    move(tenants, registered_at=now() - 15 * DAY, terminated_at=now() - 15 * DAY)
    (text,) = of_raw()
    assert text.endswith(f"should have been deleted by age, but may still be in {tenants.prefix}raw-a")
    tenants.es.indices.delete(index=f"{tenants.prefix}raw-a")
    assert of_raw() == []


def test_what_a_hold_keeps_is_named(tenants: Workbench) -> None:
    until = format_instant(now() + 10 * DAY)
    words = ("--owner", "legal", "--reason", "a case", "--until", until)
    assert tenants.run("hold", "add", "--application", "1", *words).code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    ran, found = certificate(tenants)
    assert (ran.code, found["found_now"]["keys"]) == (3, 2)
    assert {item["kind"] for item in found["open_items"]} >= {"held"}
    assert "of held subjects kept in" in str(found["open_items"])


def test_what_was_just_written_outside_the_policy_is_seen(tenants: Workbench) -> None:
    index(tenants, "other", settings={"refresh_interval": "-1"})
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    tenants.es.index(index=f"{tenants.prefix}other", document={"sdkappid": "1"})
    assert "copy" in open_kinds(certificate(tenants)[1])


@pytest.mark.parametrize("left_out", ["malformed", "no room"])
def test_what_was_just_written_and_left_out_of_its_field_is_in_doubt(tenants: Workbench, left_out: str) -> None:
    held_back: dict[str, Any] = {"refresh_interval": "-1"}
    if left_out == "malformed":
        mapping: dict[str, Any] = {"sdkappid": {"type": "long", "ignore_malformed": True}}
    else:
        mapping = {"@timestamp": {"type": "date"}}
        held_back |= {"mapping.total_fields": {"limit": 1, "ignore_dynamic_beyond_limit": True}}
    try:
        index(tenants, "other", mappings={"properties": mapping}, settings=held_back)
    except ApiError as error:
        pytest.skip(f"this server: {error}")
    subject = f"{tenants.prefix}x"
    assert tenants.run("erase", "--application", subject).code == 0
    assert tenants.run("run", "--once").code == 0
    tenants.es.index(index=f"{tenants.prefix}other", document={"@timestamp": now(), "sdkappid": subject})
    _, found = certificate(tenants, "--application", subject)
    texts = [item["text"] for item in found["open_items"] if f"{tenants.prefix}other" in item["text"]]
    assert len(texts) == 1
    assert "1 document with a value in sdkappid that was not indexed" in texts[0]


# --- what Elasticsearch keeps itself ------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::elasticsearch.ElasticsearchWarning")  # a name that begins with a dot
@pytest.mark.parametrize("name", ["my-copy", "migrated-ds-x", "internal.alerts-x"])
def test_dot_indices_are_asked_as_all_others_outside(tenants: Workbench, name: str) -> None:
    hidden = f".{name}-{tenants.prefix}x"
    tenants.es.indices.create(index=hidden, mappings=MAPPING, settings={"number_of_replicas": 0, "hidden": True})
    try:
        tenants.es.index(index=hidden, document={"sdkappid": "1"}, refresh=True)
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        ran, found = certificate(tenants)
        assert ran.code == 3
        assert any(item["kind"] == "copy" and hidden in item["text"] for item in found["open_items"])
    finally:
        tenants.es.indices.delete(index=hidden)


def test_what_elasticsearch_writes_of_lifecycles_is_in_no_doubt(tenants: Workbench, es: Elasticsearch) -> None:
    lifecycle, mine = f"{tenants.prefix}lifecycle", f"{tenants.prefix}managed"
    try:
        es.ilm.put_lifecycle(name=lifecycle, policy={"phases": {"hot": {"actions": {}}}})
    except ApiError as error:
        pytest.skip(f"this server has no lifecycles ({error.meta.status})")
    try:
        es.indices.create(index=mine, settings={"index.lifecycle.name": lifecycle, "number_of_replicas": 0})
        try:
            eventually(lambda: bool(es.indices.get(index=".ds-ilm-history-*", expand_wildcards="all").body))
        except AssertionError:
            pytest.skip("this server keeps no history of lifecycles")
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        assert items(tenants, "ilm-history") == []
    finally:
        es.options(ignore_status=404).indices.delete(index=mine)
        es.ilm.delete_lifecycle(name=lifecycle)


def items(bench: Workbench, word: str) -> list[dict[str, Any]]:
    """The certificate's open items that speak of something."""
    return [item for item in certificate(bench)[1]["open_items"] if word in item["text"]]


@contextmanager
def enriching(tenants: Workbench, sources: str | Sequence[str], by: str, copied: str) -> Iterator[str]:
    """Put an enrich policy, or skip the test where the server has none; yields its name."""
    policy = f"{tenants.prefix}users"
    try:
        tenants.es.enrich.put_policy(
            name=policy, match={"indices": sources, "match_field": by, "enrich_fields": [copied]}
        )
    except ApiError as error:
        pytest.skip(f"this server has no enrich policies ({error.meta.status})")
    try:
        yield policy
    finally:
        tenants.es.enrich.delete_policy(name=policy)


@pytest.mark.parametrize("by_age", [False, True], ids=["purged", "left to its age"])
def test_what_enrich_policies_copied_is_open_until_they_are_executed_anew(tenants: Workbench, by_age: bool) -> None:
    """A copy that was made after the purge is none, but where what it was made from still goes by its age."""
    es, source = tenants.es, f"{tenants.prefix}{'logs-a' if by_age else 'keys'}"
    with enriching(tenants, source, "sdkappid", "user_id") as policy:
        es.enrich.execute_policy(name=policy)
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        (before,) = items(tenants, policy)
        assert before["kind"] == "copy"
        move(tenants, erased_at=now())
        es.enrich.execute_policy(name=policy)
        after = [item["text"] for item in items(tenants, policy) if item["text"] != before["text"]]
        assert len(after) == by_age, "the old copy is there for some minutes still"


def test_a_copy_of_an_index_that_is_named_by_a_date_is_open(tenants: Workbench) -> None:
    """Also where no field that it copied names a subject."""
    es, named = tenants.es, f"<{tenants.prefix}logs-{{now/M{{yyyy.MM|+00:00}}}}>"
    index(tenants, "logs-" + format_instant(now())[:7].replace("-", "."), {"sdkappid": "1", "mail": "a", "name": "b"})
    with enriching(tenants, named, "mail", "name") as policy:
        es.enrich.execute_policy(name=policy)
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        assert [item["kind"] for item in items(tenants, policy)] == ["copy"]


@pytest.mark.parametrize("source", ["all", "keys*", "keys,all"], ids=["alias", "wildcard", "beside an index"])
def test_a_copy_through_a_name_that_led_elsewhere_when_it_was_made_is_open(tenants: Workbench, source: str) -> None:
    """The alias led to documents that go by their age, and to those of the purged category; today to these alone."""
    es, prefix = tenants.es, tenants.prefix
    names, alias = [prefix + name for name in source.split(",")], prefix + ("keys-all" if source == "keys*" else "all")
    for name in ("keys", "logs-a"):
        es.indices.put_alias(index=prefix + name, name=alias)
    with enriching(tenants, names, "sdkappid", "user_id") as policy:
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        move(tenants, erased_at=now())
        es.enrich.execute_policy(name=policy)
        es.indices.delete_alias(index="*" if "," in source else f"{prefix}logs-a", name=alias)
        assert [item["kind"] for item in items(tenants, policy)] == ["copy"]


def test_stored_async_searches_are_open_until_they_expire(tenants: Workbench) -> None:
    es = tenants.es
    try:
        stored = es.async_search.submit(index=f"{tenants.prefix}keys", keep_on_completion=True, keep_alive="1h")
    except ApiError as error:
        pytest.skip(f"this server has no async searches ({error.meta.status})")
    try:
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        eventually(lambda: bool(items(tenants, "stored async search")), seconds=30)
        (item,) = items(tenants, "stored async search")
        assert item["until"] is not None
    finally:
        es.async_search.delete(id=stored["id"])


def test_an_async_search_of_what_was_left_to_its_age_is_open_too(tenants: Workbench) -> None:
    es = tenants.es
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    move(tenants, erased_at=now() - DAY)
    try:
        stored = es.async_search.submit(index=f"{tenants.prefix}logs-a", keep_on_completion=True, keep_alive="1h")
    except ApiError as error:
        pytest.skip(f"this server has no async searches ({error.meta.status})")
    try:
        eventually(lambda: bool(items(tenants, "stored async search")), seconds=30)
    finally:
        es.async_search.delete(id=stored["id"])


def test_what_a_transform_made_under_other_fields_is_open(tenants: Workbench) -> None:
    es, name, into = tenants.es, f"{tenants.prefix}counted", f"{tenants.prefix}counts"
    pivot = {
        "group_by": {"app": {"terms": {"field": "sdkappid"}}},
        "aggregations": {"n": {"value_count": {"field": "sdkappid"}}},
    }
    try:
        es.transform.put_transform(
            transform_id=name, source={"index": f"{tenants.prefix}keys"}, dest={"index": into}, pivot=pivot
        )
    except ApiError as error:
        pytest.skip(f"this server has no transforms ({error.meta.status})")
    try:
        index(tenants, "counts", mappings={"properties": {"app": {"type": "keyword"}}})
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        assert [item["kind"] for item in items(tenants, f"transform {name}")] == ["copy"]
    finally:
        es.transform.delete_transform(transform_id=name)


def test_a_copy_of_what_a_transform_made_is_open_too(tenants: Workbench) -> None:
    """Another transform's, and an enrich policy's, by fields that only the first transform knows."""
    es, prefix = tenants.es, tenants.prefix

    def transform(source: str, into: str, **how: Any) -> None:
        index(tenants, into, mappings={"properties": {"app": {"type": "keyword"}, "n": {"type": "long"}}})
        es.transform.put_transform(
            transform_id=prefix + into, source={"index": prefix + source}, dest={"index": prefix + into}, **how
        )

    def pivot(field: str) -> dict[str, Any]:
        counted = {"n": {"value_count": {"field": field}}}
        return {"group_by": {"app": {"terms": {"field": field}}}, "aggregations": counted}

    try:
        transform("keys", "counts", pivot=pivot("sdkappid"))
    except ApiError as error:
        pytest.skip(f"this server has no transforms ({error.meta.status})")
    transform("counts", "again", pivot=pivot("app"))
    transform("again", "latest", latest={"unique_key": ["app"], "sort": "n"})
    add(tenants, "counts", {"app": "1", "n": 1})
    what = {"indices": prefix + "counts", "match_field": "app", "enrich_fields": ["n"]}
    es.enrich.put_policy(name=f"{prefix}enriched", match=what)
    try:
        es.enrich.execute_policy(name=f"{prefix}enriched")
        assert tenants.run("terminate", "--application", "1").code == 0
        assert tenants.run("run", "--once").code == 0
        move(tenants, erased_at=now())
        for name in ("counts", "again", "latest"):
            assert [item["kind"] for item in items(tenants, f"transform {prefix}{name}")] == ["copy"]
        assert [item["kind"] for item in items(tenants, f"enrich policy {prefix}enriched")] == ["copy"]
    finally:
        es.enrich.delete_policy(name=f"{prefix}enriched")
        for name in ("latest", "again", "counts"):
            es.transform.delete_transform(transform_id=prefix + name)


def test_percolator_queries_that_name_the_subject_are_found(tenants: Workbench) -> None:
    es, name = tenants.es, f"{tenants.prefix}queries"
    try:
        es.indices.create(
            index=name, mappings={"properties": {"query": {"type": "percolator"}, "sdkappid": {"type": "keyword"}}}
        )
    except ApiError as error:
        pytest.skip(f"this server has no percolator ({error.meta.status})")
    for id_ in ("1", "11"):
        es.index(index=name, document={"query": {"term": {"sdkappid": id_}}}, refresh=True)
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    (item,) = items(tenants, "naming the subject")
    assert (item["kind"], item["text"]) == ("copy", f"{name} has 1 stored query naming the subject")


# --- snapshots ----------------------------------------------------------------------------------------


def test_a_snapshot_of_what_went_by_its_age_is_open_too(tenants: Workbench, backups: Backups) -> None:
    index(tenants, "logs-old", {"sdkappid": "1", "user_id": "u", "@timestamp": now() - 20 * DAY})
    repository = backups.repository()
    old = f"{tenants.prefix}logs-old"
    tenants.es.snapshot.create(repository=repository, snapshot="one", indices=old, wait_for_completion=True)
    assert tenants.run("run", "--once").code == 0
    assert tenants.is_gone("logs-old")
    assert tenants.run("erase", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    ran, found = certificate(tenants)
    assert (ran.code, "snapshot" in open_kinds(found)) == (3, True)
    tenants.es.snapshot.delete(repository=repository, snapshot="one")
    assert "snapshot" not in open_kinds(certificate(tenants)[1])


def test_a_snapshot_under_a_name_that_a_lifecycle_gives_is_open_too(tenants: Workbench, backups: Backups) -> None:
    repository, name = backups.repository(), f"shrink-abcd-{tenants.prefix}logs-x"
    tenants.es.indices.create(index=name, mappings=MAPPING, settings={"number_of_replicas": 0})
    tenants.es.snapshot.create(repository=repository, snapshot="one", indices=name, wait_for_completion=True)
    tenants.es.indices.delete(index=name)
    assert tenants.run("erase", "--application", "1").code == 0
    ran = tenants.run("run", "--once")
    assert ran.code == 0, [line for line in ran.err.splitlines() if "error" in line]
    assert "snapshot" in open_kinds(certificate(tenants)[1])
