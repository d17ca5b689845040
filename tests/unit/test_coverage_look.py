"""One look past the policy, over small true seams: what it remembers, what it knows of snapshots, what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from builders import LIMIT, NOW, category, covered, seen, suspected
from retention_enforcer.domain.control import Control
from retention_enforcer.domain.coverage.findings import NOTHING_FOR, CoverageFacts
from retention_enforcer.domain.coverage.snapshots import Repository, Snapshot, SnapshotsSeen
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.facts import Evidence
from retention_enforcer.domain.findings import Finding, Sighting
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.instants import DAY, HOUR
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.pseudonyms import Pseudonyms, Redactor
from retention_enforcer.enforcement.coverage.job import log_coverage
from retention_enforcer.enforcement.coverage.observer import CoverageLook, CoverageObserver
from retention_enforcer.enforcement.memory import CoverageMemory

LOGS = category(indices=["logs-*"])
MORE = category("more-logs", indices=["*-late"], max_age=30 * DAY)
TENANTS = category("tenants", indices=["tenant-{application}-logs"])
POLICY = Policy(name="test", categories=(LOGS, MORE))
GOVERNED = seen("logs-a", categories=["backend-logs"])
NOBODY: Mapping[str, Evidence] = {}


class Clock:
    def now(self) -> int:
        return NOW


class Cluster:
    """Shows these facts, and remembers as of when it was asked."""

    def __init__(self, facts: CoverageFacts) -> None:
        self.facts = facts
        self.asked: list[int] = []

    def read(self, policy: Policy, now: int) -> CoverageFacts:
        self.asked.append(now)
        return self.facts


class Snapshots:
    """Repositories with these snapshots."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.seen = SnapshotsSeen(repositories=(Repository(name="backups", snapshots=snapshots),))

    def read(self, policy: Policy) -> SnapshotsSeen:
        return self.seen


def snapshot(*indices: str, age: int = DAY) -> Snapshot:
    return Snapshot(repository="backups", name="s1", uuid="u1", taken=NOW - age, policy=None, indices=indices)


def look(
    facts: CoverageFacts | None = None,
    *snapshots: Snapshot,
    control: Control | None = None,
    evidence: Mapping[str, Evidence] = NOBODY,
    memory: CoverageMemory | None = None,
    policy: Policy = POLICY,
) -> CoverageLook:
    facts = covered(GOVERNED) if facts is None else facts
    observer = CoverageObserver(Cluster(facts), Snapshots(*snapshots), Clock(), lambda _: ())
    return observer.look(policy, control or Control(), evidence, memory or CoverageMemory())


def kinds(found: CoverageLook | Iterable[Finding]) -> list[str]:
    return [f.kind for f in (found.findings if isinstance(found, CoverageLook) else found)]


# --- what is remembered -------------------------------------------------------------------------------

FULL = CoverageMemory(
    findings={"abc": Sighting(first=NOW - DAY, last=NOW), "def": Sighting(first=1, last=2)},
    nothing_since={"backend-logs": NOW - HOUR},
)


@pytest.mark.parametrize("memory", [FULL, CoverageMemory()], ids=["full", "empty"])
def test_a_memory_is_read_as_it_was_written(memory: CoverageMemory) -> None:
    assert CoverageMemory.of(json.loads(json.dumps(memory.body()))) == memory


def test_without_a_document_nothing_is_remembered() -> None:
    assert CoverageMemory.of(None) == CoverageMemory()


def without(part: str) -> dict[str, Any]:
    return {name: value for name, value in FULL.body().items() if name != part}


@pytest.mark.parametrize(
    "body",
    [
        {},
        without("findings"),
        without("nothing_since"),
        {**FULL.body(), "findings": {"abc": [NOW]}},
        {**FULL.body(), "findings": {"abc": ["yesterday", NOW]}},
        {**FULL.body(), "findings": None},
        {**FULL.body(), "nothing_since": {"backend-logs": "yesterday"}},
        {**FULL.body(), "nothing_since": {"backend-logs": None}},
        {**FULL.body(), "nothing_since": ["backend-logs"]},
    ],
    ids=str,
)
def test_a_spoiled_document_is_refused_and_nothing_is_guessed_from_it(body: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="coverage is not readable"):
        CoverageMemory.of(body)


def test_a_finding_keeps_its_first_sight_and_a_new_one_begins_now() -> None:
    facts = covered(GOVERNED, seen(documents=3), copies=(suspected(),))
    unclaimed, copy = look(facts).findings
    assert (unclaimed.first_seen, copy.first_seen) == (NOW, NOW)
    memory = CoverageMemory(findings={unclaimed.id: Sighting(first=NOW - DAY, last=NOW - HOUR)})
    unclaimed, copy = look(facts, memory=memory).findings
    assert (unclaimed.first_seen, unclaimed.last_seen) == (NOW - DAY, NOW)
    assert (copy.first_seen, copy.last_seen) == (NOW, NOW)


def test_since_when_a_category_matches_nothing_is_carried_from_look_to_look() -> None:
    first = look()
    assert first.nothing_since == {"more-logs": NOW}
    assert kinds(first) == []
    memory = CoverageMemory(nothing_since={"more-logs": NOW - NOTHING_FOR - 1, "backend-logs": 1, "removed": 1})
    later = look(memory=memory)
    assert later.nothing_since == {"more-logs": NOW - NOTHING_FOR - 1}
    assert kinds(later) == ["matches-nothing"]


