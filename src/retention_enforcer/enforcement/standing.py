"""Whether this process may act now: the cluster it believes to face, the operator's word, and its own memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.instants import MINUTE, describe_duration
from retention_enforcer.domain.ledger import Head
from retention_enforcer.domain.policy import Policy
from retention_enforcer.enforcement.ports import LedgerStore

CLOCK_TOLERANCE = MINUTE
"""How far the clocks of the enforcer and of the cluster may be apart."""

CLUSTER, LEDGER_MEMORY, POLICY, CHECKPOINT = "cluster", "ledger", "policy", "checkpoint"
"""Keys of the documents in `retention-state`."""


def raise_if_wrong_clock(cluster: ClusterFacts, now: int) -> None:
    """Raise Refused where the enforcer's and the cluster's clocks disagree: one of them would delete too early."""
    apart = abs(now - cluster.time)
    if apart > CLOCK_TOLERANCE:
        raise Refused(
            f"this clock and the cluster's are {describe_duration(apart)} apart: nothing is deleted",
            "correct the wrong one of the two (NTP), then start again",
        )


def raise_if_wrong_cluster(cluster: ClusterFacts, pinned: str | None, remembered: Mapping[str, Any] | None) -> None:
    """Raise Refused where the cluster is not the pinned one, or not the one that was first recorded."""
    expected = pinned or (remembered or {}).get("uuid")
    if expected and expected != cluster.uuid:
        raise Refused(
            f"this is the cluster {cluster.uuid}, not {expected}: nothing is deleted",
            "correct ENFORCER_ELASTICSEARCH_URL or ENFORCER_CLUSTER_UUID",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerMemory:
    """What `retention-state` remembers of the ledger."""

    uuid: str
    head: Head
    settled: int
    """Up to this sequence every intent has its outcome for good."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> LedgerMemory:
        """Read it from its document."""
        with readable("what retention-state remembers of the ledger"):
            head = Head(int(body["sequence"]), str(body["hash"]))
            return cls(uuid=str(body["uuid"]), head=head, settled=int(body["settled"]))

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {"uuid": self.uuid, "sequence": self.head.sequence, "hash": self.head.hash, "settled": self.settled}


def raise_if_ledger_lost(ledger: LedgerStore, remembered: LedgerMemory | None) -> None:
    """Raise Refused where the ledger is another one, ends before what is remembered, or holds another record there."""
    if remembered is None:
        head = ledger.head()
        if head.sequence:
            raise Refused(
                f"the ledger has {head.sequence} records, but retention-state remembers none: nothing is deleted",
                "restore it, or look at what happened and say so with `retention-enforcer ledger adopt`",
            )
        return
    remedy = "restore it, or look at what happened and say so with `retention-enforcer ledger adopt`"
    if ledger.uuid() != remembered.uuid:
        raise Refused("retention-ledger is not the index it was: nothing is deleted", remedy)
    known = remembered.head
    if known.sequence == 0:
        return
    record = ledger.get(known.sequence)
    if record is None:
        raise Refused(f"the ledger ends before record {known.sequence}, which it had: nothing is deleted", remedy)
    if record.get("hash") != known.hash:
        raise Refused(f"record {known.sequence} of the ledger is not what it was: nothing is deleted", remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under what an enforcer works, fixed for the life of the process."""

    policy: Policy
    fingerprint: str
    max_share: float
    pinned_cluster: str | None = None
    accept: str | None = None
    """The fingerprint that the environment accepts."""

    def raise_if_not(self, accepted: str | None) -> None:
        """Raise Refused where the policy in force here is not the one that was accepted last."""
        mine = self.fingerprint
        if accepted == mine:
            return
        remedy = f"look at `retention-enforcer plan`, then: retention-enforcer policy accept (fingerprint {mine})"
        if self.accept and self.accept != mine:
            raise Refused(f"ENFORCER_ACCEPT_POLICY is {self.accept}, but the policy here is {mine}", remedy)
        if self.accept and accepted is not None:
            raise Refused(
                f"the policy here is {mine}, and {accepted} is the one accepted last: nothing is deleted",
                f"what ENFORCER_ACCEPT_POLICY names counts once, from when a run first saw it; {remedy}",
            )
        if accepted is not None:
            raise Refused(f"the policy was changed since {accepted} was accepted: nothing is deleted", remedy)
        raise Refused("nobody accepted this policy: nothing is deleted", remedy)


def accepted_fingerprint(control: Control, policy: Mapping[str, Any] | None) -> str | None:
    """Return the last accepted fingerprint: the operator's in the control index, or the environment's, if later.

    `policy` is what `retention-state` remembers. Each fingerprint that an environment ever named counts from when it
    was first seen: an instance that comes back with an old word says nothing new.
    """
    words = words_of(policy)
    if words:
        named, at = max(words.items(), key=lambda word: (word[1], word[0]))
        if at >= control.accepted_at:
            return named
    return control.accepted


def words_of(policy: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the fingerprints that environments named, and when each was first seen (epoch milliseconds)."""
    if not policy:
        return {}
    with readable("what retention-state remembers of accepted policies"):
        words = {str(named): int(at) for named, at in policy.get("environment", {}).items()}
        if "at" in policy:  # an earlier form, of the last word alone
            words.setdefault(str(policy["fingerprint"]), int(policy["at"]))
        return words
