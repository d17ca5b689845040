"""What the user or API key behind the connection may do, and the roles and keys that let others do no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.errors import translated
from retention_enforcer.domain.errors import RequestRejected
from retention_enforcer.domain.policy.names import OWN, OwnIndices
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import (
    AccessRole,
    GrantedPrivileges,
    compared,
    descriptor,
    question,
    rights_of,
    role_name,
)

_MADE_BY = {"made_by": "retention-enforcer"}
_NO_SUCH_REQUEST = (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """An API key that was made now: what is secret of it is told once."""

    id: str
    encoded: str


class Access:
    """Asks the cluster's security, and changes roles and API keys; without security there is nothing of it."""

    def __init__(self, client: Elasticsearch, own: OwnIndices = OWN) -> None:
        self._client = client
        self._once = client.options(max_retries=0)
        self._own = own

    def user(self) -> str | None:
        """Return as whom the connection speaks, or None where the cluster's security is off."""
        answer = authentication(self._client)
        return str(answer["username"]) if answer is not None else None

    def granted(self, role: AccessRole, policy: Policy) -> GrantedPrivileges | None:
        """Return what of a role's privileges the connection has, or None where the cluster's security is off."""
        if self.user() is None:
            return None
        rights = rights_of(role)
        with translated():
            answer = self._client.security.has_privileges(**question(rights, policy, self._own)).body
        return compared(rights, policy, self._own, answer)

    def put_role(self, role: AccessRole, policy: Policy) -> bool:
        """Make a role, or give it exactly the privileges that it must have; return whether it was made now."""
        body = descriptor(rights_of(role), policy, self._own)
        with translated(destructive=True):
            answer = self._once.security.put_role(
                name=role_name(role, self._own), cluster=body["cluster"], indices=body["indices"], metadata=_MADE_BY
            )
        return bool(answer["role"]["created"])

    def make_key(self, role: AccessRole, policy: Policy) -> NewKey:
        """Make an API key with the privileges of a role, and no more than its maker has."""
        with translated(destructive=True):
            answer = self._once.security.create_api_key(
                name=role_name(role, self._own), role_descriptors=self._descriptors(role, policy), metadata=_MADE_BY
            )
        return NewKey(id=str(answer["id"]), encoded=str(answer["encoded"]))

    def keys(self, role: AccessRole) -> tuple[str, ...]:
        """Return the ids of the valid API keys of a role that the connection's user made."""
        with translated():
            answer = self._client.security.get_api_key(name=role_name(role, self._own), owner=True)
        return tuple(str(key["id"]) for key in answer["api_keys"] if _is_valid(key))

    def follow_policy(self, role: AccessRole, policy: Policy, id_: str) -> bool:
        """Give an API key the privileges that its role has now; return whether anything changed."""
        with translated(destructive=True):
            answer = self._once.security.update_api_key(id=id_, role_descriptors=self._descriptors(role, policy))
        return bool(answer["updated"])

    def _descriptors(self, role: AccessRole, policy: Policy) -> dict[str, Any]:
        return {role_name(role, self._own): descriptor(rights_of(role), policy, self._own)}


def _is_valid(key: Mapping[str, Any]) -> bool:
    return not key["invalidated"] and key.get("metadata", {}).get("made_by") == _MADE_BY["made_by"]


def authentication(client: Elasticsearch) -> Mapping[str, Any] | None:
    """Return what the cluster says of whom the connection speaks as, or None where its security is off."""
    try:
        with translated():
            return dict(client.security.authenticate().body)
    except RequestRejected as error:
        if is_no_part_of(error):
            return None
        raise


def is_no_part_of(error: RequestRejected) -> bool:
    """Whether this is how a server answers that cannot keep roles and API keys of its own."""
    return error.status in _NO_SUCH_REQUEST
