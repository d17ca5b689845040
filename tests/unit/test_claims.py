"""Whose an index is: by its name, by that of its stream, and in which order the answers count."""

from __future__ import annotations

from typing import Any

import pytest

from builders import category
from retention_enforcer.domain.claims import Claim, Standing, claim_on
from retention_enforcer.domain.names import OWN, IndexPattern, OwnIndices
from retention_enforcer.domain.policy import Policy

POLICY = Policy(
    name="test",
    categories=(
        category("logs", indices=["logs-*"]),
        category("late", indices=["*-late"]),
        category("keys", indices=["keys"], max_age=None, after_termination=1),
        category("tenants", indices=["tenant-{application}-logs"]),
    ),
    ignore=(IndexPattern("metrics-*"), IndexPattern("logs-ignored"), IndexPattern("scratch")),
)
BEHIND = "2026.01.31-000001"
GOVERNED, OWNED, SYSTEM = Standing.GOVERNED, Standing.OWN, Standing.SYSTEM
IGNORED, UNCLAIMED = Standing.IGNORED, Standing.UNCLAIMED


def claim(name: str, *, stream: str | None = None, own: OwnIndices = OWN, **more: Any) -> Claim:
    return claim_on(POLICY, own, name, stream=stream, **more)


CLAIMS: list[tuple[str, str, str | None, Standing, tuple[str, ...]]] = [
    ("a wildcard", "logs-a", None, GOVERNED, ("logs",)),
    ("a literal name", "keys", None, GOVERNED, ("keys",)),
    ("the beginning of a literal name", "keys-2", None, UNCLAIMED, ()),
    ("two categories, in the policy's order", "logs-late", None, GOVERNED, ("logs", "late")),
    ("an application's index", "tenant-14-logs", None, GOVERNED, ("tenants",)),
    ("no application's index", "tenant-a-b-logs", None, UNCLAIMED, ()),
    ("a backing index of a governed stream", f".ds-logs-a-{BEHIND}", "logs-a", GOVERNED, ("logs",)),
    ("a failure index of a governed stream", f".fs-logs-a-{BEHIND}", "logs-a", GOVERNED, ("logs",)),
    ("a backing index that is in no stream any more", f".ds-logs-a-{BEHIND}", None, GOVERNED, ("logs",)),
    ("a failure index that is in no stream any more", f".fs-logs-a-{BEHIND}", None, GOVERNED, ("logs",)),
    ("an index of any name behind a governed stream", "anything", "logs-a", GOVERNED, ("logs",)),
    ("a governed name behind another stream", "logs-a", "others", GOVERNED, ("logs",)),
    ("the stream it is in, not the one in its name", f".ds-logs-a-{BEHIND}", "others", UNCLAIMED, ()),
    ("a backing index of nobody's stream", f".ds-billing-{BEHIND}", "billing", UNCLAIMED, ()),
    ("a dot index", ".kibana", None, SYSTEM, ()),
    ("a dot index whose name only sounds governed", ".logs-a", None, SYSTEM, ()),
    ("a backing index of a dot stream", f".ds-.logs-a-{BEHIND}", ".logs-a", SYSTEM, ()),
    ("what looks like a backing index and is none", ".ds-logs-a", None, SYSTEM, ()),
    ("under `ignore`", "metrics-cpu", None, IGNORED, ()),
    ("a literal under `ignore`", "scratch", None, IGNORED, ()),
    ("a backing index of a stream under `ignore`", f".ds-metrics-cpu-{BEHIND}", "metrics-cpu", IGNORED, ()),
    ("under `ignore` and claimed", "logs-ignored", None, GOVERNED, ("logs",)),
    ("a dot name that only sounds ignored", ".metrics-cpu", None, SYSTEM, ()),
    ("nobody's", "billing", None, UNCLAIMED, ()),
    ("nobody's, of a name that goes on like a governed one", "clone-of-logs-a", None, UNCLAIMED, ()),
    ("nobody's, of a name that ends before a wildcard", "logs", None, UNCLAIMED, ()),
]


@pytest.mark.parametrize(
    ("name", "stream", "standing", "categories"), [pytest.param(*row[1:], id=row[0]) for row in CLAIMS]
)
def test_every_index_has_one_standing(
    name: str, stream: str | None, standing: Standing, categories: tuple[str, ...]
) -> None:
    assert claim(name, stream=stream) == Claim(standing=standing, categories=categories)


@pytest.mark.parametrize("name", OWN.names)
def test_the_enforcers_own_indices_are_its_own(name: str) -> None:
    assert claim(name).standing is OWNED


def test_an_own_index_is_never_governed_though_a_pattern_claims_it() -> None:
    own = OwnIndices("logs-")
    assert claim("logs-retention-state", own=own) == Claim(standing=OWNED)
    assert claim("logs-retention-states", own=own).standing is GOVERNED


def test_a_name_like_an_own_index_is_somebodys() -> None:
    assert claim("retention-ledger-000002").standing is UNCLAIMED


@pytest.mark.parametrize(
    ("name", "standing"),
    [("logs-a", GOVERNED), ("metrics-cpu", SYSTEM), ("billing", SYSTEM), (f".ds-billing-{BEHIND}", SYSTEM)],
)
def test_what_elasticsearch_calls_its_own_is_the_systems_unless_the_policy_claims_it(
    name: str, standing: Standing
) -> None:
    assert claim(name, system=True).standing is standing
