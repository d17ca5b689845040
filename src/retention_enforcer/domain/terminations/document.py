"""A termination as its document in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind
from retention_enforcer.domain.terminations.requests import Ask
from retention_enforcer.domain.terminations.states import OpenItem, Purged, Termination


def termination_body(termination: Termination) -> dict[str, Any]:
    """Return a termination as its document in the registry."""
    body = asdict(termination)
    body["subject"] = _subject_body(termination.subject)
    body["purges"] = [asdict(purged) for purged in termination.purges]
    return body


def termination_of(body: Mapping[str, Any]) -> Termination:
    """Read a termination from its document. Raises Refused if that is not readable."""
    with readable("a document in retention-terminations"):
        return Termination(
            **{
                **body,
                "kind": SubjectKind(body["kind"]),
                "ask": Ask(body["ask"]),
                "subject": _subject_of(body["subject"]),
                "applications": tuple(body["applications"]),
                "purges": tuple(Purged(**purged) for purged in body["purges"]),
                "open_items": tuple(OpenItem(**item) for item in body["open_items"]),
            }
        )


def _subject_body(subject: Subject | None) -> dict[str, str | None] | None:
    if subject is None:
        return None
    return {"kind": subject.kind.value, "id": subject.id, "application": subject.application}


def _subject_of(body: Mapping[str, str | None] | None) -> Subject | None:
    if body is None:
        return None
    kind, id_ = SubjectKind(str(body["kind"])), str(body["id"])
    return Subject(kind=kind, id=id_, application=body["application"])
