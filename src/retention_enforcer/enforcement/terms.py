"""Under what an enforcer works, and which policy may act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused, readable
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.enforcement.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under what an enforcer works, fixed for the life of the process."""

    policy: Policy
    fingerprint: str
    max_share: float
    pinned_cluster: str | None = None
    accept: str | None = None
    """The fingerprint that the environment accepts."""

    def scope(self, control: Control, *, may_act: bool) -> Scope:
        """Return under what one piece of work runs."""
        return Scope(
            policy=self.policy,
            fingerprint=self.fingerprint,
            max_share=self.max_share,
            control=control,
            may_act=may_act,
        )

    def raise_if_not(self, accepted: str | None) -> None:
        """Raise Refused where the policy in force here is not the one that was accepted last."""
        mine = self.fingerprint
        if accepted == mine:
            return
        remedy = f"check `retention-enforcer plan`, then run retention-enforcer policy accept (fingerprint {mine})"
        if self.accept and self.accept != mine:
            raise Refused(f"ENFORCER_ACCEPT_POLICY is {self.accept}, but the policy here is {mine}", remedy)
        if self.accept and accepted is not None:
            raise Refused(
                f"the policy here is {mine}, but {accepted} was accepted last: nothing is deleted",
                f"{remedy}; ENFORCER_ACCEPT_POLICY accepts a policy only once, when a run first sees it",
            )
        if accepted is not None:
            raise Refused(f"the policy was changed after {accepted} was accepted: nothing is deleted", remedy)
        raise Refused("nobody has accepted this policy: nothing is deleted", remedy)


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
    with readable("what retention-state stores about accepted policies"):
        words = {str(named): int(at) for named, at in policy.get("environment", {}).items()}
        if "at" in policy:  # an earlier form, of the last word alone
            words.setdefault(str(policy["fingerprint"]), int(policy["at"]))
        return words
