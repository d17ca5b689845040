"""The table of privileges, and what is made of an answer about them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from builders import category
from retention_enforcer.domain.errors import Refused
from retention_enforcer.domain.policy.names import OwnIndices
from retention_enforcer.domain.policy.promises import Policy
from retention_enforcer.domain.privileges import (
    RIGHTS,
    AccessRole,
    GrantedOn,
    Right,
    compared,
    descriptor,
    names_in,
    question,
    rights_of,
)
from retention_enforcer.enforcement.preconditions.privileges import described, excess, raise_if_blind, shortcomings

OWN = OwnIndices("t-")


@pytest.fixture
def policy() -> Policy:
    return Policy(name="p", margin=1, on_request=1, earliest=0, ignore=(), categories=(category(indices=("a-*", "b")),))


def answer(rights: tuple[Right, ...], policy: Policy, **more: Any) -> dict[str, Any]:
    """What the cluster says of somebody who has exactly these privileges."""
    index: dict[str, dict[str, bool]] = {}
    for right in rights:
        for name in names_in(right.scope, policy, OWN):
            index.setdefault(name, {})[right.privilege] = True
    cluster = {right.privilege: True for right in rights if right.scope is GrantedOn.CLUSTER}
    return {"username": "somebody", "cluster": {"all": False, **cluster}, "index": index, **more}


def test_no_privilege_stands_in_the_table_twice() -> None:
    assert max(Counter((right.scope, right.privilege) for right in RIGHTS).values()) == 1


@pytest.mark.parametrize("role", list(AccessRole))
def test_who_has_all_lacks_nothing_and_has_nothing_too_much(role: AccessRole, policy: Policy) -> None:
    rights = rights_of(role)
    held = compared(rights, policy, OWN, answer(rights, policy))
    assert (held.missing, held.needed) == ((), len(rights))
    assert excess(held, role) is None
    raise_if_blind(held, role)


@pytest.mark.parametrize(
    "right", rights_of(AccessRole.ENFORCER), ids=lambda right: f"{right.privilege} on {right.scope}"
)
def test_a_privilege_that_is_not_mentioned_is_missing_and_named(right: Right, policy: Policy) -> None:
    rights = rights_of(AccessRole.ENFORCER)
    held = compared(rights, policy, OWN, answer(tuple(r for r in rights if r != right), policy))
    ((missing, error),) = shortcomings(held, AccessRole.ENFORCER)
    assert missing.right == right
    assert missing.names == names_in(right.scope, policy, OWN)
    assert f"privilege {right.privilege} on " in error.message
    assert right.feature in described(missing)


def test_a_privilege_on_one_of_two_patterns_is_missing_on_the_other(policy: Policy) -> None:
    rights = rights_of(AccessRole.READER)
    said = answer(rights, policy)
    said["index"]["b"]["read"] = False
    (missing,) = compared(rights, policy, OWN, said).missing
    assert (missing.right.privilege, missing.names) == ("read", ("b",))


@pytest.mark.parametrize(
    ("scope", "privilege", "blind"),
    [
        (GrantedOn.GOVERNED, "view_index_metadata", True),
        (GrantedOn.GOVERNED, "read", True),
        (GrantedOn.GOVERNED, "delete_index", False),
        (GrantedOn.EVERYTHING, "read", False),
    ],
)
def test_only_who_may_look_at_the_policys_indices_starts(
    scope: GrantedOn, privilege: str, policy: Policy, *, blind: bool
) -> None:
    rights = rights_of(AccessRole.ENFORCER)
    less = tuple(r for r in rights if (r.scope, r.privilege) != (scope, privilege))
    held = compared(rights, policy, OWN, answer(less, policy))
    if blind:
        with pytest.raises(Refused, match="nothing is deleted: privilege"):
            raise_if_blind(held, AccessRole.ENFORCER)
    else:
        raise_if_blind(held, AccessRole.ENFORCER)


def test_a_superuser_and_who_may_change_the_ledger_have_too_much(policy: Policy) -> None:
    rights = rights_of(AccessRole.ENFORCER)
    said = answer(rights, policy)
    said["cluster"]["all"] = True
    assert "far more than the enforcer needs" in str(excess(compared(rights, policy, OWN, said), AccessRole.ENFORCER))
    said = answer(rights, policy)
    said["index"][OWN.ledger_index]["delete"] = True
    assert "ledger records" in str(excess(compared(rights, policy, OWN, said), AccessRole.ENFORCER))


def test_the_question_asks_for_each_privilege_and_for_what_would_be_too_much(policy: Policy) -> None:
    asked = question(rights_of(AccessRole.READER), policy, OWN)
    body = descriptor(rights_of(AccessRole.READER), policy, OWN)
    assert asked["cluster"] == [*body["cluster"], "all"]
    assert asked["index"][:-1] == body["indices"]
    assert asked["index"][-1] == {"names": [OWN.ledger_index], "privileges": ["index", "delete", "delete_index"]}
