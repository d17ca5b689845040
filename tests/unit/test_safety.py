"""Which policy may act: the operator's last word, or an environment's, if that was first seen later."""

from __future__ import annotations

from typing import Any

import pytest

from retention_enforcer.domain.control import Control
from retention_enforcer.domain.errors import Refused
from retention_enforcer.enforcement.terms import accepted_fingerprint, words_of


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, "operator's"),
        ({"recorded": "x"}, "operator's"),
        ({"environment": {"old": 99}}, "operator's"),
        ({"environment": {"same moment": 100}}, "same moment"),
        ({"environment": {"new": 101, "old": 3}}, "new"),
        ({"environment": {"old": 3, "new": 101, "newer": 102}}, "newer"),
        ({"fingerprint": "as it was kept before", "at": 101, "recorded": "x"}, "as it was kept before"),
        ({"fingerprint": "old", "at": 99}, "operator's"),
        ({"environment": {"new": 102}, "fingerprint": "old", "at": 101}, "new"),
    ],
)
def test_the_last_word_counts_each_from_when_it_was_first_seen(policy: dict[str, Any] | None, expected: str) -> None:
    assert accepted_fingerprint(Control(accepted="operator's", accepted_at=100), policy) == expected


def test_without_any_word_nothing_is_accepted() -> None:
    assert accepted_fingerprint(Control(), None) is None


def test_a_first_sight_is_never_made_later_by_the_older_form() -> None:
    assert words_of({"environment": {"a": 5}, "fingerprint": "a", "at": 7}) == {"a": 5}


@pytest.mark.parametrize("spoiled", [{"environment": {"a": "x"}}, {"at": 1}, {"environment": [1]}])
def test_what_cannot_be_read_is_refused(spoiled: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="not readable"):
        words_of(spoiled)
