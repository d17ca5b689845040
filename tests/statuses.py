"""What the daemon knows, in every state that its page has to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parse

from builders import NOW, category, facts, index
from retention_enforcer.domain.expiry.proof import Proof, verify
from retention_enforcer.domain.expiry.rules import build_plan
from retention_enforcer.domain.facts import CategoryFacts
from retention_enforcer.domain.findings import FindingKind, Severity
from retention_enforcer.domain.instants import DAY, HOUR, MINUTE, SECOND
from retention_enforcer.domain.ledger.records import Head
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import SubjectKind
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import OpenItem, Purged, Termination
from retention_enforcer.enforcement.memory import Memory
from retention_enforcer.enforcement.reader import Look
from retention_enforcer.policy_file import load_policy
from retention_enforcer.reporting.known import (
    CategorySeen,
    ClusterSeen,
    FindingSeen,
    FindingsSeen,
    HoldSeen,
    JobSeen,
    Known,
    LeaseSeen,
    SituationSeen,
    TerminationsSeen,
)
from retention_enforcer.reporting.promises import next_due
from retention_enforcer.reporting.status import build_status
from retention_enforcer.web.metrics import exposition

TRTC = load_policy(Path(__file__).parents[1] / "config" / "trtc.yaml")
CROWD = Policy(name="crowd", categories=tuple(category(f"category-{n:02d}", indices=[f"c{n}-*"]) for n in range(60)))
FINGERPRINT = "5ca1ab1e" * 8
INTERVAL = 5 * MINUTE
CLUSTER = ClusterSeen(uuid="Yg0p1OeXQx6j2k3m4n5o6p", name="production", version="8.17.4", answered_at=NOW - 4 * SECOND)
JOBS = ("terminations", "coverage", "situation")


def found(kind: FindingKind = FindingKind.UNCLAIMED, **more: Any) -> FindingSeen:
    values: dict[str, Any] = {
        "id": sha256(repr((kind.value, sorted(more.items()))).encode()).hexdigest()[:12],
        "category": None,
        "index": None,
        "severity": Severity.WARNING,
        "text": "billing-2026 is claimed by no category",
        "remedy": "name it in the policy, or under ignore",
        "first_seen": NOW - 3 * DAY,
    }
    return FindingSeen(kind=kind, **{**values, **more})


def termination(number: int = 1, **more: Any) -> Termination:
    values: dict[str, Any] = {
        "key": f"t{number}",
        "request": "",
        "pseudonym": "hmac-sha256:0a1b2c3d:" + sha256(str(number).encode()).hexdigest(),
        "kind": SubjectKind.APPLICATION,
        "ask": Ask.TERMINATE,
        "subject": None,
        "registered_at": NOW - 2 * DAY,
        "terminated_at": NOW - 2 * DAY,
    }
    return Termination(**{**values, **more})


def look_at(
    of: Mapping[str, CategoryFacts],
    policy: Policy = TRTC,
    *,
    memories: Mapping[str, Memory] | None = None,
    note: str = "",
) -> tuple[Look, list[Proof]]:
    """A look at all categories, of which these facts were observed and nothing of the others; the proofs of it."""
    looked = {c.id: replace(of.get(c.id, facts()), category=c.id) for c in policy.categories}
    plans = {id_: build_plan(policy.category(id_), policy.margin, one, NOW) for id_, one in looked.items()}
    proofs = [verify(policy.category(id_), one, plans[id_]) for id_, one in looked.items()]
    return Look(cluster="c", as_of=NOW, note=note, memories=memories or {}, facts=looked, plans=plans), proofs


def seen(policy: Policy, of: CategoryFacts, *, last_purge: int | None = None) -> CategorySeen:
    one = policy.category(of.category)
    plan = build_plan(one, policy.margin, of, of.as_of)
    proof = verify(one, of, plan)
    findings = tuple(FindingSeen.of(finding, NOW - 3 * DAY) for finding in proof.findings)
    return CategorySeen(
        proof=replace(proof, findings=()), findings=findings, next_due=next_due(plan), last_purge=last_purge
    )


def all_seen(policy: Policy, *, at: int = NOW - 42 * SECOND, **of: CategoryFacts) -> dict[str, CategorySeen]:
    """A proof of each category: what is given, underscores for hyphens, else a healthy one."""
    proofs = {}
    for number, one in enumerate(policy.categories):
        ages = [(13 * DAY + 4 * HOUR) - number * 9 * HOUR, DAY] if one.max_age else []
        logs = [] if one.never_stored else [index(f"{one.id}-a", ages=ages, documents=1_204 * (number + 1), now=at)]
        healthy = facts(*logs, now=at)
        proofs[one.id] = seen(
            policy,
            replace(of.get(one.id.replace("-", "_"), healthy), category=one.id),
            last_purge=NOW - (number + 1) * 7 * HOUR if one.max_age else None,
        )
    return proofs


def jobs(policy: Policy, *, at: int = NOW - 42 * SECOND) -> dict[str, JobSeen]:
    names = (*(f"category {one.id}" for one in policy.categories), *JOBS)
    return {n: JobSeen(name=n, last_success=at if n != "situation" else NOW - 4 * SECOND) for n in names}


def hold(id_: str, on: str, until: int) -> HoldSeen:
    return HoldSeen(id=id_, on=on, until=until, remaining=until - NOW)


def situation(**more: Any) -> SituationSeen:
    values: dict[str, Any] = {
        "cluster": CLUSTER,
        "accepted": FINGERPRINT,
        "head": Head(4_711, "ab" * 32),
    }
    return SituationSeen(**{**values, **more})


def terminations(*those: Termination, at: int = NOW - 30 * SECOND, findings: Iterable[FindingSeen] = ()) -> Any:
    return TerminationsSeen(at=at, terminations=those, findings=tuple(findings))


def known(policy: Policy = TRTC, **more: Any) -> Known:
    """A healthy daemon that acts; anything of it can be given another way."""
    values: dict[str, Any] = {
        "policy": policy,
        "fingerprint": FINGERPRINT,
        "mode": "enforce",
        "instance": "node-1",
        "version": "0.1.0",
        "grace": DAY,
        "interval": INTERVAL,
        "started_at": NOW - 9 * DAY,
        "started": True,
        "lease": LeaseSeen(held=True, epoch=3, holder="node-1", seen_ago=2.0),
        "situation": situation(),
        "jobs": jobs(policy),
        "categories": all_seen(policy),
        "coverage": FindingsSeen(at=NOW - 42 * SECOND, findings=()),
        "terminations": terminations(),
    }
    return Known(**{**values, **more})


def just_started(mode: str = "enforce") -> Known:
    """A daemon that has seen nothing yet."""
    lease = LeaseSeen(held=False, epoch=None, holder=None, seen_ago=None) if mode == "enforce" else None
    return known(
        mode=mode,
        started_at=NOW - 2 * SECOND,
        started=False,
        lease=lease,
        situation=SituationSeen(),
        jobs={},
        categories={},
        coverage=None,
        terminations=None,
    )


HEALTHY = known(
    terminations=terminations(
        termination(1),
        termination(2, kind=SubjectKind.ACCOUNT, terminated_at=NOW - 20 * HOUR, registered_at=NOW - 20 * HOUR),
        termination(
            3,
            ask=Ask.ERASE,
            kind=SubjectKind.USER,
            begun_at=NOW - DAY,
            purged_at=NOW - DAY,
            erased_at=NOW - 20 * HOUR,
            purges=(Purged(category="uin", index="uin", uuid="u", documents=1_234, at=NOW - DAY, record=12),),
        ),
        termination(4, closed_at=NOW - DAY),
    ),
    situation=situation(holds=(hold("6f1d20", "category dashboard", NOW + 9 * DAY),)),
)

BROKEN_LOGS = facts(
    index("trtc-backend-logs-2026.01.17", ages=[14 * DAY + 3 * HOUR] * 12 + [DAY], now=NOW - 42 * SECOND),
    now=NOW - 42 * SECOND,
)
STALE = NOW - 47 * MINUTE


def broken() -> Known:
    """Much that can go wrong at once."""
    proofs = all_seen(TRTC, backend_logs=BROKEN_LOGS)
    proofs["troubleshooting"] = all_seen(TRTC, at=STALE)["troubleshooting"]
    away = JobSeen(
        name="category troubleshooting",
        last_success=STALE,
        failed_at=NOW - 50 * SECOND,
        error="troubleshooting-a answers in part only",
        remedy="see it",
    )
    late = termination(5, registered_at=NOW - 8 * DAY, terminated_at=NOW - 8 * DAY, begun_at=NOW - DAY, held_back=False)
    return known(
        categories=proofs,
        jobs={**jobs(TRTC), away.name: away},
        coverage=FindingsSeen(
            at=NOW - 42 * SECOND,
            findings=(
                found(index="billing-2026"),
                found(
                    FindingKind.SNAPSHOT_EXPIRED,
                    text="snapshot nightly-2026.01.02 of repository backup holds data past the limit of 14d",
                    remedy="delete it, or shorten what its policy keeps",
                ),
            ),
        ),
        terminations=terminations(
            replace(late, open_items=(OpenItem(kind="snapshot", text="a snapshot holds it", until=NOW + 3 * DAY),)),
            termination(6, held_back=True),
            termination(7, registered_at=NOW - 6 * DAY, terminated_at=NOW - 6 * DAY, begun_at=NOW - HOUR),
            findings=[
                found(FindingKind.TERMINATION_LATE, category="on-request", severity=Severity.ERROR, text="is past")
            ],
        ),
        situation=situation(stopped_at=NOW - HOUR),
    )


def crowded() -> Known:
    """Sixty categories, five hundred terminations, three hundred findings."""
    those = [
        termination(
            n,
            registered_at=NOW - n * HOUR // 4,
            terminated_at=NOW - n * HOUR // 4,
            begun_at=NOW - HOUR if n > 100 else None,
            open_items=(OpenItem(kind="snapshot", text="a snapshot holds it, " + "x" * 120),) if n % 50 == 0 else (),
        )
        for n in range(1, 501)
    ]
    findings = [
        found(FindingKind.CLOSED, category=f"category-{n % 60:02d}", index="i" * 200 + str(n), severity=Severity.ERROR)
        for n in range(300)
    ]
    late = facts(index("a", ages=[15 * DAY] * 3, now=NOW - 42 * SECOND), now=NOW - 42 * SECOND)
    proofs = all_seen(CROWD, category_07=late)
    return known(CROWD, categories=proofs, terminations=terminations(*those, findings=findings))


def exported() -> set[str]:
    """The names of all samples that a daemon in full swing exports."""
    known = replace(HEALTHY, coverage=broken().coverage)
    text = exposition(known, build_status(known, NOW), frozenset(), "")[0].decode()
    return {sample.name for family in parse(text) for sample in family.samples}
