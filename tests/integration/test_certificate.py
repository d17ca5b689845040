"""Certificates on a real server: final only when nothing is left anywhere that can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from backups import Backups
from customers import MAPPING, add, index, now
from retention_enforcer.domain.instants import DAY, format_instant
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
    assert f"{tenants.prefix}other, outside the policy, has 1 documents of the subject" in texts
    assert f"{tenants.prefix}text, outside the policy, could not be asked" in texts
    assert "was taken before the files were clean: it ends when somebody deletes it" in texts
    assert "copy" in open_kinds(found)


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
    named = {name for name in room if f"{tenants.prefix}{name}, outside the policy, could not be asked" in texts}
    assert named == room.keys() - {"roomless", "strict"}


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


def test_what_a_hold_keeps_is_named(tenants: Workbench) -> None:
    until = format_instant(now() + 10 * DAY)
    words = ("--owner", "legal", "--reason", "a case", "--until", until)
    assert tenants.run("hold", "add", "--application", "1", *words).code == 0
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    ran, found = certificate(tenants)
    assert (ran.code, found["found_now"]["keys"]) == (3, 2)
    assert {item["kind"] for item in found["open_items"]} >= {"held"}
    assert "documents of held subjects stay in" in str(found["open_items"])


def test_what_was_just_written_outside_the_policy_is_seen(tenants: Workbench) -> None:
    index(tenants, "other", settings={"refresh_interval": "-1"})
    assert tenants.run("terminate", "--application", "1").code == 0
    assert tenants.run("run", "--once").code == 0
    tenants.es.index(index=f"{tenants.prefix}other", document={"sdkappid": "1"})
    assert "copy" in open_kinds(certificate(tenants)[1])


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
    assert tenants.run("run", "--once").code == 0
    assert "snapshot" in open_kinds(certificate(tenants)[1])
