"""The exit codes, their meanings, and which one counts if several apply."""

from __future__ import annotations

from collections.abc import Iterable

from retention_enforcer.enforcement.expiry.cycle import CycleResult

OK, FAILED, WRONG, NOT_KEPT, REFUSED = 0, 1, 2, 3, 4
MEANINGS = {
    WRONG: "The settings, the policy file or the arguments are wrong.",
    REFUSED: "Refused: it is unsafe, or nobody accepted it.",
    NOT_KEPT: "A promise is not kept, or not proven.",
    FAILED: "Failed, for example because the cluster did not answer.",
    OK: "None of these.",
}
"""What each code means, for the help. If several apply, the first of them counts."""


def worst(codes: Iterable[int]) -> int:
    """Return the code that counts, by the order of `MEANINGS`; OK if there is none."""
    found = set(codes)
    return next((code for code in MEANINGS if code in found), OK)


def code_of(result: CycleResult) -> int:
    """Return the exit code for the result of one cycle."""
    if result.refused:
        return REFUSED
    return OK if result.proof.kept else NOT_KEPT
