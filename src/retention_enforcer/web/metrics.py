"""The metrics, in the text formats of Prometheus and OpenMetrics. They are made from the same status as page and JSON.

Labels are the policy's category ids, the kinds of findings, the names of jobs and three mechanisms. Their number
depends on the policy, not on the content of the cluster. A standby instance exports nothing about promises: the acting
one does.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from retention_enforcer.domain.instants import SECOND
from retention_enforcer.reporting.known import DURATION_BUCKETS, Known
from retention_enforcer.reporting.promises import PROVEN_FOR, Promise, Verdict
from retention_enforcer.reporting.status import Role, Status


def exposition(known: Known, status: Status, kinds: frozenset[str], accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type, as the scraper accepts them.

    `kinds` are the kinds of findings that were ever seen: one that is closed is 0, not gone.
    """
    registry = CollectorRegistry()
    registry.register(_StatusCollector(known, status, kinds))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _StatusCollector(Collector):
    def __init__(self, known: Known, status: Status, kinds: frozenset[str]) -> None:
        self._known = known
        self._status = status
        self._kinds = kinds

    def collect(self) -> Iterator[Metric]:
        yield from _about_instance(self._status)
        yield from _about_work(self._known)
        if self._status.instance.role is not Role.STANDBY:
            yield from _about_promises(self._status)
            yield from _about_customers(self._status)
            yield _findings(self._status, self._kinds)
            yield _jobs(self._known)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"retention_{name}", text, value=value)


def _about_instance(status: Status) -> Iterator[Metric]:
    instance = status.instance
    yield _gauge("leader", "Whether this instance holds the lease.", float(instance.role is Role.ACTING))
    yield _gauge("ready", "Whether this instance is ready: connected, accepted, lease known.",
                 float(instance.ready))  # fmt: skip
    yield _gauge("interval_seconds", "The time between two cycles of a category.", instance.interval / SECOND)
    if status.cluster.answered_at is not None:
        yield _gauge("stopped", "Whether the operator has stopped all deletion.",
                     float(status.policy.stopped_at is not None))  # fmt: skip
    if status.ledger:
        yield _gauge("ledger_sequence", "The sequence of the ledger's last record.", status.ledger.sequence)


def _about_work(known: Known) -> Iterator[Metric]:
    labels = ("category", "mechanism")
    indices = CounterMetricFamily(
        "retention_purged_indices", "Indices deleted as a whole since the start.", labels=labels
    )
    documents = CounterMetricFamily(
        "retention_purged_documents",
        "Documents deleted since the start, including those of whole indices.",
        labels=labels,
    )
    for category in known.policy.categories:
        for mechanism in ("direct", "ilm"):
            place = (category.id, mechanism)
            indices.add_metric(place, known.purged_indices.get(place, 0))
        for mechanism in ("direct", "ilm", "termination"):
            place = (category.id, mechanism)
            documents.add_metric(place, known.purged_documents.get(place, 0))
    yield indices
    yield documents
    took = known.durations
    buckets = [*zip((str(bound) for bound in DURATION_BUCKETS), took.at_most, strict=True), ("+Inf", took.count)]
    yield HistogramMetricFamily(
        "retention_cycle_duration_seconds", "Duration of the cycles of categories.", buckets, took.seconds
    )


def _about_promises(status: Status) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(f"retention_{name}", text, labels=["category"])
        for name, text in (
            ("limit_seconds", "The limit that is promised."),
            ("oldest_document_age_seconds", "Age of the oldest document."),
            ("overdue_documents", "Documents older than the limit at the last proof."),
            ("kept", "Whether the promise is proven to be kept."),
        )
    }
    for promise in status.promises:
        values = {
            "limit_seconds": promise.limit / SECOND if promise.limit is not None else None,
            "oldest_document_age_seconds": promise.age / SECOND if promise.age is not None else None,
            "overdue_documents": promise.overdue,
            "kept": _kept(status, promise),
        }
        for name, value in values.items():
            if value is not None:
                families[name].add_metric([promise.id], value)
    yield from families.values()


def _kept(status: Status, promise: Promise) -> float | None:
    """Return 1 for kept, 0 for everything else; None only before the first proof of a process that has just begun."""
    young = status.as_of - status.instance.started_at <= PROVEN_FOR * status.instance.interval
    if promise.verdict is Verdict.NOT_PROVEN and promise.proven_at is None and young:
        return None
    return float(promise.kept)


def _about_customers(status: Status) -> Iterator[Metric]:
    if status.terminations.looked_at is None:
        return
    running = [
        (pending.remaining, pending.used) for pending in status.terminations.open if pending.remaining is not None
    ]
    yield _gauge(
        "pending_terminations", "Terminations and erasure requests whose data is not erased yet.", len(running)
    )
    if running:
        text = "Time until the first open termination or erasure request must be purged; negative once it is late."
        yield _gauge("next_deadline_seconds", text, min(remaining for remaining, _ in running) / SECOND)
    used = max((used for _, used in running if used is not None), default=0.0)
    yield _gauge(
        "termination_time_used_ratio",
        "The largest share of its time that an open termination or erasure request has used.",
        used,
    )


def _findings(status: Status, kinds: frozenset[str]) -> Metric:
    findings = GaugeMetricFamily("retention_findings", "Open findings.", labels=["kind"])
    counted = dict.fromkeys(sorted(kinds), 0)
    for finding in status.findings:
        counted[finding.kind] = counted.get(finding.kind, 0) + 1
    for kind, number in counted.items():
        findings.add_metric([kind], number)
    return findings


def _jobs(known: Known) -> Metric:
    """Return when each job last came to its end: 0 for one that never did, so that it is not overlooked."""
    text = "When a job last completed; 0 if it never did."
    family = GaugeMetricFamily("retention_last_success_timestamp_seconds", text, labels=["job"])
    names = [f"category {category.id}" for category in known.policy.categories]
    for name in (*names, "terminations", "coverage", "situation"):
        family.add_metric([name], (known.job(name).last_success or 0) / SECOND)
    return family