def test_all_is_looked_at_as_of_the_clock() -> None:
    cluster = Cluster(covered())
    CoverageObserver(cluster, Snapshots(), Clock(), lambda _: ()).look(POLICY, Control(), NOBODY, CoverageMemory())
    assert cluster.asked == [NOW]


# --- what it knows of the indices in snapshots --------------------------------------------------------

YOUNG = Evidence(oldest=NOW - HOUR, first_seen=NOW - HOUR, documents=1)
OLD = Evidence(oldest=NOW - LIMIT - 1, first_seen=NOW - HOUR, documents=1)
TRIMMED = Evidence(oldest=NOW - HOUR, first_seen=NOW - HOUR, documents=1, last_trim=NOW - HOUR)
UUID = GOVERNED.uuid

SNAPSHOTS: list[tuple[str, CoverageFacts, Mapping[str, Evidence], bool]] = [
    ("of an index that is there with young documents", covered(GOVERNED), {UUID: YOUNG}, False),
    ("of one that is there and set apart", covered(GOVERNED), {}, False),
    ("of one whose oldest document is past the limit", covered(GOVERNED), {UUID: OLD}, True),
    ("of one that was trimmed since", covered(GOVERNED), {UUID: TRIMMED}, True),
    ("of one that is gone", covered(), {}, True),
    (
        "of one that is gone, and somebody else's evidence",
        covered(seen("logs-b", categories=["backend-logs"])),
        {},
        True,
    ),
    ("of one that was made anew under its name", covered(GOVERNED), {"another uuid": OLD}, False),
    ("of one that two categories claim", covered(seen("logs-a", categories=["more-logs", "backend-logs"])), {}, False),
]


@pytest.mark.parametrize(("facts", "evidence", "past"), [pytest.param(*row[1:], id=row[0]) for row in SNAPSHOTS])
def test_a_snapshot_is_judged_by_what_is_known_of_its_indices_now(
    facts: CoverageFacts, evidence: Mapping[str, Evidence], past: bool
) -> None:
    memory = CoverageMemory()
    found = look(facts, snapshot("logs-a"), evidence=evidence, memory=memory)
    assert ("snapshot-expired" in kinds(found)) is past


def test_an_index_outside_the_policy_is_not_known_to_the_snapshots() -> None:
    impostor = seen("logs-a")
    assert "snapshot-expired" in kinds(look(covered(impostor), snapshot("logs-a"), evidence={impostor.uuid: YOUNG}))


def test_holds_that_end_soon_are_announced_with_the_rest() -> None:
    ends = Hold(id="h1", owner="anna", reason="a lawsuit", until=NOW + HOUR, category="backend-logs")
    later = Hold(id="h2", owner="anna", reason="a lawsuit", until=NOW + 2 * DAY, category="backend-logs")
    found = look(covered(GOVERNED, seen(documents=1)), control=Control(holds=(ends, later)))
    assert kinds(found) == ["unclaimed", "hold-ends"]
    assert (found.findings[1].about, found.findings[1].first_seen) == ("h1", NOW)
    assert "anna" not in str(found.findings)
    assert "lawsuit" not in str(found.findings)


# --- what stands in the log ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Whatever a test before has configured."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def logged(found: CoverageLook, policy: Policy = POLICY) -> list[Any]:
    with capture_logs() as lines:
        log_coverage(found, Redactor(Pseudonyms(b"k" * 32), policy.patterns))
    return list(lines)


def test_five_hundred_unclaimed_indices_are_one_line() -> None:
    governed = [seen(f"logs-{n:04d}", categories=["backend-logs"]) for n in range(1_500)]
    lines = logged(look(covered(*governed, *(seen(f"other-{n:03d}", documents=1) for n in range(500)))))
    assert [line["log_level"] for line in lines] == ["info", "warning"]
    assert (lines[0]["retention.indices.governed"], lines[0]["retention.indices.unclaimed"]) == (1_500, 500)
    assert lines[0]["event.outcome"] == "failure"
    assert lines[1]["event"].startswith("finding unclaimed: no category claims 500 indices with 500 documents: ")
    assert "and 495 more; add them" in lines[1]["event"]
    assert (lines[1]["retention.finding.kind"], lines[1]["retention.finding.count"]) == ("unclaimed", 1)


def test_a_look_that_finds_nothing_is_one_line() -> None:
    (line,) = logged(look(covered(GOVERNED, seen("late", categories=["more-logs"]))))
    assert (line["event"], line["event.outcome"]) == ("searched for copies outside the policy", "success")


def test_an_application_in_the_name_of_a_copy_stands_in_no_log() -> None:
    policy = Policy(name="test", categories=(TENANTS,))
    copy = suspected("copy-of-tenant-1400000001-logs", categories=("tenants",), origin="tenant-1400000002-logs")
    facts = covered(seen("tenant-14-logs", categories=["tenants"]), seen("old-tenant-1400000003-logs"), copies=(copy,))
    lines = logged(look(facts, policy=policy), policy)
    assert [line.get("retention.finding.kind") for line in lines] == [None, "suspected-copy", "unclaimed"]
    assert not [id_ for id_ in ("1400000001", "1400000002", "1400000003") if id_ in str(lines)]
    assert "copy-of-tenant-hmac-sha256:" in str(lines)
