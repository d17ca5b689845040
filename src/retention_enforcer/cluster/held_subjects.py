"""Whom holds on subjects cover, and what belongs to an account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.ownership import applications_of, owners_of
from retention_enforcer.cluster.preflight import Capabilities
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.holds.hold import Hold
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.subjects.identity import Ownership, Subject, SubjectKind
from retention_enforcer.domain.subjects.query import SubjectQuery


class HeldSubjects:
    """Finds out whose documents are held; changes nothing."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities) -> None:
        self._client = client
        self._capabilities = capabilities

    def of(self, policy: Policy, holds: Sequence[Hold], now: int) -> tuple[SubjectQuery, ...]:
        """Return the subjects of these holds; with an account, every application that is or ever was named with it.

        Asks the cluster only where an account is held. Where it cannot be told which applications these are, every
        index that names applications is held as a whole, and no other.
        """
        held = {hold: hold.subject for hold in holds if hold.subject is not None}
        accounts = {hold: subject.id for hold, subject in held.items() if subject.kind is SubjectKind.ACCOUNT}
        found = [_sought(hold, subject) for hold, subject in held.items()]
        if accounts:
            try:
                owned = applications_of(self._client, policy, set(accounts.values()), now, self._capabilities)
            except Refused as error:
                why = f"it is unknown which applications belong to the held account: {error.message}"
                return tuple(replace(one, indistinguishable=why) if _is_account(one) else one for one in found)
            found += [
                _sought(hold, Subject(kind=SubjectKind.APPLICATION, id=application))
                for hold, account in accounts.items()
                for application in sorted({*owned[account], *hold.applications})
            ]
        return tuple(found)


def _is_account(query: SubjectQuery) -> bool:
    return query.subject.kind is SubjectKind.ACCOUNT


def _sought(hold: Hold, subject: Subject) -> SubjectQuery:
    return SubjectQuery(label=hold.id, subject=subject, note=str(hold), spare_tenants_own=True)


class Owners:
    """Finds out which applications belong to an account; changes nothing."""

    def __init__(self, client: Elasticsearch, capabilities: Capabilities) -> None:
        self._client = client
        self._capabilities = capabilities

    def of(self, policy: Policy, account: str, known: Collection[str], now: int) -> Ownership:
        """Return what certainly belongs to an account, and which of the known applications belong to others now."""
        return owners_of(self._client, policy, [account], now, self._capabilities, also=known)
