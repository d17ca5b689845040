"""Reads what the cluster knows of index lifecycles, and puts, attaches and detaches the enforcer's own.

Everything that changes something names concrete indices, is sent once, and is followed by a look: what is attached then
is what the cluster's state says, not what the request answered. Detaching works whatever blocks an index carries,
closed ones too; attaching does not (measured on 8.10).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from elasticsearch import Elasticsearch

from retention_enforcer.cluster.deletion import Permission
from retention_enforcer.cluster.errors import translated
from retention_enforcer.cluster.expressions import concrete, packed
from retention_enforcer.cluster.state import read_state
from retention_enforcer.domain.errors import ClusterUnavailable, OutcomeUnknown, Refused, RequestRejected
from retention_enforcer.domain.lifecycle_choice import Attachment
from retention_enforcer.domain.lifecycle_foreign import milliseconds
from retention_enforcer.domain.lifecycle_policies import LifecyclePolicy, Stored, compare_stored
from retention_enforcer.domain.lifecycle_watch import Explained

_EXPLAINED = [
    "indices.*.managed",
    "indices.*.policy",
    "indices.*.index_creation_date_millis",
    "indices.*.lifecycle_date_millis",
    "indices.*.phase",
    "indices.*.action",
    "indices.*.action_time_millis",
    "indices.*.step",
    "indices.*.step_time_millis",
    "indices.*.failed_step",
    "indices.*.failed_step_retry_count",
    "indices.*.step_info.type",
    "indices.*.step_info.reason",
    "indices.*.step_info.message",
    "indices.*.phase_execution.policy",
]
_ATTACHED = [
    "metadata.indices.*.state",
    "metadata.indices.*.settings.index.uuid",
    "metadata.indices.*.settings.index.lifecycle",
    "metadata.indices.*.rollover_info",
]
_AUTHENTICATION = "_xpack_security_authentication"
_API_KEY_REALM = "_es_api_key"
_POLL_INTERVAL = "*.indices.lifecycle.poll_interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom the enforcer speaks to the cluster."""

    name: str
    """The user's name, or the id of the API key."""
    realm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A lifecycle policy as the cluster has it."""

    content: Mapping[str, Any]
    """`phases` and `_meta`."""
    authority: bytes | None
    """With whose rights it deletes: those of who put it last, as Elasticsearch encodes them; None without security."""

    def acts_as(self, identity: Identity | None) -> bool:
        """Whether it deletes with the rights of this user or API key; True where there is no security.

        Elasticsearch keeps them in a form of its own, of which only this is relied upon: texts stand in it with their
        length before them, and what an API key put names its realm. Read on 8.10.
        """
        if self.authority is None or identity is None:
            return True
        key = _encoded(_API_KEY_REALM) in self.authority
        known = _encoded(identity.name) in self.authority and _encoded(identity.realm) in self.authority
        return known and key == (identity.realm == _API_KEY_REALM)


class ClusterLifecycles:
    """The lifecycles of a cluster that has them (`Capabilities.has_lifecycles`)."""

    def __init__(self, client: Elasticsearch, timeout: float = 30.0) -> None:
        self._reading = client
        # The cluster gives a request up before its answer would be lost here: nothing is carried out long afterwards.
        self._patience = f"{int(timeout * 1_000 / 2)}ms"
        self._once = client.options(max_retries=0, retry_on_timeout=False)

    # --- reading ---

    def status(self) -> str:
        """Return `operation_mode`: RUNNING, STOPPING or STOPPED."""
        with translated():
            return str(self._reading.ilm.get_status(filter_path="operation_mode")["operation_mode"])

    def poll_interval(self) -> int:
        """Return `indices.lifecycle.poll_interval` as it is in force, in milliseconds."""
        with translated():
            answer = self._reading.cluster.get_settings(include_defaults=True, filter_path=_POLL_INTERVAL).body
        for level in ("transient", "persistent", "defaults"):
            setting = answer.get(level, {}).get("indices", {}).get("lifecycle", {}).get("poll_interval")
            if setting is not None and (poll := milliseconds(str(setting))) is not None:
                return poll
        mend = "see that the enforcer's role has the cluster privilege monitor"
        raise ClusterUnavailable("the cluster does not say how often it looks at lifecycles", mend)

    def policies(self) -> dict[str, StoredPolicy]:
        """Return all lifecycle policies of the cluster, by name."""
        state = read_state(self._reading, metric=["metadata"], fields=["metadata.index_lifecycle.policies"])
        stored = state.get("metadata", {}).get("index_lifecycle", {}).get("policies", {})
        return {name: _stored(policy) for name, policy in stored.items()}

    def identity(self) -> Identity | None:
        """Return as whom the enforcer speaks, or None where the cluster has no security."""
        try:
            with translated():
                answer = self._reading.security.authenticate().body
        except RequestRejected as error:
            if error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED):  # there is no such request
                return None
            raise
        if "api_key" in answer:
            return Identity(name=str(answer["api_key"]["id"]), realm=_API_KEY_REALM)
        return Identity(name=str(answer["username"]), realm=str(answer["authentication_realm"]["name"]))

    def attachments(self, expressions: Iterable[str]) -> dict[str, Attachment]:
        """Return what is attached to all indices that the expressions reach, by name, closed and blocked ones too."""
        found = {}
        for names in packed(expressions):
            state = read_state(self._reading, metric=["metadata"], fields=_ATTACHED, index=names)
            for name, index in state.get("metadata", {}).get("indices", {}).items():
                found[name] = attachment_of(index)
        return found

    def explain(self, expressions: Iterable[str]) -> dict[str, Explained]:
        """Return how far the lifecycles of all indices are that have one, by name, closed and hidden ones too.

        One request an expression; none of them may reach an index with `index.blocks.metadata`, for which all are
        refused (403): see `expressions.covering`.
        """
        found = {}
        for names in expressions:
            # The client's own method cannot be told to reach closed indices.
            with translated():
                answer: Any = self._reading.perform_request(
                    "GET",
                    f"/{quote(names, safe='*,')}/_ilm/explain",
                    params={"only_managed": "true", "expand_wildcards": "all", "filter_path": ",".join(_EXPLAINED)},
                    headers={"accept": "application/json"},
                ).body
            found.update({name: Explained.of(name, entry) for name, entry in answer.get("indices", {}).items()})
        return found

    def snapshotting(self) -> frozenset[str]:
        """Return the indices of which a snapshot is being taken: nobody can delete them meanwhile."""
        state = read_state(self._reading, metric=["customs"], fields=["snapshots.snapshots.indices.name"])
        running = state.get("snapshots", {}).get("snapshots", [])
        return frozenset(str(index["name"]) for snapshot in running for index in snapshot.get("indices", []))

    # --- policies ---

    def put_policy(self, policy: LifecyclePolicy) -> None:
        """Put a compiled policy, with the rights of the enforcer from now on. Putting the same again changes nothing.

        Raises Refused where there is a policy of that name that is not the enforcer's.
        """
        stored = self.policies().get(policy.name)
        _raise_if_foreign(policy, stored)
        with translated(destructive=True):
            self._once.ilm.put_lifecycle(
                name=policy.name,
                policy=policy.body["policy"],
                master_timeout=self._patience,
                timeout=self._patience,
            )

    def delete_policy(self, policy: LifecyclePolicy) -> None:
        """Delete a policy that is the enforcer's; nothing where it is gone.

        Raises Refused where it is not the enforcer's, and RequestRejected while an index has it.
        """
        stored = self.policies().get(policy.name)
        if stored is None:
            return
        _raise_if_foreign(policy, stored)
        with translated(destructive=True):
            self._once.ilm.delete_lifecycle(name=policy.name, master_timeout=self._patience, timeout=self._patience)

    # --- indices ---

    def attach(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = nullcontext,
    ) -> dict[str, str]:
        """Attach a policy to indices that have none; return those of them that a look shows without it, and why.

        `origination` is the date (epoch milliseconds) that their age counts from, None for that of their creation or
        rollover. Indices that are gone are passed over. For indices that have another policy: `swap`.
        """
        settings = {
            "index.lifecycle.name": policy,
            "index.lifecycle.origination_date": origination,
            "index.lifecycle.rollover_alias": rollover_alias,
            # Both would make the age count from another date: from now, or from the index's name.
            "index.lifecycle.indexing_complete": None,
            "index.lifecycle.parse_origination_date": None,
        }

        def put(some: Sequence[str]) -> None:
            self._once.indices.put_settings(
                index=some, settings=settings, master_timeout=self._patience, timeout=self._patience
            )

        failures = self._change(names, put, permit)
        wanted = Attachment(uuid="", policy=policy, origination=origination, rollover_alias=rollover_alias)
        return self._amiss(names, wanted, failures)

    def detach(self, names: Collection[str], *, permit: Permission = nullcontext) -> frozenset[str]:
        """Detach whatever lifecycle these indices have; return those that a look shows with one still.

        It ends also what a lifecycle has begun. `origination_date` stays in their settings, without effect.
        """

        def remove(some: Sequence[str]) -> None:
            self._once.ilm.remove_policy(index=",".join(some))  # what failed it says, but a look says it as well

        self._change(names, remove, permit)
        there = self._attachments_of(names)
        return frozenset(name for name, attached in there.items() if attached.policy is not None)

    def swap(
        self,
        names: Collection[str],
        policy: str,
        *,
        origination: int | None = None,
        rollover_alias: str | None = None,
        permit: Permission = nullcontext,
    ) -> dict[str, str]:
        """Give indices another policy, or another date; return those that a look shows without it, and why.

        Detached first: that works in every state, where overwriting the name lets an index that waits for its rollover
        go on with the old policy in silence, and keeps the rollover's date where creation's has to count.
        """
        attached = self.detach(names, permit=permit)
        failures = dict.fromkeys(attached, "its old lifecycle could not be detached")
        free = sorted(set(names) - attached)
        return failures | self.attach(
            free, policy, origination=origination, rollover_alias=rollover_alias, permit=permit
        )

    def _amiss(self, names: Collection[str], wanted: Attachment, failures: Mapping[str, str]) -> dict[str, str]:
        """Return which of the indices that are there do not have what is wanted, or go on with something else."""
        there = self._attachments_of(names)
        amiss = {
            name: failures.get(name, f"it has the lifecycle {attached.policy}")
            for name, attached in there.items()
            if (attached.policy, attached.origination, attached.rollover_alias)
            != (wanted.policy, wanted.origination, wanted.rollover_alias)
        }
        # One that carries a metadata block was refused, and would spoil the explanation of all.
        explained = self._explained(sorted(there.keys() - amiss.keys() - failures.keys()))
        return amiss | {name: f"it goes on with {e.cached_policy}" for name, e in explained.items() if e.stale}

    def _explained(self, names: Sequence[str]) -> dict[str, Explained]:
        """Return how far the lifecycles of those of these indices are that are there: they may go at any moment."""
        try:
            return self.explain(packed(names))
        except RequestRejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        if len(names) == 1:
            return {}
        return {name: found for one in names for name, found in self._explained([one]).items()}

    def _attachments_of(self, names: Collection[str]) -> dict[str, Attachment]:
        """Return what is attached to those of these indices that are there.

        The state of one index of a stream comes with those of all others (measured on 8.10).
        """
        there = self.attachments(sorted(names)) if names else {}
        return {name: attached for name, attached in there.items() if name in names}

    def _change(
        self,
        names: Collection[str],
        request: Callable[[Sequence[str]], None],
        permit: Permission,
    ) -> dict[str, str]:
        """Send a change for lists of indices; return for which it was refused, and why.

        A list of which one index is gone or blocked is refused as a whole: then each is tried alone. Where an answer is
        lost, a look decides.
        """
        failures: dict[str, str] = {}
        for batch in _batches(names):
            try:
                with permit(), translated(destructive=True):
                    request(batch)
            except OutcomeUnknown as error:
                failures |= dict.fromkeys(batch, error.message)
            except RequestRejected as error:
                if len(batch) == 1:
                    failures[batch[0]] = error.message
                    continue
                for name in batch:
                    failures |= self._change([name], request, permit)
        return failures


def attachment_of(index: Mapping[str, Any]) -> Attachment:
    """Return what the state's description of an index says of its lifecycle."""
    settings = index["settings"]["index"]
    lifecycle = settings.get("lifecycle", {})
    origination = int(lifecycle.get("origination_date", -1))
    rollovers = {by: int(info["time"]) for by, info in index.get("rollover_info", {}).items()}
    last = max(rollovers, key=lambda by: rollovers[by], default=None)
    return Attachment(
        uuid=str(settings["uuid"]),
        policy=lifecycle.get("name") or None,
        origination=origination if origination >= 0 else None,
        rollover_alias=lifecycle.get("rollover_alias") or None,
        rolled_over=rollovers[last] if last is not None else None,
        rolled_by=last,
        open=index["state"] == "open",
    )


def _stored(policy: Mapping[str, Any]) -> StoredPolicy:
    encoded = (policy.get("headers") or {}).get(_AUTHENTICATION)
    return StoredPolicy(content=policy["policy"], authority=_decoded(encoded) if encoded else None)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""  # nobody's that is known here


def _encoded(text: str) -> bytes:
    return bytes([len(text) % 128]) + text.encode()


def _raise_if_foreign(policy: LifecyclePolicy, stored: StoredPolicy | None) -> None:
    if stored is not None and compare_stored(policy, stored.content) is Stored.FOREIGN:
        message = f"the lifecycle policy {policy.name} has the enforcer's name, but is not the enforcer's"
        raise Refused(message, "delete or rename it, or give the policy another name")


def _batches(names: Collection[str]) -> Iterator[list[str]]:
    """Yield the names in lists that fit into a URL, if each can only be that of one index."""
    return (expression.split(",") for expression in packed(concrete(sorted(names)))) if names else iter(())
