"""Whether this process may act now: the cluster it believes to face, the operator's word, and its own memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.facts import ClusterFacts
from retention_enforcer.domain.instants import MINUTE, describe_duration

CLOCK_TOLERANCE = MINUTE
"""How far the clocks of the enforcer and of the cluster may be apart."""


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
