"""Whose an index is: governed, the enforcer's own, Elasticsearch's, nobody's on purpose, or nobody's."""

from __future__ import annotations

import pytest

from builders import category
from retention_enforcer.domain.claims import Standing, claim_on
from retention_enforcer.domain.names import OWN, IndexPattern
from retention_enforcer.domain.policy import Policy

POLICY = Policy(
    name="p",
    categories=(category("logs", indices=["logs-*", "records"]), category("twice", indices=["logs-x"])),
    ignore=(IndexPattern("metrics-*"),),
)


@pytest.mark.parametrize(
    ("name", "stream", "standing", "categories"),
    [
        ("logs-a", None, Standing.GOVERNED, ("logs",)),
        ("records", None, Standing.GOVERNED, ("logs",)),
        ("logs-x", None, Standing.GOVERNED, ("logs", "twice")),
        (".ds-logs-a-2026.01.31-000001", "logs-a", Standing.GOVERNED, ("logs",)),
        (".ds-logs-a-2026.01.31-000001", None, Standing.GOVERNED, ("logs",)),
        (".fs-logs-a-2026.01.31-000002", None, Standing.GOVERNED, ("logs",)),
        ("retention-ledger-000001", None, Standing.OWN, ()),
        ("retention-state", None, Standing.OWN, ()),
        ("retention-ledger-000002", None, Standing.UNCLAIMED, ()),
        (".kibana_1", None, Standing.SYSTEM, ()),
        (".ds-.logs-deprecation-2026.01.31-000001", None, Standing.SYSTEM, ()),
        (".ds-other-2026.01.31-000001", "other", Standing.UNCLAIMED, ()),
        ("metrics-cpu", None, Standing.IGNORED, ()),
        (".ds-metrics-cpu-2026.01.31-000001", "metrics-cpu", Standing.IGNORED, ()),
        ("clone-of-logs-a", None, Standing.UNCLAIMED, ()),
        ("logs", None, Standing.UNCLAIMED, ()),
    ],
)
def test_each_index_stands_somewhere(
    name: str, stream: str | None, standing: Standing, categories: tuple[str, ...]
) -> None:
    claim = claim_on(POLICY, OWN, name, stream=stream)
    assert (claim.standing, claim.categories) == (standing, categories)


def test_what_elasticsearch_flags_as_its_own_is_but_never_what_is_governed() -> None:
    assert claim_on(POLICY, OWN, "ilm-history-5", stream=None, system=True).standing is Standing.SYSTEM
    assert claim_on(POLICY, OWN, "logs-a", stream=None, system=True).standing is Standing.GOVERNED
