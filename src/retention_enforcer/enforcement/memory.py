"""What is remembered of a category between cycles: its indices, findings, verdict, and which approvals were used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from retention_enforcer.domain.control import Control, Release, Shown
from retention_enforcer.domain.errors import readable
from retention_enforcer.domain.expiry.proof import Proof
from retention_enforcer.domain.facts import CategoryFacts, Evidence, Outlook, RefusedRollover
from retention_enforcer.domain.findings import Sighting
from retention_enforcer.domain.instants import DAY
from retention_enforcer.domain.lifecycles.vanished import Vanished
from retention_enforcer.domain.plan import Purge


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One category's document. Instants in epoch milliseconds."""

    fingerprint: str
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    """By index uuid."""
    findings: Mapping[str, Sighting] = field(default_factory=dict)
    """Open findings by their ids."""
    used: Mapping[str, Collection[tuple[str, str]]] = field(default_factory=dict)
    """By approval, the pairs that were carried out under it."""
    kept: bool | None = None
    proven_at: int = 0
    """When a proof was last recorded in the ledger."""
    purged_at: int | None = None
    """When a cycle last purged anything."""
    vanished: tuple[Vanished, ...] = ()
    """Indices that went without the enforcer, as long as they are told of."""
    looked_at: int | None = None
    """When this policy's last look was, whatever it came to; None where there was none."""

    @classmethod
    def of(cls, body: Mapping[str, Any] | None, fingerprint: str) -> Memory:
        """Read it from its document; what was seen under another policy is no evidence for this one.

        The times of trims, the sequence numbers and refused rollovers are: they are facts, whatever the policy.
        """
        if body is None:
            return cls(fingerprint=fingerprint)
        with readable("a category's document in retention-state"):
            return cls._of(body, fingerprint)

    @classmethod
    def _of(cls, body: Mapping[str, Any], fingerprint: str) -> Memory:
        same = body["fingerprint"] == fingerprint
        evidence = {
            uuid: Evidence(
                oldest=entry.get("oldest") if same else None,
                first_seen=int(entry["first_seen"]),
                documents=entry.get("documents") if same else None,
                last_trim=entry.get("last_trim"),
                newest=entry.get("newest") if same else None,
                name=entry.get("name"),
                lifecycle=entry.get("lifecycle"),
                deletes_from=entry.get("deletes_from"),
                sequence_numbers=tuple(entry.get("sequence_numbers", ())),
                quiet_since=entry.get("quiet_since"),
                dated_before=bool(entry.get("dated_before", False)) and same,
                outlook=Outlook(**entry["outlook"]) if same and "outlook" in entry else None,
                refused_rollover=RefusedRollover(**refused) if (refused := entry.get("refused_rollover")) else None,
            )
            for uuid, entry in body["indices"].items()
        }
        return cls(
            fingerprint=fingerprint,
            evidence=evidence,
            findings=sightings_of(body["findings"]),
            used={key: [(uuid, action) for uuid, action in pairs] for key, pairs in body["used"].items()},
            kept=body.get("kept"),
            proven_at=int(body["proven_at"]),
            purged_at=body.get("purged_at"),
            vanished=tuple(_vanished(entry) for entry in body.get("vanished", ())),
            looked_at=body.get("looked_at") if same else None,
        )

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {
            "fingerprint": self.fingerprint,
            "indices": {uuid: _evidence_body(evidence) for uuid, evidence in self.evidence.items()},
            "findings": sightings_body(self.findings),
            "used": {key: sorted(map(list, pairs)) for key, pairs in self.used.items()},
            "kept": self.kept,
            "proven_at": self.proven_at,
            **({"purged_at": self.purged_at} if self.purged_at is not None else {}),
            **({"vanished": [_vanished_body(one) for one in self.vanished]} if self.vanished else {}),
            **({"looked_at": self.looked_at} if self.looked_at is not None else {}),
        }

    def approved(self, control: Control, now: int) -> dict[tuple[str, str], Shown]:
        """Return what is approved at this instant under this policy and was not used yet, with what was shown of it.

        Of two approvals of the same the one that showed more counts.
        """
        approved: dict[tuple[str, str], Shown] = {}
        for approval in control.approvals:
            for pair in self._unused(approval, now):
                shown, known = approval.shown.get(pair), approved.get(pair)
                if shown is not None and (known is None or known.documents < shown.documents):
                    approved[pair] = shown
        return approved

    def _unused(self, release: Release, now: int) -> frozenset[tuple[str, str]]:
        """Return which pairs of a release count at this instant: under its policy, until its end, each once."""
        if now >= release.until or release.policy != self.fingerprint:
            return frozenset()
        return release.pairs - {*self.used.get(release.key, ())}

    def ordered(self, category: str, control: Control, now: int) -> frozenset[tuple[str, str]]:
        """Return the pairs that an operator ordered to be erased in a category, and that were not used yet."""
        orders = (order for order in control.orders if order.category == category)
        return frozenset(pair for order in orders for pair in self._unused(order, now))

    def use(self, control: Control, purges: Collection[Purge], now: int) -> Memory:
        """Return the memory with the approvals of these purges used up; approvals that have ended are forgotten."""
        planned = {purge.pair for purge in purges}
        ordered = {purge.pair for purge in purges if purge.ordered}
        alive: list[tuple[Release, set[tuple[str, str]]]] = [(a, planned) for a in control.approvals]
        alive += [(o, ordered) for o in control.orders]
        used = {
            release.key: sorted(
                {
                    *self.used.get(release.key, ()),
                    *(release.pairs & pairs if release.policy == self.fingerprint else ()),
                }
            )
            for release, pairs in alive
            if now < release.until
        }
        return replace(self, used={key: pairs for key, pairs in used.items() if pairs})

    def after_trims(self, uuids: Collection[str], now: int) -> Memory:
        """Return the memory for a further look in the same cycle: what was trimmed had dated documents."""
        nothing = Evidence(oldest=None, first_seen=now, documents=None)
        known = {uuid: replace(self.evidence.get(uuid, nothing), dated_before=True) for uuid in uuids}
        return replace(self, evidence={**self.evidence, **known})

    def after_refusals(self, refused: Mapping[str, RefusedRollover], now: int) -> Memory:
        """Return the memory for a further look in the same cycle: these indices could not be rolled over."""
        nothing = Evidence(oldest=None, first_seen=now, documents=None)
        known = {uuid: replace(self.evidence.get(uuid, nothing), refused_rollover=why) for uuid, why in refused.items()}
        return replace(self, evidence={**self.evidence, **known})

    def must_prove(self, proof: Proof) -> bool:
        """Whether a proof belongs into the ledger: the verdict changed, or a day has passed."""
        return proof.kept != self.kept or proof.as_of - self.proven_at >= DAY


