"""The operator's word as it counts under a policy."""

from __future__ import annotations

import pytest

from builders import NOW
from retention_enforcer.domain.control import Control


@pytest.mark.parametrize(
    ("under", "expected"), [("f1", NOW), ("f2", 0), (None, 0)], ids=["this one", "another", "one that is not known"]
)
def test_an_approval_of_terminations_counts_under_its_own_policy_alone(under: str | None, expected: int) -> None:
    control = Control(stopped_at=NOW, terminations_approved_at=NOW, terminations_approved_under=under)
    assert control.under("f1").terminations_approved_at == expected
    assert control.under("f1").stopped_at == NOW
