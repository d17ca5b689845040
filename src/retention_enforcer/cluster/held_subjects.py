"""Whom holds on subjects cover: an account takes its applications along."""

from __future__ import annotations

from collections.abc import Sequence

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.ownership import applications_of
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.holds import HeldSubject, Hold
from retention_enforcer.domain.policy import Policy
from retention_enforcer.domain.subjects import Subject, SubjectKind


class HeldSubjects:
    """Finds out whose documents are held; changes nothing."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities) -> None:
        self._client = client
        self._capabilities = capabilities

    def of(self, policy: Policy, holds: Sequence[Hold], now: int) -> tuple[HeldSubject, ...]:
        """Return the subjects of these holds; with an account, every application that is or ever was named with it.

        Asks the cluster only where an account is held. Raises Refused where it cannot be told which applications
        these are.
        """
        held = [HeldSubject(hold=hold, subject=hold.subject) for hold in holds if hold.subject is not None]
        accounts = [one for one in held if one.subject.kind is SubjectKind.ACCOUNT]
        if not accounts:
            return tuple(held)
        ids = {one.subject.id for one in accounts}
        owned = applications_of(self._client, policy, ids, now, self._capabilities)
        along = [
            HeldSubject(hold=one.hold, subject=Subject(kind=SubjectKind.APPLICATION, id=application))
            for one in accounts
            for application in sorted(owned[one.subject.id])
        ]
        return (*held, *along)
