"""The ledger's verifier in another language, which shares nothing with the enforcer but the format's description."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "verify-ledger.mjs"


def verified_elsewhere(export: Path, head: str = "") -> tuple[int, str]:
    """Return the exit code of that verifier, and what it says: the head, or the record that it names."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js: the ledger was not verified in another language")
    ran = subprocess.run(
        [node, str(SCRIPT), str(export), head], capture_output=True, text=True, timeout=30, check=False
    )
    return ran.returncode, verdict(ran.stdout + ran.stderr)


def verdict(said: str) -> str:
    """Return what two verifiers have to agree on: the head, or the record that does not fit."""
    found = re.search(r"head [0-9a-f]{64}|record \d+", said)
    assert found, said
    return found[0]
