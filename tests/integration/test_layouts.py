"""What real writers leave, under the policies that docs/layouts.md shows: by age, and for a subject."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from elasticsearch import Elasticsearch

from layouts import FOLDER, NAMES, PAGE, layout, remade, section
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.instants import DAY
from retention_enforcer.policy_file import load_policy
from workbench import Workbench

POLICY = """\
version: 1
name: {prefix}policy
margin: 1h
on_request: 7d
categories:
"""


def present(es: Elasticsearch, names: list[str]) -> set[str]:
    """The `_id` of every document in these indices, as Elasticsearch tells it."""
    if not names:
        return set()
    quiet = es.options(ignore_status=404)
    quiet.indices.refresh(index=names, ignore_unavailable=True)
    answer = quiet.search(index=names, ignore_unavailable=True, size=1_000, source=False, allow_no_indices=True)
    found = [hit["_id"] for hit in answer["hits"]["hits"]]
    assert len(found) == len(set(found)) == answer["hits"]["total"]["value"]
    return set(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_of_the_page_keeps_its_promises(bench: Workbench, name: str) -> None:
    """What is expired goes, what is young stays; then one subject's documents go, and everybody else's stay."""
    bench.erases_for = 0
    of, full = layout(name), Capabilities(bench.es).has_lifecycles()
    if of.needs_full_server and not full:
        pytest.skip("this server has no data streams, no lifecycles and few analyzers")
    bench.policy_text = POLICY + of.categories.replace("{", "{{").replace("}", "}}")
    bench.settings |= {"ENFORCER_GRACE": "0s", "ENFORCER_MAX_SHARE": "1"}
    categories = load_policy(bench.policy_path).categories
    limits = [category.max_age for category in categories if category.max_age]
    nameless = {category.id for category in categories if not category.subjects}
    now = datetime.now(UTC)
    old = now - timedelta(milliseconds=max(limits, default=0) + 2 * DAY)
    aged = bool(of.body["times"])
    with remade(bench.es, of, *([old] if aged else []), now - timedelta(minutes=1), full=full) as names:
        everything = present(bench.es, names)
        assert len(everything) >= len(of.documents)
        bench.ready()

        assert bench.run("run", "--once").code in (0, 3)
        young = {i for i in everything if not aged or i.endswith("-1")}
        assert present(bench.es, names) == young
        if not of.subject:
            return

        theirs = {i for i in young if int(i.partition("-")[0]) in of.body["theirs"]}
        assert theirs
        assert young - theirs
        asked = bench.run("erase", *of.subject)
        assert asked.code == 0, asked.err
        assert bench.run("run", "--once").code in (0, 3)
        assert present(bench.es, names) == young - theirs
        (certificate,) = bench.run("certificate", *of.subject, "--output", "json").json
        assert not any(certificate["found_now"].values()), certificate["found_now"]
        left = [item for item in certificate["open_items"] if item["kind"] != "erasure"]
        assert {item["kind"] for item in left} <= {"not-narrowed"}, left
        assert {item["text"].split()[0] for item in left} == nameless  # each says so of itself


def test_every_section_of_the_page_was_recorded() -> None:
    headings = [line[3:] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert sorted(headings) == sorted(str(layout(name).body["heading"]) for name in NAMES)
    assert sorted(path.name for path in FOLDER.iterdir()) == NAMES
    assert all(section(heading) for heading in headings)
