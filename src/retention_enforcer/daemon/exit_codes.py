"""Exit codes, and which of several counts."""

from __future__ import annotations

from collections.abc import Iterable

from retention_enforcer.enforcement.expiry.cycle import CycleResult

OK, FAILED, WRONG, NOT_KEPT, REFUSED = 0, 1, 2, 3, 4
_PRECEDENCE = (WRONG, REFUSED, NOT_KEPT, FAILED, OK)


def worst(codes: Iterable[int]) -> int:
    """Return the code that counts: wrong input before refusals, these before broken promises, these before failures."""
    found = set(codes)
    return next((code for code in _PRECEDENCE if code in found), OK)


def code_of(result: CycleResult) -> int:
    """Return the code that one cycle asks for."""
    if result.refused:
        return REFUSED
    return OK if result.proof.kept else NOT_KEPT