_SELDOM = frozenset({"sequence_numbers", "dated_before"})
"""What is said of few indices, and left out of the others' evidence."""


def _evidence_body(evidence: Evidence) -> dict[str, Any]:
    body = {name: value for name, value in asdict(evidence).items() if value is not None}
    body["sequence_numbers"] = list(evidence.sequence_numbers)
    return {name: value for name, value in body.items() if name not in _SELDOM or value}


def _vanished_body(vanished: Vanished) -> dict[str, Any]:
    return {
        **asdict(vanished),
        "evidence": _evidence_body(replace(vanished.evidence, outlook=None, refused_rollover=None)),
    }


def _vanished(body: Mapping[str, Any]) -> Vanished:
    known = body["evidence"]
    numbers = tuple(known.get("sequence_numbers", ()))
    evidence = Evidence(**{"oldest": None, "documents": None, **known, "sequence_numbers": numbers})
    return Vanished(**{**body, "evidence": evidence})


def sightings_of(body: Mapping[str, Any]) -> dict[str, Sighting]:
    """Read the open findings from a document."""
    return {id_: Sighting(first=int(first), last=int(last)) for id_, (first, last) in body.items()}


def sightings_body(sightings: Mapping[str, Sighting]) -> dict[str, list[int]]:
    """Return open findings as they stand in a document."""
    return {id_: [sighting.first, sighting.last] for id_, sighting in sightings.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """Which lifecycle an index was seen to have."""

    policy: str
    deletes_from: int | None
    """When it could delete the index at the earliest, where it is the enforcer's."""


def remember(
    known: Mapping[str, Evidence],
    facts: CategoryFacts,
    trimmed: Collection[str],
    managed: Mapping[str, Managed | None] | None = None,
    shown: Callable[[str], str] = str,
    ahead: Mapping[str, Outlook] | None = None,
    *,
    refused: Mapping[str, RefusedRollover] | None = None,
) -> dict[str, Evidence]:
    """Return the evidence after a look: an oldest document that is still the oldest keeps its first sight.

    What is set apart now was not seen, and keeps what is known of it, but for what was seen coming (`ahead`, by uuid):
    into that nobody looked. `managed` says by uuid which lifecycles there
    are, and what it does not speak of keeps the one that is known; `shown` is how the name of an index may be written.
    `refused` are, by uuid, the rollovers that the cluster refused since the facts were read.
    """
    unseen = {apart.uuid for apart in facts.set_apart if apart.uuid}
    evidence = {uuid: replace(entry, outlook=None) for uuid, entry in known.items() if uuid in unseen}
    for index in facts.indices:
        before = known.get(index.uuid)
        lifecycle = (managed or {}).get(index.uuid, _lifecycle_in(before))
        same = before is not None and before.oldest == index.oldest
        if before is not None and index.oldest is None:
            same = same and before.documents is not None and before.documents >= index.documents
        evidence[index.uuid] = Evidence(
            oldest=index.oldest,
            first_seen=before.first_seen if same and before else facts.as_of,
            documents=index.documents,
            last_trim=facts.as_of if index.uuid in trimmed else (before.last_trim if before else None),
            newest=index.newest,
            name=shown(index.name),
            lifecycle=lifecycle.policy if lifecycle else None,
            deletes_from=lifecycle.deletes_from if lifecycle else None,
            # One that held none then, and does now, was written to.
            sequence_numbers=index.sequence_numbers if index.undated or index.timestamp is None else (),
            quiet_since=index.quiet_since,
            dated_before=index.oldest is None and (index.uuid in trimmed or (before is not None and before.ever_dated)),
            outlook=(ahead or {}).get(index.uuid),
            refused_rollover=(refused or {}).get(index.uuid, index.refused_rollover),
        )
    return evidence


def _lifecycle_in(evidence: Evidence | None) -> Managed | None:
    if evidence is None or evidence.lifecycle is None:
        return None
    return Managed(policy=evidence.lifecycle, deletes_from=evidence.deletes_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageMemory:
    """What is remembered between two looks. Instants in epoch milliseconds."""

    findings: Mapping[str, Sighting] = field(default_factory=dict)
    nothing_since: Mapping[str, int] = field(default_factory=dict)
    """Since when a category has matched no index."""

    @classmethod
    def of(cls, body: Mapping[str, Any] | None) -> CoverageMemory:
        """Read it from its document."""
        if body is None:
            return cls()
        with readable("what retention-state stores about coverage"):
            nothing_since = {id_: int(since) for id_, since in body["nothing_since"].items()}
            return cls(findings=sightings_of(body["findings"]), nothing_since=nothing_since)

    def body(self) -> dict[str, Any]:
        """Return it as its document."""
        return {"findings": sightings_body(self.findings), "nothing_since": dict(self.nothing_since)}
