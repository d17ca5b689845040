"""What the ledger tells of terminations, once the registry cannot."""

from __future__ import annotations

from typing import Any

from retention_enforcer.domain.pseudonyms import Pseudonyms
from retention_enforcer.domain.requests import Ask
from retention_enforcer.domain.subjects import subject_of
from retention_enforcer.domain.termination_records import expunged_of, purged_of, told_by, who_of
from retention_enforcer.domain.terminations import Termination


def of(number: int) -> Termination:
    subject = subject_of(application="7")
    return Termination(
        key=f"abcdefgh-{number:012d}",
        request="r",
        pseudonym=Pseudonyms(b"k" * 32).of(subject.text),
        kind=subject.kind,
        ask=Ask.TERMINATE,
        subject=subject,
        registered_at=0,
        terminated_at=0,
    )


def record(action: str, reason: str, kind: str = "termination") -> dict[str, Any]:
    return {"kind": kind, "action": action, "reason": reason}


def about(termination: Termination, action: str, text: str = "") -> dict[str, Any]:
    who = who_of(termination)
    return record(action, f"{who}: {text}" if text else who)


def test_each_round_of_the_same_subject_is_told_apart() -> None:
    told = told_by(
        [
            about(of(1), "registered", "terminated at 2026-01-01T00:00:00.000Z; reason hmac-sha256:x:y"),
            about(of(1), "cancelled", "reinstated"),
            about(of(2), "registered", "terminated at 2026-01-01T00:00:00.000Z"),
            about(of(2), "purging"),
            about(of(3), "registered"),
            about(of(3), "closed", "5 documents were purged"),
        ]
    )
    assert told.open == {who_of(of(2))}
    assert told.ended == {who_of(of(1)), who_of(of(3))}


def test_an_index_is_unclean_until_it_was_expunged_after_the_last_purge() -> None:
    told = told_by(
        [
            about(of(1), "purged", purged_of(5, "clean", "outcome 3")),
            about(of(1), "purged", purged_of(5, "again", "outcome 4")),
            record("expunge", expunged_of("clean", "no deleted document is left, after 1 expunges")),
            record("expunge", expunged_of("again", "no deleted document is left, after 1 expunges")),
            about(of(2), "purged", purged_of(1, "again", "outcome 9")),
            about(of(3), "purged", purged_of(1, "again", "interrupted, counted afterwards")),
        ]
    )
    assert told.unclean == {"again": {who_of(of(2)), who_of(of(3))}}


def test_what_is_not_about_terminations_tells_nothing() -> None:
    reason = f"{who_of(of(1))}: 5 documents of index u, outcome 3"
    assert told_by([record("registered", reason, kind="finding"), record("purged", "nothing"), {}]).open == frozenset()
