"""Three nodes, two daemons, and two hundred times one of the nodes is cut off, half of the times for good.

CUTS says how many instead, and SEED which.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from cluster_of_three import three_nodes
from network_cuts import cut_at_random

CUTS = 200


@pytest.mark.timeout(4 * 3_600)
def test_cuts_at_random_moments(embedded_version: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    with three_nodes(embedded_version) as nodes:
        print(cut_at_random(nodes, tmp_path, seed, int(os.environ.get("CUTS") or CUTS)))
