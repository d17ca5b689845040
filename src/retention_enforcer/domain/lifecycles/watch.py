"""Where lifecycles hang: what one `_ilm/explain` shows, judged against what was expected and when it is due.

Elasticsearch reports few of these states as errors, and some not at all. Each is a finding with its remedy; which of
those the enforcer repairs itself says `REATTACHED`. Whatever hangs, the daemon deletes at the deadline what it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from retention_enforcer.domain.facts import FORBID_INDEX_DELETION, IndexFacts
from retention_enforcer.domain.findings import Finding, FindingKind
from retention_enforcer.domain.instants import describe_duration, format_instant
from retention_enforcer.domain.lifecycles.compiler import DELETE_POLLS, ROLLOVER_POLLS, LifecyclePolicy
from retention_enforcer.domain.policy.promises import Category
from retention_enforcer.domain.wording import counted, verb

RUNNING = "RUNNING"
"""`operation_mode` of lifecycles that work."""

_ROLLING = "check-rollover-ready"
_CLOSED = "index_closed_exception"
_LONGEST_REASON = 200


REATTACHED = frozenset(
    {
        FindingKind.LIFECYCLE_MISSING,
        FindingKind.LIFECYCLE_STALE,
        FindingKind.LIFECYCLE_WRITE_INDEX,
        FindingKind.LIFECYCLE_ERROR,
        FindingKind.LIFECYCLE_STUCK,
    }
)
"""Hangs that detaching and attaching what is right resolves, a write index after its rollover: measured on 8.10 for all
but the last, where it begins the same steps anew. An error comes back where its cause is another than the lifecycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What `_ilm/explain` says of one index. Instants in milliseconds; None where it does not say."""

    index: str
    policy: str | None
    """None where no lifecycle is attached."""
    cached_policy: str | None = None
    """The policy whose phase is being carried out; it can be one that was attached earlier."""
    created: int | None = None
    since: int | None = None
    """The date that its age counts from."""
    phase: str | None = None
    action: str | None = None
    step: str | None = None
    action_since: int | None = None
    """When its action began; retries do not change it."""
    step_since: int | None = None
    failed_step: str | None = None
    retries: int = 0
    """How often a failed step was tried again: above zero also while it looks like a step that runs."""
    error: str | None = None
    """The type of the error, or of what it waits for."""
    reason: str = ""

    @classmethod
    def of(cls, index: str, entry: Mapping[str, Any]) -> Explained:
        """Return what one entry of the answer says; an index is managed only where it says so."""
        info = entry.get("step_info") or {}
        return cls(
            index=index,
            policy=str(entry["policy"]) if entry.get("managed") is True else None,
            cached_policy=(entry.get("phase_execution") or {}).get("policy"),
            created=entry.get("index_creation_date_millis"),
            since=entry.get("lifecycle_date_millis"),
            phase=entry.get("phase"),
            action=entry.get("action"),
            step=entry.get("step"),
            action_since=entry.get("action_time_millis"),
            step_since=entry.get("step_time_millis"),
            failed_step=entry.get("failed_step"),
            retries=int(entry.get("failed_step_retry_count", 0)),
            error=info.get("type"),
            reason=str(info.get("reason") or info.get("message") or "")[:_LONGEST_REASON],
        )

    @property
    def stale(self) -> bool:
        """Whether it goes on with a policy that is not the one attached; nothing says so as an error."""
        return self.policy is not None and self.cached_policy not in (None, self.policy)

    @property
    def failing(self) -> bool:
        """Whether its step failed, and is tried again and again."""
        return self.step == "ERROR" or self.retries > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleService:
    """What an index's lifecycle depends on beside the index. Durations in milliseconds."""

    poll: int
    status: str = RUNNING
    """`operation_mode` of `_ilm/status`."""
    snapshotting: frozenset[str] = field(default_factory=frozenset)
    """Indices of which a snapshot is being taken."""


def judge_service(surroundings: LifecycleService) -> Finding | None:
    """Return the finding that lifecycles do not work on this cluster, or None."""
    if surroundings.status == RUNNING:
        return None
    text = f"ILM is {surroundings.status}, so no lifecycle deletes anything"
    remedy = "start ILM (POST _ilm/start); until then the daemon deletes what is due while it runs"
    return Finding.of(FindingKind.LIFECYCLES_STOPPED, None, text, remedy)


def judge_managed(
    category: Category,
    explained: Explained,
    policy: LifecyclePolicy | None,
    surroundings: LifecycleService,
    now: int,
    *,
    facts: IndexFacts | None = None,
    uuid: str | None = None,
    closed: bool = False,
    deadline: int | None = None,
) -> Finding | None:
    """Return why the lifecycle of an index will not delete it in time, or None where it will as far as can be seen.

    `policy` is the compiled policy that is attached, None where it is not the enforcer's. `facts` are None for an
    index that was set apart, `deadline` is when its oldest document is due, None where nothing is dated. While all
    lifecycles are stopped, `judge_service` says so once, and nothing is late here for that reason.
    """
    if explained.policy is None:
        return None
    judge = _Judge(explained, policy, surroundings, now, facts, closed, deadline)
    verdict = judge.hang()
    if verdict is None:
        return None
    kind, text, remedy = verdict
    return Finding(
        kind=kind,
        category=category.id,
        index=explained.index,
        uuid=facts.uuid if facts else uuid,
        text=f"{explained.index}: {text}",
        remedy=remedy,
    )


_Verdict = tuple[FindingKind, str, str]


