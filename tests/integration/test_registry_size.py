"""More terminations and holds than one answer of the cluster holds: none is overlooked, and none stops the rest."""

from __future__ import annotations

import time

import pytest
from elasticsearch.helpers import bulk

import customers
from retention_enforcer.bootstrap import SystemClock
from retention_enforcer.cluster.own.documents import Documents
from retention_enforcer.domain.instants import DAY, format_instant
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.terminations.document import termination_body
from retention_enforcer.enforcement.terminations.intake import REMEMBERED
from statuses import termination
from workbench import Workbench

MANY = 20_500
"""Two answers of 10,000 documents, and a part of a third."""


def remember(bench: Workbench, many: int) -> None:
    """Store terminations that are over, as the daemon leaves them."""
    now = SystemClock().now()
    documents = (
        {
            "_index": bench.own.terminations,
            "_id": f"old-{number:06d}",
            "kind": REMEMBERED,
            "updated": format_instant(now),
            "body": termination_body(
                termination(
                    number,
                    key=f"old-{number:06d}",
                    subject=Subject(kind=SubjectKind.APPLICATION, id=f"old{number}"),
                    registered_at=now - 20 * DAY,
                    terminated_at=now - 20 * DAY,
                    closed_at=now - DAY,
                )
            ),
        }
        for number in range(many)
    )
    bulk(bench.es.options(request_timeout=120), documents, chunk_size=5_000, refresh=True)


@pytest.mark.slow
def test_more_terminations_than_one_answer_holds(bench: Workbench) -> None:
    application = "1400088001"
    customers.founded_without_logs(bench, application)
    assert bench.run("run", "--once").code == 0
    remember(bench, MANY)
    stored = Documents(bench.es, bench.own.terminations).all(REMEMBERED)
    assert stored.keys() == {f"old-{number:06d}" for number in range(MANY)}

    assert bench.run("terminate", "--application", application).code == 0
    started = time.monotonic()
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err[-2_000:]
    print(f"a run beside {MANY:,} remembered terminations: {time.monotonic() - started:.1f} s")
    listed = bench.run("terminations", "--output", "json")
    assert listed.code == 0
    assert len(listed.json) == MANY + 1
    certificate = bench.run("certificate", "--application", application, "--output", "json")
    assert certificate.json[0]["purged"], certificate.err
