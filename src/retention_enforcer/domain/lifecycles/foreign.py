"""Other people's lifecycle policies: left where they are, and a finding where their arithmetic breaks the limit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.instants import describe_duration, format_duration
from retention_enforcer.domain.lifecycles.compiler import DELETE_POLLS, ROLLOVER_POLLS
from retention_enforcer.domain.lifecycles.exemption import not_ours
from retention_enforcer.domain.policy.promises import Category

_UNITS = {"nanos": 0, "micros": 0, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+)(nanos|micros|ms|s|m|h|d)")


def judge_foreign(
    category: Category, margin: int, name: str, phases: Mapping[str, Any] | None, poll: int
) -> Finding | None:
    """Return the finding that somebody else's lifecycle policy lets documents outlive the limit, or None.

    Where the category adopts, it is one in any case: the index template brings the policy back. `phases` are those of
    the policy, None where there is no such policy. What cannot be read as a bound is none.
    """
    if category.max_age is None:
        return None
    adopted = category.foreign_lifecycle == "adopt"
    ceiling = _ceiling(phases or {}, poll)
    if not adopted and ceiling is not None and ceiling <= category.max_age:
        return None
    limit = format_duration(category.max_age)
    says = "deletes nothing by age" if ceiling is None else f"deletes after up to {describe_duration(ceiling)}"
    text = f"{not_ours(name)}, {says}, but the limit is {limit}"
    remedy = (
        "remove it from the index template, which attaches it to each new index; the enforcer replaces it"
        if adopted
        else f"shorten it so that rollover, deletion, {ROLLOVER_POLLS + DELETE_POLLS} polls and a margin of "
        f"{format_duration(margin)} fit into {limit}, or set foreign_lifecycle: adopt for the category"
    )
    return Finding.of(FindingKind.LIFECYCLE_FOREIGN, category.id, text, remedy, about=name)


def _ceiling(phases: Mapping[str, Any], poll: int) -> int | None:
    """Return the greatest age that a document which is not late can reach, or None where there is none."""
    delete = phases.get("delete") or {}
    actions = delete.get("actions") or {}
    if "delete" not in actions or "wait_for_snapshot" in actions:
        return None
    min_age = milliseconds(str(delete.get("min_age", "0ms")))
    rollover = ((phases.get("hot") or {}).get("actions") or {}).get("rollover")
    if min_age is None or rollover is None:
        return None if min_age is None else min_age + DELETE_POLLS * poll
    conditions = {name: value for name, value in rollover.items() if name.startswith("min_")}
    if conditions.keys() - {"min_docs"} or int(conditions.get("min_docs", 1)) > 1:
        return None  # they can hold a rollover back for ever
    max_age = milliseconds(str(rollover.get("max_age", "")))
    return None if max_age is None else max_age + min_age + (ROLLOVER_POLLS + DELETE_POLLS) * poll


def milliseconds(text: str) -> int | None:
    """Return the milliseconds of a duration in any of Elasticsearch's units, or None for what is none."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None