@dataclass(frozen=True, slots=True)
class _Judge:
    """The states in which a lifecycle hangs, the most certain first."""

    explained: Explained
    policy: LifecyclePolicy | None
    surroundings: LifecycleService
    now: int
    facts: IndexFacts | None
    closed: bool
    deadline: int | None

    def hang(self) -> _Verdict | None:
        for look in (self._missing, self._stale, self._closed, self._blocked, self._write_index, self._snapshot):
            if (verdict := look()) is not None:
                return verdict
        return self._error() or (self._behind() if self.surroundings.status == RUNNING else None)

    def _missing(self) -> _Verdict | None:
        if self.explained.phase is not None or "does not exist" not in self.explained.reason:
            return None
        text = f"its lifecycle policy {self.explained.policy} does not exist"
        remedy = "create the policy again if it is yours; the enforcer attaches its own again"
        return FindingKind.LIFECYCLE_MISSING, text, remedy

    def _stale(self) -> _Verdict | None:
        if not self.explained.stale:
            return None
        text = (
            f"it is in {self._where()} under policy {self.explained.cached_policy}, although "
            f"{self.explained.policy} is attached; Elasticsearch reports no error"
        )
        return FindingKind.LIFECYCLE_STALE, text, self._again()

    def _closed(self) -> _Verdict | None:
        if not self.closed and self.explained.error != _CLOSED:
            return None
        text = "it is closed, so its lifecycle keeps failing"
        return FindingKind.LIFECYCLE_CLOSED, text, "open the index, or delete it"

    def _blocked(self) -> _Verdict | None:
        if self.policy is not None and self.policy.min_age is None:
            return None
        blocks = self.facts.blocks & FORBID_INDEX_DELETION if self.facts else frozenset()
        if not blocks:
            return None
        names = ", ".join(sorted(f"index.blocks.{block}" for block in blocks))
        text = f"{names} {verb(len(blocks), 'prevents', 'prevent')} its lifecycle from deleting it"
        return FindingKind.LIFECYCLE_BLOCKED, text, f"remove {names}"

    def _write_index(self) -> _Verdict | None:
        if self.explained.phase != "delete" or self.facts is None or not self.facts.write_index:
            return None
        text = (
            "its lifecycle is to delete it, but it is the write index; Elasticsearch reports no error, and a "
            "rollover alone "
            "does not help"
        )
        return FindingKind.LIFECYCLE_WRITE_INDEX, text, f"roll it over, then {self._again()}"

    def _snapshot(self) -> _Verdict | None:
        if self.explained.phase != "delete" or self.explained.index not in self.surroundings.snapshotting:
            return None
        text = "a snapshot of it is in progress: it cannot be deleted until that ends, by its lifecycle or otherwise"
        remedy = "wait for the snapshot, or delete it; consider scheduling snapshots at another time"
        return FindingKind.LIFECYCLE_SNAPSHOT, text, remedy

    def _error(self) -> _Verdict | None:
        if not self.explained.failing:
            return None
        step = self.explained.failed_step or self.explained.step
        said = f": {self.explained.error}: {self.explained.reason}" if self.explained.error else ""
        text = f"its lifecycle fails in step {step}, {counted(self.explained.retries, 'retry', 'retries')} so far{said}"
        remedy = f"fix what GET {self.explained.index}/_ilm/explain reports, or {self._again()}"
        return FindingKind.LIFECYCLE_ERROR, text, remedy

    def _behind(self) -> _Verdict | None:
        expected = expected_deletion(self.explained, self.policy, self.surroundings.poll, self.now)
        if expected is None:
            return None
        if expected + self.surroundings.poll < self.now:
            late = describe_duration(self.now - expected)
            text = f"its lifecycle should have deleted it {late} ago, but waits in {self._where()} without an error"
            return FindingKind.LIFECYCLE_STUCK, text, self._again()
        if self.deadline is None or expected <= self.deadline:
            return None
        text = (
            f"it is due at {format_instant(self.deadline)}, but its lifecycle deletes it at "
            f"{format_instant(expected)}, {describe_duration(expected - self.deadline)} later"
        )
        remedy = (
            "no action needed while the daemon runs: it deletes the index in time; else delete the due "
            "documents manually"
        )
        return FindingKind.LIFECYCLE_LATE, text, remedy

    def _where(self) -> str:
        steps = dict.fromkeys(filter(None, (self.explained.phase, self.explained.action, self.explained.step)))
        return "/".join(steps) or "no phase"

    def _again(self) -> str:
        index = self.explained.index
        return (
            f"reattach its policy (POST {index}/_ilm/remove, then set index.lifecycle.name); the enforcer "
            "does so itself"
        )


def expected_deletion(explained: Explained, policy: LifecyclePolicy | None, poll: int, now: int) -> int | None:
    """Return the latest instant at which one of the enforcer's policies has deleted an index if nothing hangs.

    None where that cannot be told: another's policy, or an index whose lifecycle has not begun; or where it deletes
    nothing.
    """
    if policy is None or explained.since is None or explained.created is None or explained.step_since is None:
        return None
    if policy.min_age is None:
        return None
    begins = explained.since + policy.min_age
    if explained.phase == "delete":
        # The poll that noticed `min_age` is over.
        return max(begins, explained.action_since or explained.step_since) + (DELETE_POLLS - 1) * poll
    if policy.max_age is None or not _before_rollover(explained):
        # It may have been attached when `min_age` was over.
        return max(begins, explained.step_since) + DELETE_POLLS * poll
    # An index without documents is not rolled over at its age: its rollover is still to come.
    rolled = max(explained.created + policy.max_age + ROLLOVER_POLLS * poll, now)
    counts_from_rollover = explained.since == explained.created
    return (rolled + policy.min_age if counts_from_rollover else max(rolled, begins)) + DELETE_POLLS * poll


def _before_rollover(explained: Explained) -> bool:
    return explained.phase in (None, "new") or (explained.phase == "hot" and explained.action != "complete")
