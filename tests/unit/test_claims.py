"""Whose an index is: by its name, by that of its stream, and in which order the answers count."""

from __future__ import annotations

from typing import Any

import pytest

from builders import category
from retention_enforcer.domain.policy.claims import (
    Behind,
    Claim,
    IndexIdentity,
    IndexOwner,
    KnownClaims,
    claim_on,
    claimants_by_name,
    possible_claimants,
)
from retention_enforcer.domain.policy.names import OWN, IndexPattern, OwnIndices, is_shrunk
from retention_enforcer.domain.policy.promises import Policy

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
GOVERNED, OWNED, SYSTEM = IndexOwner.GOVERNED, IndexOwner.OWN, IndexOwner.SYSTEM
IGNORED, UNCLAIMED = IndexOwner.IGNORED, IndexOwner.UNCLAIMED


def claim(name: str, *, stream: str | None = None, own: OwnIndices = OWN, **more: Any) -> Claim:
    return claim_on(POLICY, own, IndexIdentity(name=name, stream=stream, **more))


CLAIMS: list[tuple[str, str, str | None, IndexOwner, tuple[str, ...]]] = [
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
    ("a backing index that is in another stream now", f".ds-logs-a-{BEHIND}", "others", GOVERNED, ("logs",)),
    ("a backing index that is in an ignored stream now", f".ds-logs-a-{BEHIND}", "metrics-a", IGNORED, ()),
    ("an ignored stream's backing index in a governed one", f".ds-metrics-a-{BEHIND}", "logs-a", GOVERNED, ("logs",)),
    ("a backing index of an old kind, without a date", ".ds-logs-a-000001", None, GOVERNED, ("logs",)),
    ("streams of two categories", f".ds-logs-a-{BEHIND}", "keys", GOVERNED, ("logs", "keys")),
    ("a backing index of nobody's stream", f".ds-billing-{BEHIND}", "billing", UNCLAIMED, ()),
    ("a dot index", ".kibana", None, SYSTEM, ()),
    ("a dot index whose name only sounds governed", ".logs-a", None, SYSTEM, ()),
    ("a backing index of a dot stream", f".ds-.logs-a-{BEHIND}", ".logs-a", SYSTEM, ()),
    ("what looks like a backing index and is none", ".ds-logs-a", None, SYSTEM, ()),
    ("under `ignore`", "metrics-cpu", None, IGNORED, ()),
    ("a literal under `ignore`", "scratch", None, IGNORED, ()),
    ("a backing index of a stream under `ignore`", f".ds-metrics-cpu-{BEHIND}", "metrics-cpu", IGNORED, ()),
    ("under `ignore` and a category's wildcard", "logs-ignored", None, IGNORED, ()),
    ("a backing index of a stream that is both", f".ds-logs-ignored-{BEHIND}", None, IGNORED, ()),
    ("a dot name that only sounds ignored", ".metrics-cpu", None, SYSTEM, ()),
    ("nobody's", "billing", None, UNCLAIMED, ()),
    ("nobody's, of a name that goes on like a governed one", "clone-of-logs-a", None, UNCLAIMED, ()),
    ("nobody's, of a name that ends before a wildcard", "logs", None, UNCLAIMED, ()),
]


@pytest.mark.parametrize(
    ("name", "stream", "standing", "categories"), [pytest.param(*row[1:], id=row[0]) for row in CLAIMS]
)
def test_every_index_has_one_standing(
    name: str, stream: str | None, standing: IndexOwner, categories: tuple[str, ...]
) -> None:
    found = claim(name, stream=stream)
    assert (found.standing, found.categories) == (standing, categories)


@pytest.mark.parametrize("name", OWN.names)
def test_the_enforcers_own_indices_are_its_own(name: str) -> None:
    assert claim(name).standing is OWNED


def test_an_own_index_is_never_governed_though_a_pattern_claims_it() -> None:
    own = OwnIndices("logs-")
    assert claim("logs-retention-state", own=own, aliases=("logs-a",)) == Claim(standing=OWNED)
    assert claim("logs-retention-states", own=own).standing is GOVERNED


def test_a_name_like_an_own_index_is_somebodys() -> None:
    assert claim("retention-ledger-000002").standing is UNCLAIMED


@pytest.mark.parametrize(
    ("name", "standing"),
    [("logs-a", GOVERNED), ("metrics-cpu", SYSTEM), ("billing", SYSTEM), (f".ds-billing-{BEHIND}", SYSTEM)],
)
def test_what_elasticsearch_calls_its_own_is_the_systems_unless_the_policy_claims_it(
    name: str, standing: IndexOwner
) -> None:
    assert claim(name, system=True).standing is standing


def test_what_is_ignored_says_from_which_categories() -> None:
    assert claim("logs-ignored").excluded_from == ("logs",)
    assert claim("any", made_from=("logs-ignored",)).excluded_from == ("logs",)
    assert claim("metrics-cpu").excluded_from == ()


# --- by what it was made from -------------------------------------------------------------------------

SHRUNK, MOUNTED = "shrink-abcd-logs-a", "restored-shrink-abcd-logs-a"


def made(name: str, *made_from: str, resized: str | None = None, aliases: tuple[str, ...] = ()) -> IndexIdentity:
    return IndexIdentity(name=name, made_from=made_from, resized_from=resized, aliases=aliases)


