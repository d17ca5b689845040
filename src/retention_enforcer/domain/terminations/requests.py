"""Requests: what an entitled system, or the command line, asks for a customer, and whether it can be meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retention_enforcer.domain.errors import ConfigurationError
from retention_enforcer.domain.instants import DAY, parse_instant
from retention_enforcer.domain.subjects.identity import Subject, SubjectKind, subject_of

USUAL_PAST = 7 * DAY
"""How far back a termination may be reported without being confirmed; the shortest promise counts from then on."""


class Ask(StrEnum):
    """What is asked for; the names are those of the request documents."""

    TERMINATE = "terminate"
    REINSTATE = "reinstate"
    ERASE = "erase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that can be meant. Instants in epoch milliseconds."""

    id: str
    """The document's."""
    ask: Ask
    subject: Subject
    terminated_at: int | None
    """Since when the promise runs; None: since it is seen."""
    reason: str
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A request that cannot be meant, and why; without anything of its content."""

    id: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One request document, and its place in the order."""

    id: str
    sequence: int
    """Its `_seq_no`: one that was changed comes again, in its new place."""
    body: Mapping[str, Any]
    rewritten: bool = False
    """Whether it was written more than once: its place is that of the last time."""


def read_request(document_id: str, body: Mapping[str, Any]) -> Request | Malformed:
    """Return what a request document asks for."""
    try:
        return Request(
            id=document_id,
            ask=Ask(body["action"]),
            subject=_subject(body),
            terminated_at=_instant(body.get("terminated_at")),
            reason=_text(body, "reason"),
            requested_by=_text(body, "requested_by"),
        )
    except ConfigurationError as error:
        return Malformed(id=document_id, problem=f"{error.message}: {error.remedy}")
    except KeyError as error:
        return Malformed(id=document_id, problem=f"{error.args[0]} is missing")
    except (TypeError, ValueError):
        return Malformed(id=document_id, problem="kind, action or terminated_at has an invalid value")


def request_body(
    ask: Ask, subject: Subject, *, terminated_at: str | None, reason: str, requested_by: str
) -> dict[str, Any]:
    """Return a request as its document; `terminated_at` as RFC 3339."""
    body = {
        "kind": subject.kind.value,
        "id": subject.id,
        "application": subject.application,
        "action": ask.value,
        "terminated_at": terminated_at,
        "reason": reason,
        "requested_by": requested_by,
    }
    return {name: value for name, value in body.items() if value is not None}


CHANGED = "it was changed after it was processed; write a new request in a document with another id"
"""Why a request that was taken in already is not taken in again: a request is known by the id of its document."""


def is_unusual(terminated_at: int, now: int) -> bool:
    """Whether a person has to confirm this time: it is ahead, or more than a week back."""
    return terminated_at > now or terminated_at < now - USUAL_PAST


def _subject(body: Mapping[str, Any]) -> Subject:
    kind = SubjectKind(body["kind"])
    id_, application = body["id"], body.get("application")
    if not isinstance(id_, str) or not isinstance(application, str | None):
        raise TypeError("an id must be a string")
    if kind is SubjectKind.ACCOUNT and application is None:
        return subject_of(account=id_)
    if kind is SubjectKind.APPLICATION and application is None:
        return subject_of(application=id_)
    if kind is SubjectKind.USER:
        return subject_of(application=application, user=id_)
    raise ConfigurationError("only a user is named with an application", "remove `application`")


def _instant(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("not a time")
    return parse_instant(value) if isinstance(value, str) else value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        return ""
    value.encode()  # a lone surrogate is no text: a ValueError, so that the request is refused
    return " ".join(value.split())
