"""The report as a page to print or to hand over: one file, nothing loaded from elsewhere, no script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from retention_enforcer.domain.findings import Severity
from retention_enforcer.domain.instants import describe_duration, format_duration, format_instant
from retention_enforcer.domain.policy.claims import IndexOwner
from retention_enforcer.reporting.report import Report

_BESIDE = {
    IndexOwner.UNCLAIMED: "Claimed by no category",
    IndexOwner.IGNORED: "Ignored by the policy",
    IndexOwner.OWN: "Own indices of retention-enforcer",
    IndexOwner.SYSTEM: "Own indices of Elasticsearch",
}


def report_page(report: Report) -> str:
    """Return the report as an HTML page. Every text that comes from outside is escaped."""
    page = page_environment(report.as_of).get_template("report.html")
    return page.render(
        report=report,
        beside=[(title, report.standing(standing)) for standing, title in _BESIDE.items()],
        is_error=lambda finding: finding.severity is Severity.ERROR,
    )


def page_environment(now: int) -> Environment:
    """Return what pages are made with: everything is escaped, and a name that is not known is a defect."""
    environment = Environment(
        loader=PackageLoader("retention_enforcer.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _filters(now)
    return environment


def _filters(now: int) -> dict[str, Callable[..., Any]]:
    def optional(show: Callable[[int], str]) -> Callable[[int | None], str]:
        return lambda value: "-" if value is None else show(value)

    def due(instant: int) -> str:
        return f"in {describe_duration(instant - now)}" if instant > now else f"{describe_duration(now - instant)} ago"

    return {
        "instant": optional(format_instant),
        "day": optional(lambda instant: format_instant(instant)[:16].replace("T", " ")),
        "limit": lambda limit: "never stored" if limit is None else format_duration(limit),
        "duration": optional(describe_duration),
        "age": optional(lambda instant: describe_duration(now - instant)),
        "due": optional(due),
        "number": optional(lambda number: f"{number:,}"),
    }
