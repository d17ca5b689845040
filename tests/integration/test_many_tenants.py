"""Many tenants in shared indices and in some of their own: exactly the documents of those who left go."""

from __future__ import annotations

import pytest

from many_tenants import Crowd, assert_exactly_theirs_went, crowded, terminate
from workbench import Workbench


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_of_two_hundred_tenants_exactly_the_documents_of_twenty_and_of_an_account_go(
    bench: Workbench,
) -> None:
    bench.erases_for = 0
    crowd = crowded(bench, Crowd(tenants=200, documents=20_000, leaving=20, own_indices=12))
    terminate(bench, crowd)
    ran = bench.run("run", "--once")
    assert ran.code == 0, ran.err[-2_000:]
    assert_exactly_theirs_went(bench, crowd)
