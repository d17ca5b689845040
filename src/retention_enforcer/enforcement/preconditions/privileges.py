"""The self-test of privileges: what is missing, with the feature that needs it, and what is far too much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from retention_enforcer.domain.errors import Refused, RequestRejected
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import AccessRole, GrantedPrivileges, Missing, role_name


class AccessLook(Protocol):
    """Asks the cluster's security about the connection."""

    def granted(self, role: AccessRole, policy: Policy) -> GrantedPrivileges | None:
        """Return what of a role's privileges the connection has, or None where the cluster's security is off."""


def described(missing: Missing) -> str:
    """Return a missing privilege in a few words: what, where, and what does not work without it."""
    right = missing.right
    where = ", ".join(missing.names) or right.scope
    return f"privilege {right.privilege} on {where} is missing; it is needed for {right.feature} ({right.why})"


def shortcomings(held: GrantedPrivileges, role: AccessRole) -> Iterator[tuple[Missing, RequestRejected]]:
    """Yield what is missing, as the error that it is."""
    for missing in held.missing:
        remedy = f"grant the role {role_name(role)}, which `retention-enforcer setup --print` shows"
        yield missing, RequestRejected(described(missing), remedy)


def raise_if_blind(held: GrantedPrivileges, role: AccessRole) -> None:
    """Raise Refused where indices of the policy may not be looked at: what is hidden could be taken for not there."""
    for missing, error in shortcomings(held, role):
        if missing.blinds:
            raise Refused(f"nothing is deleted: {error.message}", error.remedy)


def excess(held: GrantedPrivileges, role: AccessRole) -> str | None:
    """Return what to say where far too much is allowed, or None."""
    remedy = f"create an API key with retention-enforcer setup --key {role}"
    if held.superuser:
        return f"{held.user} may do everything on this cluster, which is far more than the {role} needs; {remedy}"
    if held.may_change_ledger:
        return f"{held.user} may change or delete ledger records, which only a superuser should; {remedy}"
    return None