MADE: list[tuple[str, IndexIdentity, IndexOwner, tuple[str, ...]]] = [
    ("mounted, under any name", made("any", "logs-a"), GOVERNED, ("logs",)),
    ("made from a backing index", made("any", f".ds-logs-a-{BEHIND}"), GOVERNED, ("logs",)),
    ("made from what is nobody's", made("any", "billing"), UNCLAIMED, ()),
    ("made from what is ignored", made("any", "logs-ignored"), IGNORED, ()),
    ("ignored by its own name", made("metrics-a", "logs-a"), IGNORED, ()),
    ("its own name first", made("keys", "logs-a"), GOVERNED, ("keys",)),
    ("shrunk by a lifecycle", made("shrink-ab_1-logs-a", resized="logs-a"), GOVERNED, ("logs",)),
    ("cloned by hand", made("clone", resized="logs-a"), UNCLAIMED, ()),
    ("cloned into its place", made("n", resized="logs-a", aliases=("logs-a",)), GOVERNED, ("logs",)),
    ("cloned, behind a governed alias", made("n", resized="logs-a", aliases=("logs-all",)), GOVERNED, ("logs",)),
    ("a name as a lifecycle gives it", made(SHRUNK, aliases=("logs-a",)), UNCLAIMED, ()),
    ("cloned from another, so named", made(SHRUNK, resized="billing", aliases=("logs-a",)), UNCLAIMED, ()),
    ("mounted after it was shrunk", made(MOUNTED, SHRUNK, aliases=("logs-a",)), GOVERNED, ("logs",)),
    ("mounted from what only is so named", made("any", SHRUNK), UNCLAIMED, ()),
    ("mounted from a shrunk backing index", made("any", f"shrink-abcd-.ds-logs-a-{BEHIND}"), GOVERNED, ("logs",)),
    ("from two categories'", made("any", "logs-a", "keys"), GOVERNED, ("logs", "keys")),
]


@pytest.mark.parametrize(("identity", "standing", "categories"), [pytest.param(*row[1:], id=row[0]) for row in MADE])
def test_an_index_is_followed_by_what_it_was_certainly_made_from(
    identity: IndexIdentity, standing: IndexOwner, categories: tuple[str, ...]
) -> None:
    found = claim_on(POLICY, OWN, identity)
    assert (found.standing, found.categories) == (standing, categories)


@pytest.mark.parametrize(
    ("identity", "behind"),
    [
        ({"name": "billing", "aliases": ("logs-x",)}, (Behind(category="logs", alias="logs-x"),)),
        ({"name": ".mine", "aliases": ("logs-x", "logs-y")}, (Behind(category="logs", alias="logs-x"),)),
        ({"name": "tenant-1-logs", "aliases": ("logs-x",)}, (Behind(category="logs", alias="logs-x"),)),
        ({"name": "logs-a", "aliases": ("logs-x",)}, ()),
        ({"name": "metrics-a", "aliases": ("logs-x",)}, (Behind(category="logs", alias="logs-x"),)),
        ({"name": "billing", "aliases": ("logs-ignored",)}, ()),
        ({"name": "billing", "aliases": ("keys",)}, ()),  # named literally: the name itself is in doubt
        ({"name": "any", "made_from": ("logs-a",), "aliases": ("logs-a",)}, ()),
    ],
)
def test_what_else_a_governed_name_leads_to_is_in_doubt(identity: dict[str, Any], behind: tuple[Behind, ...]) -> None:
    assert claim(**identity).behind == behind


def test_the_old_name_that_a_lifecycle_left_as_an_alias_is_taken_over() -> None:
    made = IndexIdentity(name="partial-logs-a", made_from=("logs-a",), aliases=("logs-a", "logs-all"))
    assert made.taken_over == ("logs-a",)
    claimed = IndexIdentity(name="shrink-abcd-logs-a", aliases=("logs-a", "logs-all"))
    assert claimed.taken_over == ("logs-a",)


def test_by_a_name_alone_only_what_is_said_by_it_is_claimed() -> None:
    assert claimants_by_name(POLICY, f".ds-logs-a-{BEHIND}") == ("logs",)
    assert claimants_by_name(POLICY, "shrink-abcd-logs-a") == ()
    assert possible_claimants(POLICY, "shrink-abcd-logs-a") == ("logs",)
    assert possible_claimants(POLICY, f"partial-shrink-abcd-.ds-logs-a-{BEHIND}") == ("logs",)
    assert possible_claimants(POLICY, "restored-logs-ignored") == ()


@pytest.mark.parametrize(
    ("name", "shrunk"),
    [
        ("shrink-abcd-logs-1", True),
        ("restored-shrink-ab_d-logs-1", True),
        ("partial-shrink-abcd-.ds-logs-2026.01.01-000001", True),
        ("logs-1", False),
        ("restored-logs-1", False),
        ("shrink-logs", False),
    ],
)
def test_what_was_shrunk_is_known_by_the_name_that_a_lifecycle_gives(name: str, shrunk: bool) -> None:
    assert is_shrunk(name) == shrunk


def test_what_is_known_of_an_index_counts_only_as_long_as_it_is_known_as_before() -> None:
    known = KnownClaims(POLICY, OWN)
    before = IndexIdentity(name="restored-a", aliases=("others",))
    assert known.of({"restored-a": before})["restored-a"].standing is UNCLAIMED
    for now in (
        IndexIdentity(name="restored-a", stream="logs-a"),
        IndexIdentity(name="restored-a", made_from=("logs-a",)),
        IndexIdentity(name="restored-a", aliases=("logs-a",)),
        before,
    ):
        claims = known.of({"restored-a": now, "logs-b": IndexIdentity(name="logs-b")})
        assert claims == {
            "restored-a": claim_on(POLICY, OWN, now),
            "logs-b": Claim(standing=GOVERNED, categories=("logs",), names=("logs-b",)),
        }
